"""An estimate as a value: the number never travels without its interval, its counts, and the claim that it makes."""

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

from scipy.special import ndtri

Claim: TypeAlias = Literal["these_scenarios", "new_scenarios"]

NO_DATA = "no data"


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A rate or a difference with its interval; fractions of 1.

    Attributes:
        estimate: the point estimate; None when there are no data.
        low: lower bound of the interval, always below `high`.
        high: upper bound of the interval.
        level: two-sided confidence level of the interval, such as 0.95.
        method: what computed the interval, by the name that the field gives it.
        n: samples with a known outcome that entered the estimate.
        x: events among them.
        missing: samples that should have entered and have no known outcome.
        claim: whether it speaks of these scenarios or of new ones like them.
        notes: what a reader must know beside the number, such as what was left out.

    Raises:
        ValueError: the interval has no width or does not hold the estimate, or a count is impossible.
    """

    estimate: float | None
    low: float
    high: float
    level: float
    method: str
    n: int
    x: int
    missing: int = 0
    claim: Claim = "these_scenarios"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_level(self.level)
        if not self.low < self.high:
            raise ValueError(f"an interval needs a width: [{self.low}, {self.high}] by {self.method}")
        if self.estimate is not None and not self.low <= self.estimate <= self.high:
            raise ValueError(f"estimate {self.estimate} is outside [{self.low}, {self.high}] by {self.method}")
        if not 0 <= self.x <= self.n or self.missing < 0:
            raise ValueError(f"impossible counts: x={self.x}, n={self.n}, missing={self.missing}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference(Estimate):
    """Arm 1 minus arm 0; `x` and `n` are those of both arms together, in the strata that both arms have.

    Attributes:
        x1: events in arm 1.
        n1: samples in arm 1.
        x0: events in arm 0, the baseline.
        n0: samples in arm 0.
        left_out: strata with samples in one arm only or in none, which cannot be compared.
    """

    x1: int
    n1: int
    x0: int
    n0: int
    left_out: tuple[str, ...] = ()


def check_level(level: float) -> None:
    """Raise ValueError unless `level` is strictly between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"a confidence level lies between 0 and 1, such as 0.95; got {level}")


def two_sided_z(level: float) -> float:
    """The standard normal quantile of a two-sided confidence level: 1.96 for 0.95.

    Raises:
        ValueError: the level is not between 0 and 1.
    """
    check_level(level)
    return float(ndtri((1 + level) / 2))


def check_fraction(name: str, value: float) -> None:
    """Raise ValueError unless `value` is a fraction from 0 to 1; NaN is not."""
    if math.isnan(value) or not 0 <= value <= 1:
        raise ValueError(f"{name} is a fraction from 0 to 1; got {value}")
