"""One rate: Wilson, Clopper-Pearson, upper bounds, and an exact test."""

from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from sidedoor.evals.analysis.estimate import Estimate
from sidedoor.evals.analysis.proportions import (
    binomial_p_value,
    clopper_pearson,
    rule_of_three,
    upper_bound,
    wilson,
    wilson_rates,
)

TABLES = [(0, 1), (1, 1), (0, 168), (1, 168), (29, 168), (86, 1680), (168, 168), (500, 1000), (3, 1_000_000)]


def percent(value: float, digits: int) -> float:
    return round(100 * value, digits)


def test_wilson_gives_the_published_intervals() -> None:
    assert percent(wilson(0, 168).high, 2) == 2.24
    rate = wilson(29, 168)
    assert (percent(rate.low, 1), percent(rate.high, 1)) == (12.3, 23.7)
    rate = wilson(86, 1680)
    assert rate.estimate is not None
    assert [percent(value, 2) for value in (rate.estimate, rate.low, rate.high)] == [5.12, 4.16, 6.28]


def test_published_rates_of_models_follow_from_their_counts(published: dict[str, Any]) -> None:
    printed = [17.3, 16.7, 6.5, 4.2, 2.4, 1.8, 1.2, 1.2, 0, 0]
    counts = published["ic"]["by_model"].values()
    assert [percent(wilson(x, 168).estimate or 0, 1) for x in counts] == printed
    assert sum(counts) == published["ic"]["adjudicated"] == 86


@pytest.mark.parametrize(("x", "n"), TABLES)
@pytest.mark.parametrize("level", [0.8, 0.9, 0.95, 0.99])
def test_wilson_agrees_with_statsmodels(x: int, n: int, level: float) -> None:
    rate = wilson(x, n, level)
    assert (rate.low, rate.high) == pytest.approx(proportion_confint(x, n, 1 - level, "wilson"), abs=1e-9)


@pytest.mark.parametrize(("x", "n"), TABLES)
@pytest.mark.parametrize("level", [0.8, 0.9, 0.95, 0.99])
def test_clopper_pearson_agrees_with_statsmodels_and_scipy(x: int, n: int, level: float) -> None:
    rate = clopper_pearson(x, n, level)
    assert (rate.low, rate.high) == pytest.approx(proportion_confint(x, n, 1 - level, "beta"), abs=1e-9)
    exact = stats.binomtest(x, n).proportion_ci(level, "exact")
    assert (rate.low, rate.high) == pytest.approx((exact.low, exact.high), abs=1e-9)


def test_no_data_is_no_rate_and_says_so() -> None:
    for rate in (wilson(0, 0, missing=3), clopper_pearson(0, 0, missing=3)):
        assert rate.estimate is None
        assert (rate.low, rate.high, rate.missing, rate.notes) == (0, 1, 3, ("no data",))


def test_upper_bounds_after_no_event_are_those_of_the_table() -> None:
    assert (percent(rule_of_three(24), 1), percent(upper_bound(0, 24), 1)) == (12.5, 11.7)
    assert (percent(rule_of_three(168), 1), percent(upper_bound(0, 168), 1)) == (1.8, 1.8)
    assert upper_bound(0, 168) < rule_of_three(168)
    assert upper_bound(0, 0) == upper_bound(5, 5) == rule_of_three(1) == 1


@pytest.mark.parametrize(("x", "n"), [(0, 24), (1, 24), (23, 24), (3, 168)])
def test_at_its_upper_bound_a_rate_gives_so_few_events_one_time_in_twenty(x: int, n: int) -> None:
    assert stats.binom.cdf(x, n, upper_bound(x, n)) == pytest.approx(0.05, abs=1e-9)


def test_one_sided_binomial_gives_the_oracles() -> None:
    assert round(binomial_p_value(36, 99, 0.25), 4) == 0.0079
    assert round(binomial_p_value(35, 99, 0.25), 4) == 0.0140
    for x in (0, 1, 50, 99):
        expected = stats.binomtest(x, 99, 0.25, alternative="greater").pvalue
        assert binomial_p_value(x, 99, 0.25) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("x", "n", "level"), [(-1, 5, 0.95), (6, 5, 0.95), (1.5, 5, 0.95), (1, 5, 1), (1, 5, 0), (float("nan"), 5, 0.95)]
)
def test_impossible_input_is_refused_in_one_line(x: Any, n: int, level: float) -> None:
    for interval in (wilson, clopper_pearson, upper_bound):
        with pytest.raises(ValueError, match=r"^[^\n]+$"):
            interval(x, n, level)


def test_the_rule_of_three_and_a_null_need_sense() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        rule_of_three(0)
    with pytest.raises(ValueError, match="fraction"):
        binomial_p_value(1, 2, 25)


@pytest.mark.parametrize(
    "change", [{"high": 0.1}, {"estimate": 0.5}, {"x": 5}, {"missing": -1}, {"level": 95}, {"low": float("nan")}]
)
def test_an_estimate_cannot_be_built_without_width_or_sense(change: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "estimate": 0.2, "low": 0.1, "high": 0.3, "level": 0.95, "method": "Wilson", "n": 4, "x": 1
    }  # fmt: skip
    Estimate(**good)
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        Estimate(**good | change)


def test_every_interval_of_every_small_table_has_width_and_holds_its_rate() -> None:
    for n in range(40):
        for x in range(n + 1):
            for rate in (wilson(x, n), clopper_pearson(x, n)):
                assert 0 <= rate.low < rate.high <= 1
                assert rate.estimate is None or rate.low <= rate.estimate <= rate.high


def test_exact_coverage_is_never_below_the_level() -> None:
    n = 30
    bounds = [(r.low, r.high) for r in (clopper_pearson(x, n) for x in range(n + 1))]
    for p in np.linspace(0.01, 0.99, 99):
        held = [stats.binom.pmf(x, n, p) for x, (low, high) in enumerate(bounds) if low <= p <= high]
        assert sum(held) >= 0.95


def test_many_rates_at_once_are_those_one_by_one() -> None:
    x, n, missing = zip(*((x, n, x % 5) for x, n in [*TABLES, (0, 0)]), strict=True)
    assert wilson_rates(x, n, missing, 0.9) == [
        wilson(*counts[:2], 0.9, counts[2]) for counts in zip(x, n, missing, strict=True)
    ]
    with pytest.raises(ValueError, match="more events than samples: x=2, n=1"):
        wilson_rates([0, 2], [1, 1], [0, 0])
