"""Differences and rates for the claim about new scenarios like these: the scenarios are a sample too.

With few scenarios this is the wide claim, and the one that generalises. Every interval that counts samples or cells as
independent covers far too seldom here, so none of those carries this label. One scenario supports no such claim.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from sidedoor.evals.analysis.counts import Arm, Floats, TwoArms
from sidedoor.evals.analysis.differences import Intervals, as_difference, square_and_add
from sidedoor.evals.analysis.estimate import Difference, Estimate, check_level, two_sided_z
from sidedoor.evals.analysis.proportions import wilson_bounds

_METHOD = "hull of scenario-level t and {} with design effect"


def difference_in_new_scenarios(arms: TwoArms, scenarios: Sequence[str], level: float = 0.95) -> Difference | None:
    """The mean over scenarios of arm 1 minus arm 0, with scenarios as the units.

    The hull of two intervals: the paired t over the G scenario differences, d ± t(G-1)·s/√G; and Newcombe's with each
    arm's n divided by max(1, deff), deff = (s²/G) / (Σ p_k(1-p_k)/n_k) after Kish, Survey Sampling (1965). The first
    has no width where nothing happened, the second trusts the few scenarios too much where their effects are skewed.
    A scenario's rates are the equal-weight means over its shared strata; scenarios weigh the same.

    Args:
        arms: counts by stratum.
        scenarios: the scenario of each stratum, one per stratum.
        level: two-sided confidence level.

    Returns:
        The difference, or None with fewer than two scenarios that have a shared stratum: no claim can be made.

    Raises:
        ValueError: impossible level, or another number of scenarios than strata.
    """
    check_level(level)
    groups = _groups(arms.strata, scenarios, arms.shared)
    if len(groups) < 2:
        return None
    p1, n1 = _scenario_rates(arms.arm1, groups)
    p0, n0 = _scenario_rates(arms.arm0, groups)
    intervals = difference_intervals(p1, n1, p0, n0, level)
    return as_difference(arms, intervals, level, _METHOD.format("Newcombe"), "new_scenarios")


def rate_in_new_scenarios(
    strata: Sequence[str], arm: Arm, scenarios: Sequence[str], level: float = 0.95
) -> Estimate | None:
    """The mean rate over scenarios with scenarios as the units: the hull as for a difference, with Wilson.

    Args:
        strata: names of the strata.
        arm: counts by stratum.
        scenarios: the scenario of each stratum.
        level: two-sided confidence level.

    Returns:
        The rate, which is the mean of scenario means and so differs from x/n in an unbalanced design; or None with
        fewer than two scenarios that have samples.

    Raises:
        ValueError: impossible level, or another number of scenarios than strata.
    """
    check_level(level)
    groups = _groups(strata, scenarios, arm.n > 0)
    if len(groups) < 2:
        return None
    rate, low, high = (float(values) for values in rate_intervals(*_scenario_rates(arm, groups), level))
    return Estimate(
        estimate=rate,
        low=low,
        high=high,
        level=level,
        method=_METHOD.format("Wilson"),
        n=int(arm.n.sum()),
        x=int(arm.x.sum()),
        missing=int(arm.missing.sum()),
        claim="new_scenarios",
    )


def difference_intervals(p1: Floats, n1: Floats, p0: Floats, n0: Floats, level: float) -> Intervals:
    """`difference_in_new_scenarios` from scenario-level rates, for any number of designs at once.

    Args:
        p1: rates of arm 1 by scenario, shape (..., scenarios), two scenarios or more.
        n1: effective samples behind each of them, above 0.
        p0: rates of arm 0.
        n0: effective samples behind them.
        level: two-sided confidence level.
    """
    d = p1 - p0
    mean1, size1 = p1.mean(axis=-1), _effective_size(n1)
    mean0, size0 = p0.mean(axis=-1), _effective_size(n0)
    variance = d.var(axis=-1, ddof=1) / d.shape[-1]
    deff = _design_effect(variance, mean1 * (1 - mean1) / size1 + mean0 * (1 - mean0) / size0)
    z = two_sided_z(level)
    one = _wilson(mean1, size1 / deff, z)
    zero = _wilson(mean0, size0 / deff, z)
    return _hull(square_and_add(one, zero), variance, d.shape[-1], level, -1.0)


def rate_intervals(p: Floats, n: Floats, level: float) -> Intervals:
    """`rate_in_new_scenarios` from scenario-level rates, for any number of designs at once.

    Args:
        p: rates by scenario, shape (..., scenarios), two scenarios or more.
        n: effective samples behind each of them, above 0.
        level: two-sided confidence level.
    """
    mean, size = p.mean(axis=-1), _effective_size(n)
    variance = p.var(axis=-1, ddof=1) / p.shape[-1]
    deff = _design_effect(variance, mean * (1 - mean) / size)
    return _hull(_wilson(mean, size / deff, two_sided_z(level)), variance, p.shape[-1], level, 0.0)


def _hull(score: Intervals, variance: Floats, scenarios: int, level: float, least: float) -> Intervals:
    half = stdtrit(scenarios - 1, (1 + level) / 2) * np.sqrt(variance)
    low = np.minimum(score.low, score.estimate - half)
    high = np.maximum(score.high, score.estimate + half)
    return Intervals(score.estimate, np.maximum(low, least), np.minimum(high, 1.0))


def _wilson(p: Floats, n: Floats, z: float) -> Intervals:
    return Intervals(p, *wilson_bounds(p * n, n, z))


def _design_effect(variance: Floats, binomial: Floats) -> Floats:
    # Where no outcome varies there is nothing to inflate.
    ratio = np.where(binomial > 0, variance / np.where(binomial > 0, binomial, 1.0), 1.0)
    return np.asarray(np.maximum(1.0, ratio))


def _effective_size(n: Floats) -> Floats:
    """The n of one binomial rate whose variance is that of an equal-weight mean of rates: G²/Σ(1/n)."""
    return np.asarray(n.shape[-1] ** 2 / np.sum(1 / n, axis=-1))


def _groups(strata: Sequence[str], scenarios: Sequence[str], usable: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    if len(scenarios) != len(strata):
        raise ValueError(f"one scenario per stratum is needed: {len(scenarios)} for {len(strata)} strata")
    of_stratum = np.asarray(scenarios, dtype=str)
    names = dict.fromkeys(of_stratum[usable].tolist())
    return [np.flatnonzero(usable & (of_stratum == name)) for name in names]


def _scenario_rates(arm: Arm, groups: list[NDArray[np.int64]]) -> tuple[Floats, Floats]:
    rates = np.array([np.mean(arm.x[group] / arm.n[group]) for group in groups])
    sizes = np.array([_effective_size(arm.n[group].astype(float)) for group in groups])
    return rates, sizes
