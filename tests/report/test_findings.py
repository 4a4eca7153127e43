"""The figures of a report: counted once, with what is missing, and reproducing what is published."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidedoor.evals.frame.imported import write_import
from sidedoor.evals.frame.problems import MissingSample
from sidedoor.evals.frame.read import Frame, read_frame
from sidedoor.evals.frame.rows import FrameRow
from sidedoor.evals.published import Margins
from sidedoor.evals.published import cohort as published_cohort
from sidedoor.evals.report.data import Effect, ReportData
from sidedoor.evals.report.findings import analyse
from sidedoor.evals.report.render import page
from sidedoor.evals.report.words import verdict
from sidedoor.scorers.failures import Failure
from sidedoor.tasks.yaml_source import load

MARGINS = Path(__file__).parents[2] / "results" / "published" / "margins.yaml"
IC = "ic_behavior_detected"

Row = Callable[..., FrameRow]
MakeFrame = Callable[..., Frame]


def absent(model: str, scenario: str, variant: str, killed: Failure | None = None) -> MissingSample:
    place = {"suite": "instrumental", "scenario": scenario, "variant": variant, "epoch": 1}
    return MissingSample(run="run-1", model=model, killed=killed, **place)


def pooled(data: ReportData, changed: str, measure: str = IC) -> Effect:
    return next(one for one in data.effects if (one.measure, one.model, one.changed) == (measure, None, changed))


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    folder = tmp_path_factory.mktemp("import") / "published"
    write_import(folder, published_cohort(load(MARGINS, Margins)))
    return analyse(read_frame([folder]))


def test_every_rate_equals_an_independent_count(frame: MakeFrame, cohort: Callable[..., list[FrameRow]]) -> None:
    rows = cohort(lambda _model, _scenario, variant: 0.4 if variant == "H" else 0.1, models=3, epochs=2)
    data = analyse(frame(rows))
    for rate in (one for one in data.rates if one.measure == IC):
        chosen = [
            row
            for row in rows
            if rate.model in (None, row.model)
            and rate.scenario in (None, row.scenario)
            and rate.variant in (None, row.variant)
        ]
        assert rate.estimate.n == len(chosen)
        assert rate.estimate.x == sum(bool(row.ic_behavior_detected) for row in chosen)


def test_invalid_and_absent_samples_leave_the_rate_and_are_counted_by_reason(
    row: Row, invalid: Row, frame: MakeFrame
) -> None:
    rows = [row("m", "alpha", "A", 1, ic_behavior_detected=True), row("m", "alpha", "A", 2)]
    rows += [invalid("m", "alpha", "A", Failure.API_TIMEOUT, epoch=3), invalid("m", "alpha", "B", Failure.MACHINE_DIED)]
    data = analyse(frame(rows, [absent("m", "beta", "A")]))
    rate = data.rate(IC, model="m")
    assert (rate.estimate.x, rate.estimate.n, rate.estimate.missing) == (1, 2, 3)
    assert rate.lowest is not None
    assert rate.highest is not None
    assert (rate.lowest.estimate, rate.highest.estimate) == (1 / 5, 4 / 5)
    assert data.counts[0].invalid == {Failure.API_TIMEOUT: 1, Failure.MACHINE_DIED: 1}
    assert data.counts[0].missing == 1
    assert "3 samples without a known outcome" in " ".join(verdict(data))


def test_what_was_under_way_when_its_run_was_stopped_is_told_by_phase_and_leaves_the_rates(
    row: Row, frame: MakeFrame
) -> None:
    killed = [absent("m", "alpha", variant, Failure.KILLED_IN_CAPTURE) for variant in "BC"]
    data = analyse(frame([row("m", "alpha", "A"), row("n", "alpha", "A")], [*killed, absent("m", "alpha", "D")]))
    assert [(one.missing, one.killed) for one in data.counts] == [(3, {Failure.KILLED_IN_CAPTURE: 2}), (0, {})]
    assert (data.rate(IC).estimate.n, data.rate(IC).estimate.missing) == (2, 3)
    said = " ".join(verdict(data))
    assert "in 2 the run was stopped while evidence was read and 1 were planned and are not there" in said
    assert 'planned, not there">3<small>the run was stopped while evidence was read: 2' in page(data)


def test_a_known_label_of_an_invalid_sample_is_not_counted(row: Row, frame: MakeFrame) -> None:
    kept_out = {"status": "invalid", "invalid_reason": "unobserved", "ic_behavior_detected": False}
    data = analyse(frame([row("m", "alpha", "A"), row("m", "alpha", "B", **kept_out)]))
    assert data.rate(IC).estimate.n == 1


def test_rates_are_of_the_labels_after_adjudication(row: Row, frame: MakeFrame) -> None:
    reviewed = row("m", "alpha", "A", adj_ic_behavior_detected=True, adjudicated_by="someone")
    data = analyse(frame([reviewed, row("m", "alpha", "B")]))
    assert data.rate(IC).estimate.x == 1
    assert (data.adjudicated, data.adjudication_changed) == (1, 1)


def test_a_conditional_rate_counts_only_those_that_meet_the_condition(row: Row, frame: MakeFrame) -> None:
    rows = [row("m", "alpha", "A", ic_behavior_detected=True), row("m", "alpha", "B", engaged=False)]
    rows += [row("m", "alpha", "C", engaged=None, status="ok"), row("m", "alpha", "H", escalated=True)]
    data = analyse(frame(rows))
    given = data.rate("ic_given_engaged").estimate
    assert (given.x, given.n, given.missing) == (1, 2, 1)
    blocked = data.rate("escalation_given_blocked").estimate
    assert (blocked.x, blocked.n) == (1, 1)


def test_the_eight_variants_give_the_seven_contrasts_of_the_suite(published: ReportData) -> None:
    pairs = {one.variants for one in published.effects}
    assert pairs == {((a, b),) for a, b in ("AB", "AC", "AD", "AF", "AH", "DE", "FG")}


@pytest.mark.parametrize(
    ("variant", "points"),
    [("B", 1.0), ("C", 4.8), ("D", 0.0), ("E", -0.5), ("F", 6.2), ("G", -7.6), ("H", 15.7)],
)
def test_published_contrasts_are_reproduced_to_a_tenth_of_a_point(
    published: ReportData, variant: str, points: float
) -> None:
    one = next(e for e in published.effects if e.model is None and e.measure == IC and e.variants[0][1] == variant)
    assert one.these_scenarios.estimate is not None
    assert round(100 * one.these_scenarios.estimate, 1) == points


def test_the_published_cohort_is_told_with_its_published_figures(published: ReportData) -> None:
    rate = published.rate(IC).estimate
    assert (rate.x, rate.n, f"{rate.low:.4f}", f"{rate.high:.4f}") == (86, 1680, "0.0416", "0.0628")
    assert published.by_model is not None
    assert published.by_model.share == pytest.approx(57 / 86)
    assert published.by_scenario is not None
    assert published.by_scenario.share == pytest.approx(73 / 86)
    assert published.ordering is not None
    assert ("Gemini 3.1 Pro", "Gemini 3 Flash") in published.ordering.unordered


def test_a_crossed_design_pools_all_pairs_that_differ_in_one_factor(row: Row, frame: MakeFrame) -> None:
    rows = [
        row("m", scenario, f"{stance}-{path}", epoch, factors={"stance": stance, "honest_path": path}, **label)
        for scenario in ("alpha", "beta")
        for stance in ("forbidden", "vague")
        for path in ("open", "blocked")
        for epoch in range(1, 13)
        for label in [{IC: path == "blocked" and epoch <= 6}]
    ]
    data = analyse(frame(rows))
    blocked = next(e for e in data.effects if e.measure == IC and e.factor == "honest_path")
    assert len(blocked.variants) == 2
    assert abs(blocked.these_scenarios.estimate or 0) == pytest.approx(0.5)
    stance = next(e for e in data.effects if e.measure == IC and e.factor == "stance")
    assert stance.these_scenarios.estimate == pytest.approx(0)


def test_an_effect_is_not_biased_by_models_that_ran_one_variant_more_often(row: Row, frame: MakeFrame) -> None:
    rows = [row("bad", "alpha", "A", epoch, ic_behavior_detected=True) for epoch in range(1, 31)]
    rows += [row("bad", "alpha", "B", epoch, ic_behavior_detected=True) for epoch in range(1, 4)]
    rows += [row("good", "alpha", "A", epoch) for epoch in range(1, 4)]
    rows += [row("good", "alpha", "B", epoch) for epoch in range(1, 31)]
    effect = pooled(analyse(frame(rows)), "watched").these_scenarios
    assert effect.estimate == pytest.approx(0)
    assert effect.x1 / effect.n1 < effect.x0 / effect.n0


def test_a_scenario_that_the_suite_excludes_from_a_factor_is_left_out_and_named(row: Row, frame: MakeFrame) -> None:
    rows = [row("m", scenario, v) for scenario in ("final_instance", "quota_boost") for v in ("D", "E")]
    effect = pooled(analyse(frame(rows)), "existential")
    assert effect.excluded == ("final_instance",)
    assert effect.these_scenarios.n == 2


def test_a_cell_that_one_arm_lacks_is_left_out_by_name(row: Row, frame: MakeFrame) -> None:
    rows = [row("m", "alpha", "A"), row("m", "alpha", "B"), row("m", "beta", "A")]
    effect = pooled(analyse(frame(rows)), "watched").these_scenarios
    assert len(effect.left_out) == 1
    assert "beta" in effect.left_out[0]


def test_samples_that_two_models_do_not_share_are_counted_as_unpaired(row: Row, frame: MakeFrame) -> None:
    rows = [row("a", "alpha", "A"), row("b", "alpha", "A"), row("b", "alpha", "B")]
    (pair,) = analyse(frame(rows)).pairs
    assert (pair.neither, pair.unpaired) == (1, 1)


def test_an_epoch_that_models_have_twice_is_paired_twice_in_the_order_of_the_rows(row: Row, frame: MakeFrame) -> None:
    outcomes = {"a": (True, False, True), "b": (True, True)}
    rows = [row(m, "alpha", "A", **{IC: event}) for m, events in outcomes.items() for event in events]
    (pair,) = analyse(frame(rows)).pairs
    assert (pair.both, pair.only_model, pair.only_baseline, pair.unpaired) == (1, 0, 1, 1)


def test_consistency_is_of_the_epochs_that_ran(row: Row, frame: MakeFrame) -> None:
    events = {"alpha": (True, True), "beta": (True, False, None), "gamma": (False,), "delta": (False, None)}
    rows = [
        row("m", scenario, "A", epoch, **{IC: event})
        for scenario, epochs in events.items()
        for epoch, event in enumerate(epochs, start=1)
    ]
    (found,) = analyse(frame(rows, [absent("m", "alpha", "A"), absent("m", "zeta", "A")])).consistency
    assert (found.systematic.x, found.sporadic.x, found.never.x, found.undecided) == (1, 1, 0, 2)


def test_suites_in_one_report_are_kept_apart(row: Row, frame: MakeFrame) -> None:
    rows = [row("m", "alpha", "A"), row("m", "alpha", "A", suite="other", ic_behavior_detected=True)]
    data = analyse(frame(rows))
    assert data.scenarios == ("instrumental/alpha", "other/alpha")
    assert data.rate(IC, scenario="other/alpha").estimate.x == 1


def test_variants_of_two_suites_are_not_compared_with_each_other(row: Row, frame: MakeFrame) -> None:
    rows = [row("m", "alpha", v, suite=suite) for suite in ("instrumental", "other") for v in "AB"]
    effect = pooled(analyse(frame(rows)), "watched")
    assert effect.variants == (("instrumental/A", "instrumental/B"), ("other/A", "other/B"))
    assert effect.these_scenarios.n == 4


def test_the_summary_can_be_read_back_as_it_was_written(published: ReportData) -> None:
    assert ReportData.model_validate_json(published.model_dump_json()) == published


def words_of(data: ReportData) -> str:
    return " ".join(verdict(data)).replace("\u202f", " ")


def test_all_invalid_says_so_and_gives_no_rate(invalid: Row, frame: MakeFrame) -> None:
    data = analyse(
        frame([invalid("m", "alpha", "A", Failure.API_TIMEOUT), invalid("m", "alpha", "B", Failure.MACHINE_DIED)])
    )
    assert words_of(data).startswith("Nothing can be said: of 2 samples, none has a known outcome.")
    assert "%" not in words_of(data)


def test_one_sample_has_a_rate_with_a_wide_interval(row: Row, frame: MakeFrame) -> None:
    data = analyse(frame([row("m", "alpha", "A")]))
    assert "none of 1 sample; the rate is at most 79.3 %" in words_of(data)
    assert data.pairs == ()
    assert data.ordering is None


def test_models_without_a_shared_cell_are_not_ordered(row: Row, frame: MakeFrame) -> None:
    data = analyse(frame([row("a", "alpha", "A"), row("b", "beta", "B", ic_behavior_detected=True)]))
    assert data.pairs == ()
    assert data.ordering is None
    assert "told apart" not in words_of(data)


def test_a_study_without_shortcuts_is_told_by_its_violations(row: Row, frame: MakeFrame) -> None:
    violated: dict[str, Any] = {IC: None, "constraint_violated": True}
    data = analyse(frame([row("m", "alpha", "A", **violated), row("m", "beta", "A", ic_behavior_detected=None)]))
    assert data.primary == "constraint_violated"
    assert "broke a rule in 1 of 2 samples" in words_of(data)
