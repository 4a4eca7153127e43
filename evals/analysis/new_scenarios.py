"""Differences and rates for the claim about new scenarios like these: the scenarios are a sample too.

With few scenarios this is the wide claim, and the one that generalises. Every interval that counts samples or cells as
independent covers far too seldom here, so none of those carries this label. One scenario supports no such claim.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from sidedoor.evals.analysis.counts import Arm, Counts, Floats, TwoArms
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
    table = _by_scenario(arms.strata, scenarios, arms.shared)
    if len(table) < 2:
        return None
    p1, n1 = _scenario_rates(_taken(arms.arm1.x, table), _taken(arms.arm1.n, table))
    p0, n0 = _scenario_rates(_taken(arms.arm0.x, table), _taken(arms.arm0.n, table))
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
    table = _by_scenario(strata, scenarios, arm.n > 0)
    if len(table) < 2:
        return None
    intervals = rate_intervals(*_scenario_rates(_taken(arm.x, table), _taken(arm.n, table)), level)
    rate, low, high = (float(value) for value in intervals)
    return _rate(rate, low, high, arm.x, arm.n, arm.missing, level)


def rates_in_new_scenarios(x: Counts, n: Counts, missing: Counts, level: float = 0.95) -> list[Estimate | None]:
    """`rate_in_new_scenarios` of many groups at once, for tables.

    Args:
        x: events, shape (groups, scenarios, strata).
        n: samples, likewise.
        missing: samples without a known outcome, likewise.
        level: two-sided confidence level.

    Raises:
        ValueError: impossible level.
    """
    check_level(level)
    used = (n > 0).any(axis=(0, 1))
    rates, sizes = _scenario_rates(x.compress(used, axis=-1), n.compress(used, axis=-1))
    enough = np.flatnonzero((sizes > 0).sum(axis=-1) > 1)
    bounds = zip(*(values.tolist() for values in rate_intervals(rates[enough], sizes[enough], level)), strict=True)
    found: list[Estimate | None] = [None] * len(n)
    for group, (rate, low, high) in zip(enough.tolist(), bounds, strict=True):
        found[group] = _rate(rate, low, high, x[group], n[group], missing[group], level)
    return found


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
        n: effective samples behind each of them; 0 where a scenario has none, above it in two or more.
        level: two-sided confidence level.
    """
    known = n > 0
    scenarios = known.sum(axis=-1)
    mean, size = np.where(known, p, 0.0).sum(axis=-1) / scenarios, _effective_size(n)
    squares = np.where(known, p - mean[..., None], 0.0) ** 2
    variance = squares.sum(axis=-1) / (scenarios - 1) / scenarios
    deff = _design_effect(variance, mean * (1 - mean) / size)
    return _hull(_wilson(mean, size / deff, two_sided_z(level)), variance, scenarios, level, 0.0)


def _rate(rate: float, low: float, high: float, x: Counts, n: Counts, missing: Counts, level: float) -> Estimate:
    return Estimate(
        estimate=rate,
        low=low,
        high=high,
        level=level,
        method=_METHOD.format("Wilson"),
        n=int(n.sum()),
        x=int(x.sum()),
        missing=int(missing.sum()),
        claim="new_scenarios",
    )


def _hull(score: Intervals, variance: Floats, scenarios: ArrayLike, level: float, least: float) -> Intervals:
    half = stdtrit(np.subtract(scenarios, 1), (1 + level) / 2) * np.sqrt(variance)
    low = np.minimum(score.low, score.estimate - half)
    high = np.maximum(score.high, score.estimate + half)
    return Intervals(score.estimate, np.maximum(low, least), np.minimum(high, 1.0))


def _wilson(p: Floats, n: Floats, z: float) -> Intervals:
    return Intervals(p, *wilson_bounds(p * n, n, z))


def _design_effect(variance: Floats, binomial: Floats) -> Floats:
    # Where no outcome varies there is nothing to inflate.
    ratio = np.where(binomial > 0, variance / np.where(binomial > 0, binomial, 1.0), 1.0)
    return np.asarray(np.maximum(1.0, ratio))


def _effective_size(n: Floats | Counts) -> Floats:
    """The n of one binomial rate whose variance is that of an equal-weight mean of rates: G²/Σ(1/n), 0 without any.

    Where n is 0 there is no rate.
    """
    known = n > 0
    inverse = np.sum(known / np.where(known, n, 1), axis=-1)
    return np.asarray(known.sum(axis=-1) ** 2 / np.where(inverse > 0, inverse, 1.0))


def _by_scenario(strata: Sequence[str], scenarios: Sequence[str], usable: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Places of the usable strata, a row for each scenario that has any; rows are filled up with the place -1."""
    if len(scenarios) != len(strata):
        raise ValueError(f"one scenario per stratum is needed: {len(scenarios)} for {len(strata)} strata")
    rows: dict[str, list[int]] = {}
    for place in np.flatnonzero(usable).tolist():
        rows.setdefault(scenarios[place], []).append(place)
    longest = max(map(len, rows.values()), default=0)
    filled = [row + [-1] * (longest - len(row)) for row in rows.values()]
    return np.array(filled, dtype=np.int64).reshape(len(rows), longest)


def _taken(counts: Counts, table: NDArray[np.int64]) -> Counts:
    return np.append(counts, 0)[table]


def _scenario_rates(x: Counts, n: Counts) -> tuple[Floats, Floats]:
    """Equal-weight means over strata, the last axis, and the effective samples behind them; both 0 without samples."""
    strata = (n > 0).sum(axis=-1)
    return np.sum(x / np.maximum(n, 1), axis=-1) / np.maximum(strata, 1), _effective_size(n)
