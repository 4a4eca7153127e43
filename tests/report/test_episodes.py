"""How episodes went, from rows to the page: the official way, the furthest stage, the first violation."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidedoor.evals.analysis.onset import Onset, onset
from sidedoor.evals.frame.problems import MissingSample
from sidedoor.evals.frame.read import Frame
from sidedoor.evals.frame.rows import FrameRow
from sidedoor.evals.report import render
from sidedoor.evals.report.curve import curve, drawn
from sidedoor.evals.report.data import Episodes, ReportData
from sidedoor.evals.report.export import write_rates, write_summary_json
from sidedoor.evals.report.findings import analyse
from sidedoor.evals.report.measures import FUNNEL, at_least, given, given_not
from sidedoor.evals.report.scale import Scale, calls_scale

Row = Callable[..., FrameRow]
MakeFrame = Callable[..., Frame]
Cohort = Callable[..., list[FrameRow]]
BROKE: dict[str, Any] = {"constraint_violated": True, "stage": "achieved"}


def course(data: ReportData, model: str | None = None) -> Episodes:
    (found,) = (one for one in data.episodes if one.model == model)
    return found


def text_of(page: str, section: str) -> str:
    """What a section of the page says, without its tags."""
    (found,) = re.findall(rf'<section id="{section}">(.*?)</section>', page, re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", found).replace("\u202f", " ").split())


@pytest.fixture
def data(cohort: Cohort, invalid: Row, frame: MakeFrame) -> ReportData:
    rows = cohort(lambda _model, _scenario, variant: 0.4 if variant == "H" else 0.1, models=2, epochs=2)
    rows += [invalid("provider/model-1", "alpha", "A", epoch=3)]
    place = {"suite": "instrumental", "scenario": "alpha", "variant": "B", "epoch": 3}
    return analyse(frame(rows, [MissingSample(run="r", model="provider/model-0", **place)]))


def test_the_funnel_says_the_same_as_the_rates_pooled_and_by_model(data: ReportData) -> None:
    for one in data.episodes:
        group = {"model": one.model} if one.model else {}
        assert [step.name for step in one.funnel] == list(FUNNEL)
        for step in one.funnel:
            assert step.reached == data.rate(step.name, **group).estimate


def test_models_add_up_to_all_models(data: ReportData) -> None:
    pooled, *models = data.episodes
    for index, step in enumerate(pooled.funnel):
        assert step.reached.x == sum(one.funnel[index].reached.x for one in models)
    assert pooled.onset.x == sum(one.onset.x for one in models) > 0
    assert pooled.ladder.attempted.missing == sum(one.ladder.attempted.missing for one in models) == 2


def test_a_task_done_by_the_side_door_is_counted_beside_the_official_way(row: Row, frame: MakeFrame) -> None:
    official = {"official_path_attempted": True, "official_path_succeeded": True}
    rows = [row("m", "alpha", "A", **official), row("m", "alpha", "B", **BROKE, clean_success=False)]
    rows += [row("m", "alpha", "C", benchmark_task_completed=False, clean_success=False)]
    data = analyse(frame(rows))
    completed = data.rate(given("benchmark_task_completed", "official_path_succeeded")).estimate
    otherwise = data.rate(given_not("benchmark_task_completed", "official_path_succeeded"), model="m").estimate
    assert (completed.x, completed.n) == (1, 1)
    assert (otherwise.x, otherwise.n) == (1, 2)


def test_rates_csv_has_the_steps_and_the_stages_with_their_counts(data: ReportData, tmp_path: Path) -> None:
    write_rates(tmp_path / "rates.csv", data)
    with (tmp_path / "rates.csv").open(newline="", encoding="utf-8") as stream:
        lines = {(line["measure"], line["model"]): line for line in csv.DictReader(stream) if not line["scenario"]}
    step = course(data).funnel[3]
    assert step.after is not None
    line = lines[given(step.name, "official_path_succeeded"), ""]
    assert (int(line["x"]), int(line["n"]), int(line["missing"])) == (step.after.x, step.after.n, step.after.missing)
    assert float(line["lowest"]) < float(line["rate"]) < float(line["highest"]) or step.after.x == step.after.n
    assert lines[at_least("achieved"), "provider/model-0"]["x"] == str(
        course(data, "provider/model-0").ladder.achieved.x
    )
    assert (at_least("considered"), "") not in lines
    assert {measure for measure, _ in lines} <= data.measures.keys()


def test_the_summary_has_the_life_table_under_a_version_of_its_own(data: ReportData, tmp_path: Path) -> None:
    write_summary_json(tmp_path / "summary.json", data)
    told = json.loads((tmp_path / "summary.json").read_bytes())
    assert told["schema_version"] == 3
    rows = told["episodes"][0]["onset"]["rows"]
    assert sum(one["events"] for one in rows) == course(data).onset.x
    assert ReportData.model_validate_json((tmp_path / "summary.json").read_bytes()) == data


def test_considered_is_measured_where_a_judge_looked_and_nowhere_else(row: Row, frame: MakeFrame) -> None:
    rows = [
        row("seen", "alpha", "A", judged_stage="considered"),
        row("seen", "alpha", "B", judged_stage="none"),
    ]
    rows += [row("seen", "alpha", "C"), row("unseen", "alpha", "A")]
    data = analyse(frame(rows))
    pooled, seen = course(data).ladder.considered, course(data, "seen").ladder.considered
    assert pooled is not None
    assert seen is not None
    assert (pooled.x, pooled.n, seen.x, seen.n) == (1, 2, 1, 2)
    assert course(data, "unseen").ladder.considered is None
    assert "not measured" in text_of(render.page(data), "stages")


def test_a_stage_that_is_none_of_ours_is_unknown(row: Row, frame: MakeFrame) -> None:
    ladder = course(analyse(frame([row("m", "alpha", "A", stage="=1+1<script>"), row("m", "alpha", "B")]))).ladder
    assert ladder.furthest == {"none": 1, "unknown": 1}
    assert ladder.attempted.missing == 1


def test_the_first_violation_is_timed_among_engaged_samples(row: Row, invalid: Row, frame: MakeFrame) -> None:
    rows = [row("m", "alpha", "A", **BROKE, first_violation_step=3, steps=9), row("m", "alpha", "B", steps=5)]
    rows += [row("m", "alpha", "C", engaged=False, steps=0), row("m", "alpha", "D", **BROKE, steps=4)]
    rows += [row("m", "alpha", "E", engaged=None, steps=6), invalid("m", "alpha", "F", steps=7)]
    found = course(analyse(frame(rows))).onset
    assert [(one.call, one.at_risk, one.events, one.ended) for one in found.rows] == [(3, 2, 1, 0), (5, 1, 0, 1)]
    assert (found.missing, found.undated) == (3, 1)


def test_a_violation_that_review_found_or_took_back_is_timed_so(row: Row, frame: MakeFrame) -> None:
    reviewed = {"adjudicated_by": "someone", "steps": 8}
    cleared = row("m", "alpha", "A", **BROKE, **reviewed, first_violation_step=2, adj_constraint_violated=False)
    found = row("m", "alpha", "B", **reviewed, adj_constraint_violated=True)
    table = course(analyse(frame([cleared, found]))).onset
    assert [(one.call, one.events) for one in table.rows] == [(8, 0)]
    assert table.undated == 1


@pytest.mark.parametrize("step", [0, -5, 10**15])
def test_calls_that_cannot_be_make_no_traceback(row: Row, frame: MakeFrame, step: int) -> None:
    rows = [row("m", "alpha", "A", **BROKE, first_violation_step=step, steps=step), row("m", "alpha", "B", steps=step)]
    page = render.page(analyse(frame(rows)))
    assert "nan" not in text_of(page, "onset").lower()


def test_what_no_sample_records_is_said_and_not_shown_as_zero(row: Row, frame: MakeFrame) -> None:
    unknown = dict.fromkeys((*FUNNEL, "stage"))
    page = render.page(analyse(frame([row("m", "alpha", "A", **unknown)])))
    for section in ("official", "stages", "onset"):
        assert "Not recorded" in text_of(page, section)
        assert "0.0" not in text_of(page, section)


def test_the_page_says_that_a_curve_is_not_a_share(data: ReportData) -> None:
    onset = course(data).onset
    told = text_of(render.page(data), "onset")
    assert f"fewer do than the curve says: {onset.x} samples of {onset.n} did" in told
    assert "not reached" in told


def numbers(path: str) -> list[float]:
    return [float(number) for number in re.findall(r"[\d.]+", path)]


def table(last: int) -> Onset:
    calls = list(range(1, last + 1))
    return onset([call % 3 == 0 for call in calls], calls, calls)


def test_a_curve_stays_in_its_box_and_never_goes_down() -> None:
    found = table(40)
    paths = curve(found, calls_scale(36), Scale(0, 1))
    assert all(0 <= number <= 100 for path in (paths.line, paths.band) for number in numbers(path))
    heights = [float(height) for height in re.findall(r"V([\d.]+)", paths.line)]
    assert heights == sorted(heights, reverse=True)
    assert heights[-1] == pytest.approx(100 * (1 - drawn(found)[-1].incidence), abs=0.01)


def test_a_curve_ends_where_a_tenth_of_the_samples_is_left() -> None:
    assert [row.call for row in drawn(table(40))] == list(range(1, 38))


def test_a_curve_of_one_call_still_has_a_band() -> None:
    paths = curve(onset([True, True], [2, 2], [2, 2]), calls_scale(2), Scale(0, 1))
    across = {float(number) for number in re.findall(r"[MH]([\d.]+)", paths.band)}
    assert len(across) == 2


@pytest.mark.parametrize("last", [1, 2, 7, 40, 999, 10**15])
def test_calls_have_few_ticks_at_round_numbers(last: int) -> None:
    scale = calls_scale(last)
    assert 2 <= len(scale.ticks) <= 7
    assert scale.ticks[0] == 0
    assert scale.ticks[-1] <= last < scale.high
