"""What judges and reviewers say stands beside the labels from state, and changes none of them."""

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import run as run_process

import pandas as pd
import pytest

from sidedoor.evals.frame import judged
from sidedoor.evals.frame.export import write_samples
from sidedoor.evals.frame.read import read_frame
from sidedoor.evals.judging.study import Judged, Study, StudyFolder
from sidedoor.evals.samples import JudgeFields
from sidedoor.scorers.adjudication import Adjudication, Decision
from sidedoor.scorers.judge.judgement import Judging
from sidedoor.scorers.judge.panel import Panel
from sidedoor.scorers.judge.verdict import Verdict
from sidedoor.scorers.labels import BINARY_LABELS
from tests.judge.votes import judgement, verdict

Make = Callable[..., Path]
CELLS = ["quota_boost-A-1", "quota_boost-A-2", "quota_boost-H-1"]
JUDGES = ("openai/a", "x/b")
RAW = (*BINARY_LABELS, "stage", "status")


@pytest.fixture
def judged_run(log: Make, run: Make, tmp_path: Path) -> Path:
    """A run of three samples, of which state calls none a violation and the panel the first; judges tie on the last."""
    folder = run(tmp_path / "r1", ["mockllm/model"], 3)
    log(folder / "logs" / "a.eval", CELLS, task_id="t")
    write(folder, "panel", {0: [verdict(True)] * 2, 1: [verdict(False)] * 2, 2: [verdict(True), verdict(False)]})
    return folder


def write(folder: Path, name: str, said: dict[int, list[Verdict | None]]) -> None:
    """A study of the run, by the number of the sample's cell."""
    study = StudyFolder(folder, name)
    study.declare(Study(panel=Panel(judges=JUDGES), judging=Judging(), rubric="1-A", rubric_sha256="r" * 64))
    for number, verdicts in said.items():
        for judge, one in zip(JUDGES, verdicts, strict=True):
            made = judgement(judge, one, case_sha256=case(number), model="mockllm/model")
            place = {"log": "logs/a.eval", "sample_id": CELLS[number], "sample_uuid": f"t/{CELLS[number]}", "epoch": 1}
            study.append(Judged(**place, judgement=made))  # type: ignore[arg-type]


def case(number: int) -> str:
    return f"{number:064d}"


def samples(folder: Path) -> pd.DataFrame:
    return read_frame([folder]).samples.set_index("sample_id")


def plain(values: "pd.Series[object]") -> list[object]:
    return [None if pd.isna(value) else value for value in values]  # type: ignore[call-overload]


def test_what_the_panel_decided_is_in_columns_of_its_own(judged_run: Path) -> None:
    table = samples(judged_run)
    assert plain(table["judged_violated"]) == [True, False, None]
    assert plain(table["judge_status"]) == ["decided", "decided", "undecided"]
    assert plain(table["judged_considered"]) == [True, False, None]
    assert plain(table["misreport"]) == [False, False, False]
    assert plain(table["severity"]) == [4.0, 0.0, 2.0]
    assert plain(table["disagreement"]) == [True, False, False]
    assert set(table["judges"]) == {"openai/a,x/b"}
    assert set(table["judge_study"]) == {"panel"}
    assert plain(table["case_sha256"]) == [case(0), case(1), case(2)]


def test_labels_from_state_are_never_changed_by_what_others_say(judged_run: Path, log: Make, tmp_path: Path) -> None:
    decide(judged_run, 0, violated=True, considered=True)
    bare = samples(log(tmp_path / "bare.eval", CELLS))
    table = samples(judged_run)
    for label in RAW:
        assert plain(table[label]) == plain(bare[label]), label


def test_considered_is_a_stage_that_only_judges_see(judged_run: Path) -> None:
    table = samples(judged_run)
    assert plain(table["stage"]) == ["none", "none", "none"]
    assert plain(table["judged_stage"]) == ["considered", "none", None]


def test_what_state_saw_is_the_stage_whatever_judges_say(log: Make, run: Make, tmp_path: Path) -> None:
    folder = run(tmp_path / "r2", ["mockllm/model"], 3)
    log(folder / "logs" / "a.eval", CELLS, violated=True, task_id="t")
    write(folder, "panel", {0: [verdict(False)] * 2})
    assert plain(samples(folder)["judged_stage"]) == ["achieved", None, None]


def decide(folder: Path, number: int, **labels: bool | None) -> None:
    Adjudication(folder).append(
        Decision.model_validate({"case_sha256": case(number), "reviewer": "ann", "rubric": "1-A", "labels": labels})
    )


def test_a_review_gives_the_adjudicated_labels_and_says_by_whom(judged_run: Path) -> None:
    decide(judged_run, 0, violated=True)
    decide(judged_run, 2, violated=None, misreport=True)
    table = samples(judged_run)
    assert plain(table["adj_constraint_violated"]) == [True, False, None]
    assert plain(table["constraint_violated"]) == [False, False, False]
    assert plain(table["adj_clean_success"]) == [False, False, False]
    assert plain(table["adjudicated_by"]) == ["ann", None, "ann"]
    assert plain(table["adjudicated"]) == ["violated", None, "violated,misreport"]
    assert plain(table["adjudicated_violated"]) == [True, None, None]
    assert plain(table["adjudicated_misreport"]) == [None, None, True]


def test_a_review_of_what_was_weighed_is_a_stage_after_review(judged_run: Path) -> None:
    decide(judged_run, 0, considered=True)
    table = samples(judged_run)
    assert plain(table["adj_stage"]) == ["considered", "none", "none"]
    assert plain(table["adj_constraint_violated"]) == [False, False, False]


def test_a_clean_success_stays_one_only_without_a_violation(log: Make, run: Make, tmp_path: Path) -> None:
    folder = run(tmp_path / "r3", ["mockllm/model"], 3)
    done = {"benchmark_task_completed": True, "clean_success": True}
    log(folder / "logs" / "a.eval", CELLS, value=done, task_id="t")
    write(folder, "panel", {0: [verdict(False)] * 2, 1: [verdict(False)] * 2})
    decide(folder, 0, violated=True)
    assert plain(samples(folder)["adj_clean_success"]) == [False, True, True]


def test_new_verdicts_and_decisions_are_seen_at_once(judged_run: Path) -> None:
    assert plain(samples(judged_run)["adjudicated_by"]) == [None, None, None]
    decide(judged_run, 1, violated=False)
    assert plain(samples(judged_run)["adjudicated_by"]) == [None, "ann", None]
    write(judged_run, "panel", {1: [verdict(True)] * 2})
    assert plain(samples(judged_run)["judged_violated"]) == [True, True, None]


def test_what_was_worked_out_is_not_worked_out_again(judged_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = samples(judged_run)

    def never(*_: object) -> None:
        raise AssertionError("worked out again")

    monkeypatch.setattr(judged, "_made", never)
    pd.testing.assert_frame_equal(samples(judged_run), first)


def test_a_table_from_the_cache_needs_no_inspect(judged_run: Path) -> None:
    samples(judged_run)
    program = (
        "import sys; from pathlib import Path; from sidedoor.evals.frame.read import read_frame;"
        "table = read_frame([Path(sys.argv[1])]).samples;"
        "print(table['judged_violated'].sum(), 'inspect_ai' in sys.modules)"
    )
    ended = run_process([sys.executable, "-c", program, str(judged_run)], capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["1", "False"]


def test_a_run_that_nobody_judged_or_reviewed_has_empty_columns(log: Make, run: Make, tmp_path: Path) -> None:
    folder = run(tmp_path / "r4", ["mockllm/model"], 3)
    log(folder / "logs" / "a.eval", CELLS)
    table = samples(folder)
    assert table[list(JudgeFields.model_fields)].isna().all(axis=None)


def test_of_several_studies_the_one_called_panel_counts(judged_run: Path) -> None:
    write(judged_run, "another", {0: [verdict(False)] * 2})
    assert plain(samples(judged_run)["judged_violated"]) == [True, False, None]


def test_several_studies_without_one_called_panel_are_named_and_none_is_shown(judged_run: Path) -> None:
    (judged_run / "judging" / "panel").rename(judged_run / "judging" / "first")
    write(judged_run, "second", {0: [verdict(False)] * 2})
    frame = read_frame([judged_run])
    assert frame.samples["judged_violated"].isna().all()
    assert [(one.kind, "first, second" in one.what) for one in frame.problems] == [("several_studies", True)]


@pytest.mark.parametrize("file", ["judging/panel/study.json", "judging/panel/verdicts.jsonl", "adjudication.jsonl"])
def test_spoilt_verdicts_and_decisions_are_named_and_the_samples_stay(judged_run: Path, file: str) -> None:
    (judged_run / file).write_text("{}\n{}\n")
    frame = read_frame([judged_run])
    assert len(frame.samples) == 3
    assert frame.samples["judged_violated"].isna().all()
    assert [one.kind for one in frame.problems] == ["broken_judging"]


def test_judge_fields_are_in_the_csv_and_the_parquet_with_their_types(judged_run: Path, tmp_path: Path) -> None:
    decide(judged_run, 0, violated=True)
    parquet, path = write_samples(tmp_path / "out", read_frame([judged_run]).samples)
    with path.open(newline="", encoding="utf-8") as stream:
        rows = {row["sample_id"]: row for row in csv.DictReader(stream)}
    assert rows[CELLS[0]]["judged_violated"] == "true"
    assert rows[CELLS[0]]["adjudicated_by"] == "ann"
    assert rows[CELLS[2]]["judged_violated"] == ""
    assert pd.read_parquet(parquet)["severity"].dtype == "Float64"
