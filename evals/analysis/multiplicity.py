"""Several comparisons at once: adjusted p-values, with the size of the family that they were adjusted for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sidedoor.evals.analysis.counts import Floats

Adjustment: TypeAlias = Literal["Holm", "Benjamini-Hochberg"]


@dataclass(frozen=True, slots=True)
class Adjusted:
    """Adjusted p-values in the order given; `family` is how many comparisons they were adjusted for."""

    method: Adjustment
    p_values: tuple[float, ...]
    adjusted: tuple[float, ...]

    @property
    def family(self) -> int:
        """Number of comparisons."""
        return len(self.p_values)


def holm(p_values: Sequence[float]) -> Adjusted:
    """Holm's step-down p-values, for a declared family: the chance of any false claim stays below the level.

    max over j ≤ i of (m - j + 1)·p_(j), at most 1. Holm, Scand. J. Stat. 6 (1979), 65-70.

    Raises:
        ValueError: a p-value is not between 0 and 1.
    """
    p, order = _sorted(p_values)
    steps = np.maximum.accumulate(np.arange(p.size, 0, -1) * p)
    return _adjusted("Holm", p_values, steps, order)


def benjamini_hochberg(p_values: Sequence[float]) -> Adjusted:
    """Benjamini and Hochberg's step-up p-values, for exploratory maps: they bound the share of false findings.

    min over j ≥ i of m·p_(j)/j, at most 1. Benjamini and Hochberg, J. R. Stat. Soc. B 57 (1995), 289-300.

    Raises:
        ValueError: a p-value is not between 0 and 1.
    """
    p, order = _sorted(p_values)
    steps = np.minimum.accumulate((p.size * p / np.arange(1, p.size + 1))[::-1])[::-1]
    return _adjusted("Benjamini-Hochberg", p_values, steps, order)


def _sorted(p_values: ArrayLike) -> tuple[Floats, NDArray[np.intp]]:
    p = np.asarray(p_values, dtype=float)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p-values lie between 0 and 1; got {p.tolist()}")
    order = np.argsort(p, kind="stable")
    return p[order], order


def _adjusted(method: Adjustment, p_values: Sequence[float], steps: Floats, order: NDArray[np.intp]) -> Adjusted:
    adjusted = np.empty_like(steps)
    adjusted[order] = np.minimum(steps, 1.0)
    return Adjusted(method, tuple(float(p) for p in p_values), tuple(adjusted.tolist()))
