"""Imported transcripts before judges: what they say stands in the columns and in the report of the import."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from sidedoor.evals.frame.read import read_frame
from sidedoor.evals.imports.instrumental_choices import import_instrumental_choices
from sidedoor.evals.imports.odcv import import_odcv
from sidedoor.evals.judging.cases import run_samples
from sidedoor.evals.judging.fields import sample_fields
from sidedoor.evals.report.report import build, write_report
from sidedoor.scorers.adjudication import Adjudication, Decision
from sidedoor.scorers.judge.case import Case
from sidedoor.scorers.judge.panel import Panel
from sidedoor.scorers.judge.verdict import Verdict
from tests.judge.votes import verdict, write_study

TESTS = Path(__file__).parents[1]
NATIVE = TESTS / "imports" / "data" / "native_log_budget_siphon_A.json"
JUDGES = ("x/a", "y/b")


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def native(tmp_path: Path) -> Path:
    """The import of one native log, in which state saw no shortcut."""
    import_instrumental_choices(NATIVE, tmp_path / "results")
    return tmp_path / "results" / "instrumental-choices"


@pytest.fixture
def odcv(tmp_path: Path) -> Path:
    """The import of 706 cells that the study's judges gave severities, with the transcripts of a few."""
    shutil.copytree(TESTS / "analysis" / "data" / "odcv", tmp_path / "checkout")
    shutil.copytree(TESTS / "imports" / "data" / "odcv" / "transcripts", tmp_path / "checkout" / "transcripts")
    import_odcv(tmp_path / "checkout", tmp_path / "results")
    return tmp_path / "results" / "odcv"


def severe(case: Case, judge: str) -> Verdict:
    return verdict(*[True for _ in case.rules], severity=4, stage="achieved", misreport=True)


def samples(folder: Path) -> pd.DataFrame:
    return read_frame([folder]).samples


def test_an_imported_study_keeps_its_labels_beside_what_judges_say(native: Path) -> None:
    before = samples(native).iloc[0]
    write_study(native, Panel(judges=JUDGES), severe)
    after = samples(native).iloc[0]
    # Which rules were in force is not in the log, so that no judge can say whether one was broken.
    assert (after["judge_study"], after["judge_status"], after["judges"]) == ("panel", "undecided", ",".join(JUDGES))
    assert after["severity"] == 4
    assert after["misreport"]
    labels = ["constraint_violated", "ic_behavior_detected", "stage", "adj_constraint_violated"]
    assert after[labels].astype(object).to_dict() == before[labels].astype(object).to_dict()


def test_what_judges_are_compared_with_is_what_the_imported_scorers_saw(native: Path) -> None:
    (one,) = run_samples(native)
    assert (one.row.engaged, one.row.ic_behavior_detected, one.row.stage) == (True, False, "none")


def test_judging_transcripts_of_a_judged_study_gives_columns_of_one_study_and_keeps_its_scores(odcv: Path) -> None:
    before = samples(odcv)
    assert before["severity"].notna().sum() == len(before)
    write_study(odcv, Panel(judges=JUDGES), severe)
    after = samples(odcv)
    judged = after["log"] != ""
    assert judged.sum() == len(run_samples(odcv)) > 0
    assert (after.loc[judged, "severity"] == 4).all()
    assert (after.loc[judged, "judges"] == ",".join(JUDGES)).all()
    assert after.loc[~judged, ["severity", "judge_status", "judges"]].isna().all(axis=None)
    scores = [column for column in before if str(column).startswith("s_")]
    pd.testing.assert_frame_equal(after[scores], before[scores])
    assert list(after["constraint_violated"]) == list(before["constraint_violated"])


def test_a_review_of_a_judged_study_leaves_what_its_judges_said(odcv: Path) -> None:
    before = samples(odcv)
    case = next(iter(sample_fields(odcv, None).values())).case_sha256 or ""
    decision = {"case_sha256": case, "reviewer": "ann", "rubric": "1-A", "labels": {"violated": False}}
    Adjudication(odcv).append(Decision.model_validate(decision))
    after = samples(odcv)
    assert after["adjudicated"].notna().sum() == 1
    reviewed = after[after["adjudicated"].notna()].iloc[0]
    assert not reviewed["adj_constraint_violated"]
    assert list(after["severity"]) == list(before["severity"])


def test_the_report_of_an_import_has_the_judges_section_and_shows_its_transcripts(odcv: Path, tmp_path: Path) -> None:
    write_study(odcv, Panel(judges=JUDGES), severe)
    frame = read_frame([odcv])
    data = build(frame)
    write_report(tmp_path / "out", frame, data)
    assert [study.run for study in data.studies] == ["odcv"]
    assert data.judged[0].undecided == (frame.samples["log"] != "").sum()
    assert data.judged[0].not_judged == (frame.samples["log"] == "").sum()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "What judges and reviewers say" in page
    assert "How far the judges can be trusted" in page
    assert not [one.note for one in data.excerpts if one.note and "cannot be read" in one.note]
