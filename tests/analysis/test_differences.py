"""Differences over shared strata: oracles, agreement with other software, and what must never happen."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import optimize
from scipy.special import ndtri
from statsmodels.stats.proportion import confint_proportions_2indep, test_proportions_2indep

from sidedoor.evals.analysis.counts import Arm, TwoArms, single_stratum
from sidedoor.evals.analysis.differences import (
    effective_newcombe,
    miettinen_nurminen,
    newcombe,
    risk_difference,
    score_p_value,
    stratified_newcombe,
)
from sidedoor.evals.analysis.new_scenarios import difference_in_new_scenarios, rate_in_new_scenarios

# Its name would otherwise be collected as a test.
two_sample_test = test_proportions_2indep
del test_proportions_2indep

TABLES = [(20, 101, 10, 105), (1, 50, 0, 40), (56, 70, 48, 80), (9, 10, 3, 10), (29, 168, 28, 168), (5, 5, 0, 7)]
METHODS = (stratified_newcombe, effective_newcombe, miettinen_nurminen, risk_difference)


def two_arms(x1: Any, n1: Any, x0: Any, n0: Any) -> TwoArms:
    names = tuple(f"s{i}" for i in range(len(n1)))
    return TwoArms(names, Arm(np.array(x1), np.array(n1)), Arm(np.array(x0), np.array(n0)))


def test_miettinen_nurminen_gives_the_oracles() -> None:
    found = miettinen_nurminen(single_stratum(20, 101, 10, 105))
    assert (round(found.low, 6), round(found.high, 6)) == (0.006405, 0.202917)
    found = miettinen_nurminen(single_stratum(0, 101, 0, 105))
    assert (round(found.low, 5), round(found.high, 5)) == (-0.03546, 0.03681)


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_newcombe_agrees_with_statsmodels(table: tuple[int, int, int, int], level: float) -> None:
    found = newcombe(*table, level)
    expected = confint_proportions_2indep(*table, method="newcomb", compare="diff", alpha=1 - level)
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("table", [(20, 101, 10, 105), (56, 70, 48, 80), (9, 10, 3, 10), (29, 168, 28, 168)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_miettinen_nurminen_inverts_the_score_of_the_numerically_maximised_likelihood(
    table: tuple[int, int, int, int], level: float
) -> None:
    # Not against statsmodels: its restricted rates for a difference (0.15) do not maximise the likelihood.
    x1, n1, x0, n0 = table
    d = x1 / n1 - x0 / n0

    def excess(delta: float) -> float:
        def slope(p: float) -> float:
            return x1 / (p + delta) - (n1 - x1) / (1 - p - delta) + x0 / p - (n0 - x0) / (1 - p)

        p0 = optimize.brentq(slope, max(0, -delta) + 1e-9, min(1, 1 - delta) - 1e-9, xtol=1e-15)
        p1 = p0 + delta
        variance = (p1 * (1 - p1) / n1 + p0 * (1 - p0) / n0) * (n1 + n0) / (n1 + n0 - 1)
        return float(abs(d - delta) / math.sqrt(variance) - ndtri((1 + level) / 2))

    found = miettinen_nurminen(single_stratum(*table), level)
    expected = optimize.brentq(excess, -0.9, d, xtol=1e-14), optimize.brentq(excess, d, 0.95, xtol=1e-14)
    assert (found.low, found.high) == pytest.approx(expected, abs=1e-9)


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning:statsmodels")
@pytest.mark.parametrize("table", TABLES)
def test_the_score_p_value_agrees_with_statsmodels(table: tuple[int, int, int, int]) -> None:
    expected = two_sample_test(*table, method="score", compare="diff", correction=True).pvalue
    assert score_p_value(single_stratum(*table)) == pytest.approx(expected, abs=1e-9)


def test_the_score_p_value_and_interval_decide_alike() -> None:
    rng = np.random.default_rng(5)
    for _ in range(50):
        n1, n0 = rng.integers(1, 40, (2, 4))
        arms = two_arms(rng.binomial(n1, 0.3), n1, rng.binomial(n0, 0.1), n0)
        p, found = score_p_value(arms), miettinen_nurminen(arms)
        if abs(p - 0.05) > 1e-6:
            assert (p < 0.05) == (found.low > 0 or found.high < 0)


def test_one_stratum_is_newcombes_interval() -> None:
    for table in TABLES:
        plain, stratified = newcombe(*table), stratified_newcombe(single_stratum(*table))
        assert (plain.low, plain.high) == (stratified.low, stratified.high)
        assert plain.method == "Newcombe"


def test_stratified_newcombe_is_its_formula() -> None:
    x1, n1, x0, n0 = np.array([[3, 0, 9], [20, 12, 30], [1, 0, 4], [18, 15, 30]])
    z = float(ndtri(0.975))

    def arm(x: Any, n: Any) -> tuple[float, float, float]:
        q = (x + 0.5) / (n + 1)
        v = q * (1 - q) / n
        k = z * math.sqrt(sum(v / 9)) / sum(np.sqrt(v) / 3)
        centre, half = x / n + k**2 / 2 / n, k * np.sqrt(x / n * (1 - x / n) / n + k**2 / 4 / n**2)
        low, high = (centre - half) / (1 + k**2 / n), (centre + half) / (1 + k**2 / n)
        return np.mean(x / n), np.mean(low), np.mean(high)

    (p1, l1, u1), (p0, l0, u0) = arm(x1, n1), arm(x0, n0)
    found = stratified_newcombe(two_arms(x1, n1, x0, n0))
    assert found.estimate == pytest.approx(p1 - p0, abs=1e-12)
    assert found.low == pytest.approx(p1 - p0 - math.hypot(p1 - l1, u0 - p0), abs=1e-12)
    assert found.high == pytest.approx(p1 - p0 + math.hypot(u1 - p1, p0 - l0), abs=1e-12)


def test_the_published_contrasts_follow_from_the_counts_of_variants(published: dict[str, Any]) -> None:
    counts = published["ic"]["by_variant_derived"]
    for name, points in published["contrasts_pp"].items():
        zero, one = name.split("-")
        found = newcombe(counts[one], 210, counts[zero], 210)
        assert found.estimate is not None
        assert round(100 * found.estimate, 1) == points
    assert newcombe(counts["H"], 210, counts["A"], 210).low > 0
    assert newcombe(counts["D"], 210, counts["A"], 210).low < 0


def test_a_balanced_grid_gives_the_raw_difference() -> None:
    arms = two_arms([3, 0, 9, 1], [24] * 4, [1, 0, 2, 1], [24] * 4)
    for method in METHODS:
        assert method(arms).estimate == pytest.approx(13 / 96 - 4 / 96, abs=1e-12)


def test_an_unbalanced_grid_does_not_move_the_estimate_where_the_raw_difference_is_biased() -> None:
    # The arms are the same in each stratum; arm 1 merely has fewer samples of the stratum in which events are common.
    arms = two_arms([6, 1], [10, 100], [60, 1], [100, 100])
    raw = 7 / 110 - 61 / 200
    assert raw < -0.2
    for method in METHODS:
        assert method(arms).estimate == pytest.approx(0, abs=1e-12)


def test_strata_of_one_arm_are_left_out_and_named() -> None:
    arms = TwoArms(
        ("both", "one", "none"),
        Arm(np.array([2, 5, 0]), np.array([20, 9, 0]), np.array([1, 0, 3])),
        Arm(np.array([1, 0, 0]), np.array([20, 0, 0]), np.array([0, 9, 3])),
    )
    alone = newcombe(2, 20, 1, 20)
    for method in (stratified_newcombe, risk_difference):
        found = method(arms)
        assert (found.low, found.high) == pytest.approx((alone.low, alone.high), abs=1e-12)
        assert (found.x1, found.n1, found.x0, found.n0, found.missing) == (2, 20, 1, 20, 16)
        assert found.left_out == ("one", "none")
        assert found.notes == ("2 of 3 strata left out, with 9 samples",)


def test_arms_without_a_shared_stratum_make_no_estimate() -> None:
    arms = two_arms([1, 0], [5, 0], [0, 2], [0, 5])
    for method in METHODS:
        found = method(arms)
        assert found.estimate is None
        assert (found.low, found.high, found.n) == (-1, 1, 0)
        assert found.notes == ("no data: the arms share no stratum",)
    assert score_p_value(arms) == 1


def test_sparse_and_many_strata_choose_the_effective_interval_and_the_method_says_so() -> None:
    assert risk_difference(two_arms([1, 2], [12, 12], [0, 1], [12, 12])).method == "stratified Newcombe"
    eight, nine = (two_arms([1] * strata, [12] * strata, [0] * strata, [12] * strata) for strata in (8, 9))
    assert risk_difference(eight).method == "stratified Newcombe"
    assert risk_difference(nine).method == "Newcombe with effective n"
    assert risk_difference(two_arms([1, 2], [12, 11], [0, 1], [12, 12])).method == "Newcombe with effective n"
    assert risk_difference(single_stratum(1, 3, 0, 3)).method == "Newcombe"


def test_in_a_balanced_grid_without_events_the_effective_n_is_the_number_of_samples() -> None:
    found = effective_newcombe(two_arms([0] * 56, [3] * 56, [0] * 56, [3] * 56))
    plain = newcombe(0, 168, 0, 168)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=1e-12)


def test_weights_move_the_estimate_and_only_their_ratio_counts() -> None:
    arms = two_arms([5, 0], [10, 10], [0, 0], [10, 10])
    found = stratified_newcombe(arms, weights=[3, 1])
    assert found.estimate == pytest.approx(0.375)
    assert found == stratified_newcombe(arms, weights=[6, 2])
    for bad in ([1], [1, -1], [0, 0], [1, float("nan")]):
        with pytest.raises(ValueError, match="weight"):
            stratified_newcombe(arms, weights=bad)


@pytest.mark.parametrize(
    ("x", "n", "message"),
    [([3], [2], "more events"), ([-1], [2], "negative"), ([0.5], [2], "whole"), ([1, 1], [2], "one entry per stratum")],
)
def test_impossible_counts_are_refused_in_one_line(x: Any, n: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Arm(np.array(x), np.array(n))


def test_strata_are_named_once_each() -> None:
    arm = Arm(np.array([1, 1]), np.array([2, 2]))
    with pytest.raises(ValueError, match="strata"):
        TwoArms(("a",), arm, arm)
    with pytest.raises(ValueError, match="twice"):
        TwoArms(("a", "a"), arm, arm)


def test_no_interval_of_any_random_table_is_without_width() -> None:
    rng = np.random.default_rng(11)
    for _ in range(60):
        strata = int(rng.integers(1, 9))
        n1, n0 = rng.choice([0, 0, 1, 2, 3, 30, 1000], (2, strata))
        p1, p0 = rng.choice([0, 0.002, 0.05, 0.5, 1], (2, strata))
        arms = two_arms(rng.binomial(n1, p1), n1, rng.binomial(n0, p0), n0)
        weights = rng.uniform(0.01, 1, strata)
        scenarios = [f"g{index % 3}" for index in range(strata)]
        found = [method(arms, level, weights) for method in METHODS for level in (0.5, 0.99)]
        new = difference_in_new_scenarios(arms, scenarios), rate_in_new_scenarios(arms.strata, arms.arm1, scenarios)
        for estimate in [*found, *(value for value in new if value is not None)]:
            assert -1 <= estimate.low < estimate.high <= 1
            if estimate.estimate is not None:
                assert estimate.low <= estimate.estimate <= estimate.high
