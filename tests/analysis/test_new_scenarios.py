"""The claim about new scenarios: wider, and refused where it cannot be made."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from sidedoor.evals.analysis.counts import Arm, TwoArms
from sidedoor.evals.analysis.differences import newcombe, risk_difference
from sidedoor.evals.analysis.new_scenarios import (
    difference_in_new_scenarios,
    rate_in_new_scenarios,
    rates_in_new_scenarios,
)

SCENARIOS = [f"s{i}" for i in range(7)]


def arm(x: Any, n: Any) -> Arm:
    return Arm(np.array(x), np.array(n))


def test_where_scenarios_differ_the_paired_t_interval_is_inside_and_the_claim_is_wider() -> None:
    x1, x0 = np.array([17, 12, 8, 2, 1, 0, 0]), np.array([2, 1, 1, 0, 0, 0, 0])
    arms = TwoArms(tuple(SCENARIOS), arm(x1, [30] * 7), arm(x0, [30] * 7))
    found = difference_in_new_scenarios(arms, SCENARIOS)
    assert found is not None
    paired = stats.ttest_rel(x1 / 30, x0 / 30).confidence_interval(0.95)
    assert found.low <= paired.low + 1e-12
    assert found.high >= paired.high - 1e-12
    these = risk_difference(arms)
    assert found.claim == "new_scenarios"
    assert these.claim == "these_scenarios"
    assert found.estimate == pytest.approx(these.estimate)
    assert found.high - found.low > 1.5 * (these.high - these.low)


def test_without_events_the_t_interval_has_no_width_and_the_claim_has() -> None:
    arms = TwoArms(tuple(SCENARIOS), arm([0] * 7, [24] * 7), arm([0] * 7, [24] * 7))
    found, plain = difference_in_new_scenarios(arms, SCENARIOS), newcombe(0, 168, 0, 168)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=1e-12)


def test_one_scenario_supports_no_claim_however_many_cells_it_has() -> None:
    arms = TwoArms(("a/A", "a/B"), arm([5, 5], [20, 20]), arm([1, 0], [20, 20]))
    assert difference_in_new_scenarios(arms, ["a", "a"]) is None
    assert rate_in_new_scenarios(arms.strata, arms.arm1, ["a", "a"]) is None
    one_shared = TwoArms(("a", "b"), arm([5, 5], [20, 20]), arm([1, 0], [20, 0]))
    assert difference_in_new_scenarios(one_shared, ["a", "b"]) is None


def test_strata_of_a_scenario_are_averaged_before_scenarios_are() -> None:
    arms = TwoArms(("a/A", "a/B", "b/A"), arm([10, 0, 0], [10, 10, 10]), arm([0, 0, 0], [10, 10, 10]))
    found = difference_in_new_scenarios(arms, ["a", "a", "b"])
    assert found is not None
    assert found.estimate == pytest.approx((0.5 + 0) / 2)


def test_a_rate_over_new_scenarios_holds_the_t_interval_of_the_scenario_rates() -> None:
    x = np.array([9, 8, 7, 2, 1, 1, 0])
    found = rate_in_new_scenarios(SCENARIOS, arm(x, [24] * 7), SCENARIOS)
    assert found is not None
    assert found.estimate == pytest.approx(x.sum() / 168)
    half = stats.t.ppf(0.975, 6) * np.std(x / 24, ddof=1) / np.sqrt(7)
    assert found.high >= x.sum() / 168 + half - 1e-12
    assert found.low >= 0


def test_each_stratum_needs_its_scenario() -> None:
    arms = TwoArms(("a", "b"), arm([1, 1], [2, 2]), arm([1, 1], [2, 2]))
    with pytest.raises(ValueError, match="one scenario per stratum"):
        difference_in_new_scenarios(arms, ["a"])
    with pytest.raises(ValueError, match="level"):
        difference_in_new_scenarios(arms, ["a", "b"], 95)


def test_groups_at_once_are_those_one_by_one_and_those_without_a_claim_are_none() -> None:
    rng = np.random.default_rng(4)
    n = rng.integers(0, 4, (30, 3, 2)) * rng.integers(0, 2, (30, 3, 2))
    x, missing = rng.binomial(n, 0.3), rng.integers(0, 2, n.shape)
    scenarios = ["a", "a", "b", "b", "c", "c"]
    found = rates_in_new_scenarios(x, n, missing, 0.9)
    for group, one in enumerate(found):
        counts = Arm(x[group].ravel(), n[group].ravel(), missing[group].ravel())
        alone = rate_in_new_scenarios(scenarios, counts, scenarios, 0.9)
        assert (one is None) == (alone is None)
        if one and alone:
            assert (one.low, one.estimate, one.high) == pytest.approx((alone.low, alone.estimate, alone.high))
            assert (one.x, one.n, one.missing) == (alone.x, alone.n, alone.missing)
    assert 0 < sum(one is None for one in found) < 30
