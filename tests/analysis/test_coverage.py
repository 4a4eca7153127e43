"""The intervals hold the truth as often as they say: benchmarks/coverage.py with fewer replications."""

from types import ModuleType
from typing import Any

import numpy as np
import pytest

from sidedoor.evals.analysis.differences import Intervals, newcombe_bounds
from tests.benchmark import load_benchmark

REPLICATIONS = 1500


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return load_benchmark("coverage")


@pytest.fixture(scope="module")
def these(benchmark: ModuleType) -> dict[tuple[str, str], Any]:
    return {(r.target, r.method): r for r in benchmark.simulate("fixed", REPLICATIONS, seed=7)}


@pytest.fixture(scope="module")
def new(benchmark: ModuleType) -> dict[tuple[str, str], Any]:
    return {(r.target, r.method): r for r in benchmark.simulate("random", REPLICATIONS, seed=7)}


@pytest.mark.parametrize(
    "target",
    [
        "+15 points",
        "+15 points, unbalanced",
        "null",
        "0.2 % model, H less A",
        "highest less 0.2 % model",
        "two models of the same rate",
    ],
)
def test_these_scenarios_cover_at_least_93_percent(these: dict[tuple[str, str], Any], target: str) -> None:
    assert these[target, "default"].coverage >= 0.93


def test_the_cross_check_and_the_rate_of_a_rare_model_cover_too(these: dict[tuple[str, str], Any]) -> None:
    checked = [r.coverage for (_, method), r in these.items() if method in ("Miettinen-Nurminen", "Wilson")]
    assert len(checked) == 5
    assert min(checked) >= 0.93


@pytest.mark.parametrize("target", ["+15 points", "null", "0.2 % model, H less A", "0.2 % model, rate"])
def test_new_scenarios_cover_at_least_90_percent(new: dict[tuple[str, str], Any], target: str) -> None:
    assert new[target, "new scenarios"].coverage >= 0.90


def test_no_simulated_interval_is_without_width(
    these: dict[tuple[str, str], Any], new: dict[tuple[str, str], Any]
) -> None:
    assert min(r.least_width for r in [*these.values(), *new.values()]) > 0


def test_the_default_is_not_biased_where_the_difference_without_strata_is(these: dict[tuple[str, str], Any]) -> None:
    assert abs(these["+15 points, unbalanced", "default"].bias) < 0.005
    assert these["+15 points, unbalanced", "Newcombe, no strata"].bias < -0.02
    assert these["+15 points, unbalanced", "Newcombe, no strata"].coverage < 0.93


def test_stratified_newcombe_alone_covers_too_seldom_over_cells_of_three(these: dict[tuple[str, str], Any]) -> None:
    assert these["highest less 0.2 % model", "stratified Newcombe"].coverage < 0.90


def test_a_sampling_interval_covers_too_seldom_for_new_scenarios(new: dict[tuple[str, str], Any]) -> None:
    assert new["+15 points", "default of these scenarios"].coverage < 0.90


def test_the_default_covers_over_many_strata_where_stratified_newcombe_does_not(benchmark: ModuleType) -> None:
    strata, size, rate = 56, 12, 0.05
    n = np.full((REPLICATIONS, strata), size)
    x1, x0 = np.random.default_rng(7).binomial(size, rate, (2, *n.shape))

    def coverage(found: Intervals) -> float:
        return float(np.mean((found.low <= 0) & (found.high >= 0)))

    assert coverage(benchmark.default(x1, n, x0, n)) >= 0.93
    assert coverage(benchmark.intervals(newcombe_bounds, x1, n, x0, n)) < 0.93
