"""The rule, as arithmetic: intervals, one-sided p-values, the decision, and what would decide. No data, no files.

[L, U] is the interval of candidate - baseline at the two-sided level 1 - 2·alpha. PASS: U < margin. FAIL: L > 0, after
Holm over the declared family, and U ≥ margin. Else INCONCLUSIVE. A wrong FAIL of any case in the family has probability
at most alpha. PASS needs no adjustment: the gate passes only if every case does, and the probability that all do
wrongly is at most that of one (intersection-union; Berger, Technometrics 24 (1982), 295-300).
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np
from scipy.special import ndtr, ndtri

from sidedoor.evals.analysis.counts import Arm, Floats, TwoArms
from sidedoor.evals.analysis.differences import effective_newcombe, stratified_newcombe
from sidedoor.evals.analysis.estimate import Claim, Difference, Estimate
from sidedoor.evals.analysis.new_scenarios import difference_in_new_scenarios, rate_in_new_scenarios
from sidedoor.evals.analysis.power import gate_odds
from sidedoor.evals.analysis.proportions import binomial_p_value, clopper_pearson

Decision: TypeAlias = Literal["PASS", "FAIL", "INCONCLUSIVE"]

ALPHA: Final = 0.05
POWER: Final = 0.8
MOST_SAMPLES: Final = 50_000
"""Beyond it no number of samples is proposed: the margin is too close to what was observed."""

_CLOSE_ENOUGH: Final = 1.01
_HALVINGS: Final = 20
_LEAST_ALPHA, _MOST_ALPHA = 1e-12, 0.499


class Needed(NamedTuple):
    """What would decide, if the true rates are those observed.

    Attributes:
        number: how many; None if even `MOST_SAMPLES` would not.
        unit: samples in each arm, samples of the candidate alone, or scenarios.
        chance: probability of PASS at that number.
    """

    number: int | None
    unit: Literal["samples per arm", "samples", "scenarios"]
    chance: float


def decide(low: float, high: float, threshold: float, shown_worse: bool) -> Decision:
    """The decision of one case.

    Args:
        low: lower bound; of a ceiling, too.
        high: upper bound.
        threshold: margin, or ceiling.
        shown_worse: whether the adjusted p-value supports that it is worse.
    """
    if not low <= high:
        raise ValueError(f"not an interval: [{low}, {high}]")
    if high < threshold:
        return "PASS"
    return "FAIL" if shown_worse else "INCONCLUSIVE"


def two_sided(alpha: float) -> float:
    """The two-sided level whose bounds are one-sided ones at `alpha`."""
    return 1 - 2 * alpha


def difference(arms: TwoArms, scenarios: Sequence[str], claim: Claim, alpha: float) -> Difference | None:
    """Candidate minus baseline by the claim; None where no such claim can be made (a single scenario).

    For these scenarios it is Newcombe's interval at effective sample sizes, whatever the number of samples per stratum.
    The stratified Newcombe interval averages bounds over strata and is too narrow where there are many: at this level
    it passed 8 to 10 % of candidates at the margin with 56 strata of 12 samples, and 16 % with 56 of 3, where this one
    passes 4 to 5 % (benchmarks/gate.py).
    """
    if claim == "new_scenarios":
        return difference_in_new_scenarios(arms, scenarios, two_sided(alpha))
    if np.count_nonzero(arms.shared) > 1:
        return effective_newcombe(arms, two_sided(alpha))
    return stratified_newcombe(arms, two_sided(alpha))


def difference_extremes(
    arms: TwoArms, scenarios: Sequence[str], claim: Claim, alpha: float
) -> tuple[Difference | None, Difference | None]:
    """The difference at both extremes of the missing samples: those that favour the candidate, and those against it."""
    best = TwoArms(arms.strata, _filled(arms.arm1, event=False), _filled(arms.arm0, event=True))
    worst = TwoArms(arms.strata, _filled(arms.arm1, event=True), _filled(arms.arm0, event=False))
    return difference(best, scenarios, claim, alpha), difference(worst, scenarios, claim, alpha)


def worse_p_value(arms: TwoArms, scenarios: Sequence[str], claim: Claim) -> float:
    """The one-sided p-value of "not worse": the alpha at which the lower bound of the difference is 0; 1 if d ≤ 0."""

    def low(alpha: float) -> float:
        found = difference(arms, scenarios, claim, alpha)
        return -1.0 if found is None else found.low

    return _p_value(low, 0.0)


def rate(strata: Sequence[str], arm: Arm, scenarios: Sequence[str], claim: Claim, alpha: float) -> Estimate | None:
    """The candidate's rate with bounds that are exact for these scenarios; None where no claim can be made."""
    if claim == "new_scenarios":
        return rate_in_new_scenarios(strata, arm, scenarios, two_sided(alpha))
    return clopper_pearson(int(arm.x.sum()), int(arm.n.sum()), two_sided(alpha), int(arm.missing.sum()))


def above_p_value(strata: Sequence[str], arm: Arm, scenarios: Sequence[str], claim: Claim, ceiling: float) -> float:
    """The one-sided p-value of "not above the ceiling"."""
    if claim == "these_scenarios":
        return binomial_p_value(int(arm.x.sum()), int(arm.n.sum()), ceiling)

    def low(alpha: float) -> float:
        found = rate_in_new_scenarios(strata, arm, scenarios, two_sided(alpha))
        return 0.0 if found is None else found.low

    return _p_value(low, ceiling)


@lru_cache(maxsize=1_024)
def difference_needs(
    baseline: float, true: float, margin: float, alpha: float, family: int = 1, present: int = 0
) -> Needed:
    """Samples per arm that would decide a difference in these scenarios, by the exact power of the rule.

    FAIL is taken at alpha divided by the family, the first and strictest step of Holm's adjustment.

    Args:
        baseline: rate of the baseline, as observed.
        true: difference, as observed.
        margin: largest tolerated difference.
        alpha: one-sided error.
        family: size of the declared family.
        present: samples per arm that have not decided.
    """
    baseline = min(max(baseline, -true, 0.0), 1 - max(true, 0.0))

    def odds(n: int) -> tuple[float, float]:
        passes, fails, _ = gate_odds(n, baseline, true, margin, two_sided(alpha))
        if family > 1:
            fails = gate_odds(n, baseline, true, margin, two_sided(alpha / family)).fails
        return passes, min(fails, 1 - passes)

    number, chance = _first_deciding(odds, present)
    return Needed(number, "samples per arm", chance)


def ceiling_needs(found: Estimate, ceiling: float, alpha: float, family: int = 1) -> Needed:
    """Samples that would decide a ceiling, by the normal approximation to the exact bound's power."""
    p = found.x / found.n
    strict = float(ndtri(1 - alpha / family))

    def odds(n: int) -> tuple[float, float]:
        deviation = math.sqrt(max(p * (1 - p), 1e-12) / n)
        reach = float(ndtri(1 - alpha)) * math.sqrt(ceiling * (1 - ceiling) / n)
        # At no event the bound is exact and certain.
        passes = float(1 - alpha ** (1 / n) < ceiling) if p == 0 else float(ndtr((ceiling - reach - p) / deviation))
        above = strict * math.sqrt(ceiling * (1 - ceiling) / n)
        return passes, float(ndtr((p - ceiling - above) / deviation))

    number, chance = _first_deciding(odds, found.n)
    return Needed(number, "samples", chance)


def scenarios_need(arms: TwoArms, scenarios: Sequence[str], margin: float, alpha: float, family: int = 1) -> Needed:
    """Scenarios that would decide a difference in new scenarios, if they spread as these do (normal approximation)."""
    differences = _scenario_differences(arms, scenarios)
    mean, spread = float(differences.mean()), float(differences.std(ddof=1))

    def odds(g: int) -> tuple[float, float]:
        deviation = max(spread, 1e-9) / math.sqrt(g)
        passes = float(ndtr((margin - mean) / deviation - ndtri(1 - alpha)))
        worse = float(ndtr(mean / deviation - ndtri(1 - alpha / family)))
        return passes, max(0.0, min(worse, 1 - passes))

    number, chance = _first_deciding(odds, differences.size)
    return Needed(number, "scenarios", chance)


def _first_deciding(odds: Callable[[int], tuple[float, float]], present: int) -> tuple[int | None, float]:
    """The first number above `present` at which PASS or FAIL has the power, and the chance of PASS there."""

    def decides(n: int) -> bool:
        return max(odds(n)) >= POWER

    below, n = present, present + 1
    while not decides(n):
        if n >= MOST_SAMPLES:
            return None, odds(n)[0]
        below, n = n, min(2 * n, MOST_SAMPLES)
    while n - below > 1 and n > below * _CLOSE_ENOUGH:
        middle = (below + n) // 2
        below, n = (below, middle) if decides(middle) else (middle, n)
    return n, odds(n)[0]


def _p_value(low: Callable[[float], float], threshold: float) -> float:
    """The smallest alpha, below ½, whose lower bound exceeds the threshold; 1 if none does."""
    least, most = _LEAST_ALPHA, _MOST_ALPHA
    if low(most) <= threshold:
        return 1.0
    if low(least) > threshold:
        return least
    for _ in range(_HALVINGS):
        middle = math.sqrt(least * most)
        least, most = (least, middle) if low(middle) > threshold else (middle, most)
    return most


def _filled(arm: Arm, *, event: bool) -> Arm:
    return Arm(arm.x + arm.missing if event else arm.x, arm.n + arm.missing, arm.missing)


def _scenario_differences(arms: TwoArms, scenarios: Sequence[str]) -> Floats:
    of_stratum, shared = np.asarray(scenarios, dtype=str), arms.shared
    size1, size0 = np.maximum(arms.arm1.n, 1), np.maximum(arms.arm0.n, 1)
    d = arms.arm1.x / size1 - arms.arm0.x / size0
    names = dict.fromkeys(of_stratum[shared].tolist())
    return np.array([d[shared & (of_stratum == name)].mean() for name in names])
