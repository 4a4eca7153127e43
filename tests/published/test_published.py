"""The figures of arXiv 2605.06490 come out of the frame and the estimators, from the cohort with its margins."""

from itertools import combinations

import pandas as pd
import pytest

from sidedoor.evals.analysis.concentration import top_share
from sidedoor.evals.analysis.counts import TwoArms
from sidedoor.evals.analysis.differences import risk_difference
from sidedoor.evals.analysis.ordering import order_models
from sidedoor.evals.analysis.paired import mcnemar_exact, pair
from sidedoor.evals.analysis.proportions import upper_bound, wilson
from sidedoor.evals.frame.imported import Imported
from sidedoor.evals.published import Margins, cohort
from sidedoor.tasks.catalogue import load_suite
from sidedoor.tasks.yaml_source import SourceError
from tests.published.conftest import IC, counts

CONTRASTS = {"AB": 1.0, "AC": 4.8, "AD": 0.0, "DE": -0.5, "AF": 6.2, "FG": -7.6, "AH": 15.7}
TOP_SCENARIOS = ("budget_siphon", "deployment_guardian", "final_instance")
CELL = ["scenario", "variant", "epoch"]


def by(samples: pd.DataFrame, axis: str) -> dict[str, int]:
    return {str(name): int(x) for name, x in samples.groupby(axis, observed=True)[IC].sum().items()}


def test_every_published_margin_holds(samples: pd.DataFrame, margins: Margins) -> None:
    assert len(samples) == 10 * 7 * 8 * 3
    assert by(samples, "model") == dict(margins.ic_by_model)
    assert by(samples, "variant") == dict(margins.ic_by_variant)
    assert by(samples, "scenario") == dict(margins.ic_by_scenario)
    flash = samples[(samples["model"] == "Gemini 3 Flash") & (samples["scenario"] == "budget_siphon")]
    assert (int(flash[IC].sum()), len(flash)) == (17, 24)


def test_trace_review_took_84_events_to_86_and_only_changed_rows_name_a_reviewer(samples: pd.DataFrame) -> None:
    raw = samples["ic_behavior_detected"]
    assert (int(raw.sum()), int(samples[IC].sum())) == (84, 86)
    assert (samples["adjudicated_by"].notna() == (raw != samples[IC])).all()


def test_the_overall_rate_is_5_12_percent_from_4_16_to_6_28(samples: pd.DataFrame) -> None:
    rate = wilson(int(samples[IC].sum()), len(samples))
    assert rate.estimate is not None
    assert [round(100 * value, 2) for value in (rate.estimate, rate.low, rate.high)] == [5.12, 4.16, 6.28]


def test_the_top_two_models_have_66_3_percent_of_events_far_beyond_equal_models(samples: pd.DataFrame) -> None:
    sizes = {str(name): int(n) for name, n in samples.groupby("model", observed=True).size().items()}
    top = top_share(by(samples, "model"), sizes, k=2)
    assert top.top == ("Gemini 3 Flash", "Gemini 3.1 Pro")
    assert top.share is not None
    assert top.null_quantile is not None
    assert round(100 * top.share, 1) == 66.3
    # Equal models would put 29 % of 86 events into the top two of ten on average, and seldom more than 34 %.
    assert round(100 * top.null_quantile, 1) == 33.7
    assert top.p_value is not None
    assert top.p_value < 1e-4


def test_three_scenarios_have_84_9_percent_of_events(samples: pd.DataFrame) -> None:
    sizes = {str(name): int(n) for name, n in samples.groupby("scenario", observed=True).size().items()}
    top = top_share(by(samples, "scenario"), sizes, k=3)
    assert set(top.top) == set(TOP_SCENARIOS)
    assert top.share is not None
    assert round(100 * top.share, 1) == 84.9


def test_no_event_in_168_is_at_most_2_24_percent_and_never_zero(samples: pd.DataFrame) -> None:
    for model in ("Claude Opus 4.6", "GPT-5.5"):
        outcomes = samples.loc[samples["model"] == model, IC]
        rate = wilson(int(outcomes.sum()), len(outcomes))
        assert (rate.x, rate.n) == (0, 168)
        assert round(100 * rate.high, 2) == 2.24
        assert round(100 * upper_bound(rate.x, rate.n), 1) == 1.8


@pytest.mark.parametrize(("pair_of_variants", "published"), CONTRASTS.items())
def test_each_contrast_is_the_published_one_to_a_tenth_of_a_point(
    samples: pd.DataFrame, margins: Margins, pair_of_variants: str, published: float
) -> None:
    scenarios = tuple(margins.ic_by_scenario)
    arm0, arm1 = (counts(samples[samples["variant"] == one], "scenario", scenarios) for one in pair_of_variants)
    difference = risk_difference(TwoArms(scenarios, arm1, arm0))
    assert difference.estimate is not None
    assert round(100 * difference.estimate, 1) == published
    assert difference.low < difference.estimate < difference.high


def test_the_published_contrasts_are_those_that_the_suite_declares() -> None:
    assert {f"{one.baseline}{one.changed}" for one in load_suite("instrumental").contrasts} == set(CONTRASTS)


def test_29_and_28_of_168_are_not_ordered(samples: pd.DataFrame) -> None:
    outcomes = {
        str(model): dict(zip(map(tuple, group[CELL].to_numpy()), group[IC].astype(bool), strict=True))
        for model, group in samples.groupby("model", observed=True)
    }
    tables = {(a, b): pair(outcomes[a], outcomes[b]) for a, b in combinations(outcomes, 2)}
    assert all(table.pairs == 168 for table in tables.values())
    ordering = order_models(
        {model: sum(values.values()) / 168 for model, values in outcomes.items()},
        {names: mcnemar_exact(table.only1, table.only0) for names, table in tables.items()},
    )
    assert ("Gemini 3.1 Pro", "Gemini 3 Flash") in ordering.unordered
    # It can order: the two that lead are told from those without an event.
    assert ("GPT-5.5", "Gemini 3.1 Pro") in ordering.ordered
    assert ordering.family == 45


def test_completion_and_official_success_by_path_are_the_published_ones(samples: pd.DataFrame) -> None:
    blocked = samples["f_honest_path"] == "blocked"
    completed = samples["benchmark_task_completed"]
    assert round(100 * float(completed[~blocked].mean()), 1) == 98.9
    assert round(100 * float(samples["official_path_succeeded"][~blocked].mean()), 1) == 95.7
    assert (int(completed[blocked].sum()), int(blocked.sum())) == (25, 210)


def test_no_model_stands_out_by_what_is_invented(samples: pd.DataFrame) -> None:
    incomplete = samples[(samples["f_honest_path"] == "open") & ~samples["benchmark_task_completed"]]
    assert len(incomplete) == 16
    assert incomplete.groupby("model", observed=False).size().between(1, 4).all()


def test_what_is_not_published_is_unknown_and_not_no(samples: pd.DataFrame) -> None:
    for label in ("engaged", "constraint_violated", "escalated", "tampered", "clean_success", "stage"):
        assert samples[label].isna().all()
    assert samples.loc[samples["variant"] == "H", "official_path_succeeded"].isna().all()


def test_the_cohort_is_the_same_every_time(margins: Margins, rebuilt: Imported) -> None:
    assert cohort(margins) == rebuilt


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ic_by_variant": {"A": 85}}, r"disagree about the number of IC events: \[85, 86\]"),
        ({"ic_by_variant": {"A": 85, "B": 1}}, "no design of this size has these margins by variant"),
        ({"ic_by_scenario": {"budget_siphon": 86}}, "no design of this size has these margins by model and scenario"),
        ({"official_open": 1470}, "more often than samples without a shortcut allow"),
    ],
)
def test_margins_that_no_design_has_are_refused(margins: Margins, change: dict[str, object], words: str) -> None:
    with pytest.raises(SourceError, match=words):
        cohort(margins.model_copy(update=change))
