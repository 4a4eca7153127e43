"""How many samples a question needs, from the exact behaviour of the gate's own rule.

The gate looks at [L, U], the two-sided 90 % Newcombe interval of candidate - baseline. It passes if U is below the
margin, and fails if L is above 0 and U is not below the margin; otherwise it is inconclusive. Here both arms have n
samples in one stratum, and probabilities are sums over the two binomial distributions, not simulations. All rates and
margins are fractions of 1: a margin of 5 percentage points is 0.05.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, gammaln, xlog1py, xlogy

from sidedoor.evals.analysis.counts import Counts, Floats
from sidedoor.evals.analysis.differences import Intervals, square_and_add
from sidedoor.evals.analysis.estimate import check_fraction, two_sided_z
from sidedoor.evals.analysis.proportions import wilson_bounds

GATE_LEVEL = 0.90

# What lies further from the mean than this many standard deviations, and this many events, weighs below 1e-15.
_TAIL = 9


class GateOdds(NamedTuple):
    """Probabilities of the gate's three decisions; they sum to 1."""

    passes: float
    fails: float
    inconclusive: float


def gate_odds(n: int, baseline: float, difference: float, margin: float, level: float = GATE_LEVEL) -> GateOdds:
    """The exact probability of each decision of the gate with n samples in each arm.

    Args:
        n: samples per arm, at least 1.
        baseline: true rate of the baseline.
        difference: true rate of the candidate minus that.
        margin: largest difference that is tolerated, above 0.
        level: two-sided confidence level of the gate's interval.

    Raises:
        ValueError: a rate outside 0 to 1, a margin outside 0 to 1, or n below 1.
    """
    z = _checked(baseline, difference, margin, level)
    if n < 1:
        raise ValueError(f"at least one sample per arm is needed; got {n}")
    rule = _Rule(n, z)
    x0 = _support(n, baseline)
    weight = _binomial(x0, n, baseline)
    candidate = baseline + difference
    most_passing = rule.last(x0, lambda interval: interval.high < margin)
    most_null = rule.last(x0, lambda interval: interval.low <= 0)
    passes = float(weight @ _at_most(most_passing, n, candidate))
    fails = float(weight @ (1 - _at_most(np.maximum(most_passing, most_null), n, candidate)))
    return GateOdds(passes, fails, max(0.0, 1 - passes - fails))


def samples_per_arm(
    baseline: float, margin: float, difference: float = 0.0, power: float = 0.8, level: float = GATE_LEVEL
) -> int:
    """The fewest samples per arm from which on the gate passes with at least the given probability.

    Exact power rises in a saw-tooth; a smaller n can have the power by luck and lose it with one sample more, so this
    is the n that is never followed by too little. Chernick and Liu, Am. Stat. 56 (2002), 149-155.

    Args:
        baseline: true rate of the baseline.
        margin: largest difference that is tolerated.
        difference: true difference, below the margin.
        power: probability of passing.
        level: two-sided confidence level of the gate's interval; 0.90 is a one-sided test at 5 %.

    Raises:
        ValueError: a rate or margin outside 0 to 1, power not between 0 and 1, or a difference not below the margin.
    """
    _checked(baseline, difference, margin, level)
    if not 0 < power < 1:
        raise ValueError(f"power lies between 0 and 1, such as 0.8; got {power}")
    if difference >= margin:
        raise ValueError(f"no number of samples shows that {difference} is below a margin of {margin}")

    def enough(n: int) -> bool:
        return gate_odds(n, baseline, difference, margin, level).passes >= power

    n = _first_enough(enough)
    # A tooth of the saw is about as long as one event takes to cross the margin: 1/margin samples.
    last_tooth = n + math.ceil(2 / margin)
    return next(m for m in range(last_tooth, 0, -1) if m == 1 or not enough(m - 1))


def _first_enough(enough: Callable[[int], bool]) -> int:
    below, n = 0, 1
    while not enough(n):
        below, n = n, 2 * n
    while n - below > 1:
        middle = (below + n) // 2
        below, n = (below, middle) if enough(middle) else (middle, n)
    return n


class _Rule:
    """The gate's interval for every pair of counts of n samples, from one table of Wilson bounds."""

    def __init__(self, n: int, z: float) -> None:
        x = np.arange(n + 1)
        self.n = n
        self.arm = Intervals(x / n, *wilson_bounds(x, n, z))

    def last(self, x0: Counts, accepts: Callable[[Intervals], NDArray[np.bool_]]) -> Counts:
        """For each x0 the largest x1 whose interval is accepted, -1 if none is; both bounds rise with x1."""
        baseline = self._rates(x0)
        accepted, refused = np.full_like(x0, -1), np.full_like(x0, self.n + 1)
        while (refused - accepted > 1).any():
            x1 = (accepted + refused) // 2
            take = accepts(square_and_add(self._rates(np.maximum(x1, 0)), baseline))
            # Where the bracket has closed, x1 is `accepted` itself and must stay, also when it is -1.
            take |= x1 == accepted
            accepted, refused = np.where(take, x1, accepted), np.where(take, refused, x1)
        return accepted

    def _rates(self, x: Counts) -> Intervals:
        return Intervals(*(values[x] for values in self.arm))


def _support(n: int, p: float) -> Counts:
    reach = _TAIL * math.sqrt(n * p * (1 - p)) + _TAIL
    return np.arange(max(0, math.floor(n * p - reach)), min(n, math.ceil(n * p + reach)) + 1)


def _binomial(x: Counts, n: int, p: float) -> Floats:
    ways = gammaln(n + 1) - gammaln(x + 1) - gammaln(n - x + 1)
    return np.asarray(np.exp(ways + xlogy(x, p) + xlog1py(n - x, -p)))


def _at_most(x: Counts, n: int, p: float) -> Floats:
    return np.asarray(np.where(x < 0, 0.0, bdtr(np.maximum(x, 0), n, p)))


def _checked(baseline: float, difference: float, margin: float, level: float) -> float:
    check_fraction("the baseline rate", baseline)
    check_fraction("the candidate's rate", baseline + difference)
    if not 0 < margin < 1:
        raise ValueError(f"a margin lies between 0 and 1, such as 0.05 for 5 points; got {margin}")
    return two_sided_z(level)
