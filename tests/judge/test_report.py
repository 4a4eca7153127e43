"""What judges and reviewers say of a run, in its report: on the page, in the summary, and for other programs."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from sidedoor.evals.frame.read import read_frame
from sidedoor.evals.judging.queue import review_queue
from sidedoor.evals.report import render
from sidedoor.evals.report.data import ReportData
from sidedoor.evals.report.report import build, write_report
from sidedoor.scorers.adjudication import Adjudication, Decision
from sidedoor.scorers.judge.case import Case
from sidedoor.scorers.judge.judgement import View
from sidedoor.scorers.judge.panel import Panel
from sidedoor.scorers.judge.verdict import Verdict
from tests.browser import CLIPPED, OUTSIDE, Watched
from tests.judge.conftest import MakeRun, true_of
from tests.judge.votes import verdict, write_study

MODELS = ("mockllm/agent", "mockllm/other")
ORACLE, NEVER, BLUNT = "openai/oracle", "x/never", "y/blunt"
Report = Callable[..., ReportData]


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def says(case: Case, judge: str) -> Verdict:
    """The truth, with a misreport and a suspicion in every violation; or nothing at all."""
    broken = true_of(case).broken if judge != NEVER else ()
    found = bool(broken)
    severity = 3 if found and judge == BLUNT else None
    rulings = (rule.id in broken for rule in case.rules)
    return verdict(*rulings, severity=severity, misreport=found, awareness=found)


@pytest.fixture
def judged(make_run: MakeRun) -> MakeRun:
    """Makes a run that a panel judged: six episodes of each model, three of them violations."""

    def made(*judges: str, name: str = "run", models: tuple[str, ...] = MODELS) -> Path:
        run = make_run(models=models, name=name)
        manifest = {"id": name, "request": {"models": models}, "samples_planned": 6 * len(models)}
        (run / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
        if judges:
            write_study(run, Panel(judges=judges), says)
        return run

    return made


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """Writes the report of some runs to `out`."""

    def made(*runs: Path) -> ReportData:
        frame = read_frame(runs)
        data = build(frame)
        write_report(tmp_path / "out", frame, data)
        return data

    return made


def test_what_only_judges_see_is_a_rate_of_each_model_with_its_interval(judged: MakeRun, report: Report) -> None:
    data = report(judged(ORACLE, BLUNT))
    for measure in ("judged_violated", "misreport", "awareness", "unsafe"):
        for model in MODELS:
            found = data.rate(measure, model=model).estimate
            assert (found.x, found.n, found.missing) == (3, 6, 0), measure
            assert found.low < 0.5 < found.high
    # The median of 3 and 4 is 3.5, which counts as 3 and is at least 3.
    assert [one.severities for one in data.judged] == [(6, 0, 0, 6, 0, 0), *[(3, 0, 0, 3, 0, 0)] * 2]


def test_what_judges_cannot_decide_is_neither_clean_nor_a_violation_and_is_shown_with_both_bounds(
    judged: MakeRun, report: Report, tmp_path: Path
) -> None:
    data = report(judged(ORACLE, NEVER))
    # They tie on each of the three violations.
    assert [(one.decided, one.undecided, one.not_judged) for one in data.judged] == [(6, 6, 0), (3, 3, 0), (3, 3, 0)]
    found = data.rate("judged_violated", model=MODELS[0])
    assert (found.estimate.x, found.estimate.n, found.estimate.missing) == (0, 3, 3)
    assert found.lowest is not None
    assert found.highest is not None
    assert (found.lowest.estimate, found.highest.estimate) == (0, 0.5)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "3 unknown: 0.0\u202f% to 50.0\u202f%" in page
    assert "they could not decide on 6 samples" in page


def test_the_page_says_who_judged_how_and_how_far_they_are_to_be_trusted(
    judged: MakeRun, report: Report, tmp_path: Path
) -> None:
    data = report(judged(ORACLE, NEVER))
    for text in (plain(tmp_path / "out" / "report.html"), (tmp_path / "out" / "summary.md").read_text()):
        text = " ".join(text.replace("\\", "").split())
        assert f"udged by {ORACLE} and {NEVER}, 1 verdict each; rubric 1-A" in text
        assert "shown: actions+reasoning and the journal; yes takes more than 50 % of the votes" in text
        assert f"Judge {NEVER} is unusable: it gives the same answer to every sample" in text
        assert f"{NEVER} was not checked under this rubric and view" in text
        assert "tate and panel on violations: both 0, state alone 0, panel alone 0, neither 6" in text
    page = plain(tmp_path / "out" / "report.html")
    assert all(word in page for word in ("kappa", "AC1", "ordinal", "interval", "nominal", "positive", "negative"))
    assert "Queue for people: 6 samples, 0 reviewed" in page
    (study,) = data.studies
    assert study.agreement.questions[0].pairs[0].agreement.kappa == 0


def test_the_same_facts_are_in_the_files_for_other_programs(judged: MakeRun, report: Report, tmp_path: Path) -> None:
    data = report(judged(ORACLE))
    text = (tmp_path / "out" / "summary.json").read_bytes()
    assert json.loads(text, parse_constant=pytest.fail)["schema_version"] == 3
    assert ReportData.model_validate_json(text) == data
    with (tmp_path / "out" / "rates.csv").open(newline="", encoding="utf-8") as stream:
        lines = {
            (line["measure"], line["model"], line["scenario"], line["variant"]): line for line in csv.DictReader(stream)
        }
    assert (lines["misreport", MODELS[1], "", ""]["x"], lines["misreport", MODELS[1], "", ""]["n"]) == ("3", "6")
    assert {"judged_violated", "judged_considered", "misreport", "awareness", "unsafe"} <= {line[0] for line in lines}
    with (tmp_path / "out" / "samples.csv").open(newline="", encoding="utf-8") as stream:
        assert {line["judges"] for line in csv.DictReader(stream)} == {ORACLE}


def test_raw_and_reviewed_rates_stand_side_by_side_with_the_share_reviewed(
    judged: MakeRun, report: Report, tmp_path: Path
) -> None:
    run = judged(ORACLE)
    for item in review_queue(run, "panel", negatives=0).items:
        decision = {"case_sha256": item.case_sha256, "reviewer": "ann", "rubric": "1-A", "labels": {"violated": False}}
        Adjudication(run).append(Decision.model_validate(decision))
    data = report(run)
    rates = [
        [data.rate(measure, model=model).estimate.x for measure in ("raw_constraint_violated", "constraint_violated")]
        for model in MODELS
    ]
    assert rates == [[3, 0], [3, 0]]
    assert [data.rate("reviewed", model=model).estimate.x for model in MODELS] == [3, 3]
    assert "Share reviewed" in plain(tmp_path / "out" / "report.html")
    assert "| share reviewed |" in (tmp_path / "out" / "summary.md").read_text()


def test_a_report_without_judges_has_no_section_of_theirs_and_no_rate(
    judged: MakeRun, report: Report, tmp_path: Path
) -> None:
    data = report(judged())
    page = (tmp_path / "out" / "report.html").read_text()
    assert (data.judged, data.studies) == ((), ())
    assert 'id="judges"' not in page
    assert page.count("judges") - page.count("by judges alone, and none has looked") <= 1
    assert "misreport" not in {rate.measure for rate in data.rates}
    assert "judges" not in (tmp_path / "out" / "summary.md").read_text()


def test_models_that_were_judged_in_different_ways_are_said_not_to_compare(
    judged: MakeRun, report: Report, tmp_path: Path
) -> None:
    first = judged(ORACLE, name="first", models=MODELS[:1])
    report(first, judged(ORACLE, NEVER, name="second", models=MODELS[1:]))
    assert "judged in 2 different ways" in (tmp_path / "out" / "summary.md").read_text()
    assert "judged in 2 different ways" in plain(tmp_path / "out" / "report.html")


def test_a_view_that_does_not_exist_for_every_model_of_the_table_is_named(judged: MakeRun, report: Report) -> None:
    first = judged(ORACLE, name="first", models=MODELS[:1])
    second = judged(ORACLE, name="second", models=MODELS[1:])
    assert report(first, second).across == (
        f"No reasoning can be read in any transcript: the view {View.ACTIONS_REASONING} shows none.",
    )
    verdicts = first / "judging" / "panel" / "verdicts.jsonl"
    verdicts.write_text(verdicts.read_text().replace('"reasoning":false', '"reasoning":true'))
    (told,) = report(first, second).across
    assert f"The view {View.ACTIONS_REASONING} does not exist for {MODELS[1]}" in told


def test_what_models_say_of_their_own_runs_stands_beside_their_false_alarms(
    judged: MakeRun, report: Report, tmp_path: Path
) -> None:
    run = judged()
    write_study(run, Panel(judges=MODELS, exclude_self=False), lambda case, _: says(case, ORACLE), name="self/untold")
    data = report(run)
    (own,) = data.self_judged
    assert [(one.model, one.telling, one.recognised.x, one.false_alarms.x) for one in own.found] == [
        (model, "untold", 3, 0) for model in MODELS
    ]
    page = plain(tmp_path / "out" / "report.html")
    assert "Accused its clean runs" in page
    assert "+1.00" in page


def test_an_unfit_judge_is_named(judged: MakeRun, report: Report) -> None:
    data = report(judged(ORACLE))
    unfit = f"{ORACLE} is UNFIT by its check of 2026-01-01: 2 flips"
    named = data.model_copy(update={"studies": (data.studies[0].model_copy(update={"checks": (unfit,)}),)})
    assert unfit in re.sub("<[^>]+>", "", render.page(named))
    assert unfit in render.summary(named).replace("\\", "")


@pytest.mark.slow
def test_the_section_is_quiet_and_whole_on_a_desk_and_on_a_phone_whatever_a_judge_is_called(
    judged: MakeRun, report: Report, tmp_path: Path, open_page: Callable[..., Watched]
) -> None:
    hostile = "x/<img src=x onerror=alert(1)>" + "w" * 80
    report(judged(ORACLE, hostile, NEVER))
    for width in (1280, 390):
        watched = open_page(tmp_path / "out" / "report.html", width)
        watched.page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert watched.said == []
        assert [url for url in watched.asked[1:] if not url.startswith("data:")] == []
        assert watched.ask("() => [...document.querySelectorAll('img')].map(e => e.outerHTML)") == []
        assert watched.ask(CLIPPED) == []
        assert watched.ask(OUTSIDE) == []
        assert hostile in watched.page.inner_text("#judges")


def plain(page: Path) -> str:
    """The text of a page."""
    return re.sub("<[^>]+>", "", page.read_text(encoding="utf-8"))
