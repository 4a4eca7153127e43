"""Counts of binary outcomes by stratum, checked once so that the estimators need not."""

from dataclasses import dataclass, field
from itertools import compress
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

Counts: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class Arm:
    """One side of a comparison, by stratum: a variant, a model, a candidate.

    Attributes:
        x: events per stratum, shape (strata,).
        n: samples with a known outcome per stratum.
        missing: samples without one; none by default.

    Raises:
        ValueError: not whole numbers, negative, more events than samples, or shapes that differ.
    """

    x: Counts
    n: Counts
    missing: Counts = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def __post_init__(self) -> None:
        x, n = whole_numbers("x", self.x), whole_numbers("n", self.n)
        missing = whole_numbers("missing", self.missing) if np.size(self.missing) else np.zeros_like(n)
        if not x.shape == n.shape == missing.shape:
            raise ValueError(f"one entry per stratum is needed: x {x.shape}, n {n.shape}, missing {missing.shape}")
        if (x > n).any():
            raise ValueError(f"more events than samples: x={x[x > n][0]}, n={n[x > n][0]}")
        for name, value in (("x", x), ("n", n), ("missing", missing)):
            object.__setattr__(self, name, value)


@dataclass(frozen=True, eq=False, slots=True)
class TwoArms:
    """Two arms over the same named strata; arm 1 is compared with arm 0, the baseline.

    Raises:
        ValueError: an arm has another number of strata than there are names, or a name comes twice.
    """

    strata: tuple[str, ...]
    arm1: Arm
    arm0: Arm

    def __post_init__(self) -> None:
        if not len(self.strata) == self.arm1.n.size == self.arm0.n.size:
            raise ValueError(f"{len(self.strata)} strata for arms of {self.arm1.n.size} and {self.arm0.n.size}")
        if len(set(self.strata)) < len(self.strata):
            raise ValueError("a stratum is named twice")

    @property
    def shared(self) -> NDArray[np.bool_]:
        """Which strata have samples in both arms."""
        return (self.arm1.n > 0) & (self.arm0.n > 0)

    @property
    def unshared(self) -> tuple[str, ...]:
        """Names of the strata with samples in one arm only, or in none."""
        return tuple(compress(self.strata, ~self.shared))


def single_stratum(x1: int, n1: int, x0: int, n0: int) -> TwoArms:
    """Two arms without strata: x1 of n1 against x0 of n0."""
    return TwoArms(("all",), Arm(np.array([x1]), np.array([n1])), Arm(np.array([x0]), np.array([n0])))


def multiplicities(times: ArrayLike | None, size: int) -> Counts:
    """How many samples each of `size` entries stands for; one, unless `times` says otherwise.

    Raises:
        ValueError: not whole numbers, negative, or another number of them.
    """
    if times is None:
        return np.ones(size, dtype=np.int64)
    found = whole_numbers("times", times)
    if found.size != size:
        raise ValueError(f"{found.size} times for {size} entries")
    return found


def whole_numbers(name: str, values: ArrayLike) -> Counts:
    """The values as a one-dimensional array of counts.

    Raises:
        ValueError: a value is negative or not whole, or there is more than one dimension.
    """
    array: NDArray[Any] = np.atleast_1d(np.asarray(values))
    if array.ndim > 1:
        raise ValueError(f"{name} has one dimension, the strata; got {array.ndim}")
    kind = array.dtype.kind
    if kind not in "iufb" or (kind == "f" and not (np.isfinite(array) & (array == np.floor(array))).all()):
        raise ValueError(f"{name} must be whole numbers; got {array.tolist()}")
    if (array < 0).any():
        raise ValueError(f"{name} must not be negative; got {array.min()}")
    return array.astype(np.int64)
