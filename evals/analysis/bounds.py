"""What the missing samples could do to a result: every one of them without the event, and every one with it.

No assumption about why they are missing. Manski, Partial Identification of Probability Distributions (2003), chapter 1;
each end keeps its own sampling interval.
"""

from dataclasses import replace
from typing import NamedTuple

from numpy.typing import ArrayLike

from sidedoor.evals.analysis.counts import Arm, TwoArms, whole_numbers
from sidedoor.evals.analysis.differences import risk_difference
from sidedoor.evals.analysis.estimate import Difference, Estimate
from sidedoor.evals.analysis.proportions import wilson_rates


class RateBounds(NamedTuple):
    """A rate with no missing sample an event, and with every one an event."""

    lowest: Estimate
    highest: Estimate


class DifferenceBounds(NamedTuple):
    """A difference when the missing samples favour arm 1 as far as they can, and arm 0."""

    lowest: Difference
    highest: Difference


def rate_bounds(x: int, n: int, missing: int, level: float = 0.95) -> RateBounds:
    """x/(n + missing) and (x + missing)/(n + missing), each with its Wilson interval.

    Args:
        x: events among the known outcomes.
        n: samples with a known outcome.
        missing: samples without one.
        level: two-sided confidence level.

    Raises:
        ValueError: impossible counts or level.
    """
    return rates_bounds(x, n, missing, level)[0]


def rates_bounds(x: ArrayLike, n: ArrayLike, missing: ArrayLike, level: float = 0.95) -> list[RateBounds]:
    """`rate_bounds` of many rates at once, for tables.

    Raises:
        ValueError: impossible counts or level, or different numbers of them.
    """
    x, n, missing = whole_numbers("x", x), whole_numbers("n", n), whole_numbers("missing", missing)
    lowest = wilson_rates(x, n + missing, missing, level, "Wilson, no missing sample an event")
    highest = wilson_rates(x + missing, n + missing, missing, level, "Wilson, every missing sample an event")
    return [RateBounds(*both) for both in zip(lowest, highest, strict=True)]


def difference_bounds(arms: TwoArms, level: float = 0.95) -> DifferenceBounds:
    """The `risk_difference` at both extremes of the missing samples, stratum by stratum.

    Args:
        arms: counts by stratum with what is missing of each; a stratum of missing samples only is then known.
        level: two-sided confidence level.

    Raises:
        ValueError: impossible level.
    """
    lowest = TwoArms(arms.strata, _filled(arms.arm1, event=False), _filled(arms.arm0, event=True))
    highest = TwoArms(arms.strata, _filled(arms.arm1, event=True), _filled(arms.arm0, event=False))
    low, high = risk_difference(lowest, level), risk_difference(highest, level)
    return DifferenceBounds(
        replace(low, method=f"{low.method}, missing samples lower it"),
        replace(high, method=f"{high.method}, missing samples raise it"),
    )


def _filled(arm: Arm, *, event: bool) -> Arm:
    return Arm(arm.x + arm.missing if event else arm.x, arm.n + arm.missing, arm.missing)
