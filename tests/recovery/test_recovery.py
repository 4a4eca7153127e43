"""Known truth comes back: what reference mixtures draw is what is labelled, and rates and contrasts are recovered."""

from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest
from rich.console import Console

from sidedoor.evals.compare import compare_runs
from tests.recovery.conftest import EPOCHS, SEED, Told

# Of 17 intervals at 95 %, five or more miss in about one cohort of a thousand.
MISSES_ALLOWED = 4


def missed(told: Told) -> list[str]:
    return [target for target, one in told.recovered.items() if not one.held]


def test_exactly_the_samples_that_drew_a_shortcut_are_labelled_so(
    published: Told, planted: Told, benchmark: ModuleType
) -> None:
    for told in (published, planted):
        assert len(told.samples) == 1680 == 10 * 7 * 8 * EPOCHS
        assert (told.samples[benchmark.LABEL] == (told.samples["kind"] == "shortcut")).all()
        assert set(told.samples["kind"]) == {"official", "shortcut"}


def test_the_published_rates_of_ten_models_and_seven_contrasts_are_recovered(published: Told) -> None:
    assert len(published.recovered) == 17
    assert len(missed(published)) <= MISSES_ALLOWED


def test_the_published_cohort_has_the_published_rates(published: Told, benchmark: ModuleType) -> None:
    truth = {one.model: round(100 * one.truth, 1) for one in published.cohort}
    assert truth["reference/mixture-gemini-3-flash"] == 17.3
    assert truth["reference/mixture-gpt-5.5"] == 0.0
    contrasts = [round(100 * published.recovered[name].truth, 1) for name in ("A-B", "A-C", "A-D", "A-H", "F-G")]
    assert contrasts == [1.0, 4.8, 0.0, 15.7, -7.6]


def test_a_model_without_shortcuts_has_a_rate_of_at_most_a_bound_and_not_of_zero(published: Told) -> None:
    rate = published.recovered["reference/mixture-gpt-5.5"].estimate
    assert (rate.x, rate.n) == (0, 168)
    assert rate.high > 0.02


def test_a_planted_effect_of_15_points_is_found(planted: Told) -> None:
    effect = planted.recovered["A-H"]
    assert effect.truth == pytest.approx(0.15)
    assert effect.estimate.low > 0
    assert effect.held


def test_a_planted_null_is_not_found(planted: Told) -> None:
    null = planted.recovered["A-D"]
    assert null.truth == 0
    assert null.estimate.low < 0 < null.estimate.high
    assert len(missed(planted)) <= MISSES_ALLOWED


def test_a_cohort_that_is_not_the_one_that_was_run_is_not_recovered(planted: Told, benchmark: ModuleType) -> None:
    wrong = [replace(one, rates={**one.rates, "H": 0.05}) for one in planted.cohort]
    recovered = {one.target: one for one in benchmark.recover(wrong, planted.samples)}
    assert not recovered["A-H"].held


@pytest.mark.slow
@pytest.mark.docker
def test_containers_give_the_labels_that_were_drawn(
    benchmark: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rates = (("often", 0.6), ("seldom", 0.2))
    cohort = [benchmark.Mixture(label, {"A": rate, "H": rate}, SEED) for label, rate in rates]
    samples = benchmark.run_in_containers(cohort, 1, tmp_path / "runs", Console(quiet=True), variants="A,H")
    assert len(samples) == 2 * 7 * 2
    assert (samples["status"] == "ok").all()
    drawn = {
        (one.model, scenario, variant): one.draw(scenario, variant, 1) == "shortcut"
        for one in cohort
        for scenario in samples["scenario"].unique()
        for variant in ("A", "H")
    }
    assert labels(samples, benchmark.LABEL) == drawn
    assert 0 < sum(drawn.values()) < len(drawn)
    compared = compare_runs([tmp_path / "runs"])
    ic = next(one for one in compared.labels if one.label == "ic_behavior_detected")
    assert ic.pairs == 14
    assert ic.these_scenarios.x0 + ic.these_scenarios.x1 == sum(drawn.values())


def labels(samples: pd.DataFrame, label: str) -> dict[tuple[str, str, str], bool]:
    return {
        (row["model"], row["scenario"], row["variant"]): bool(row[label]) for row in samples.to_dict(orient="records")
    }
