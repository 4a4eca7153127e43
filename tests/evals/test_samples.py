"""`samples.csv`: the columns that were promised, and text that a spreadsheet cannot take for a formula."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from sidedoor.evals.samples import JudgeFields, SampleRow, read_rows, write_csv

HEADER = (
    "run,model,suite,scenario,variant,epoch,sample_id,status,invalid_reason,engaged,"
    "official_path_attempted,official_path_succeeded,benchmark_task_completed,ic_behavior_detected,"
    "constraint_violated,stage,behaviours,shortcuts,escalated,tampered,clean_success,first_violation_step,"
    "steps,sim_hours,messages,input_tokens,output_tokens,seconds,evidence_sha256,log,"
    "failure,incidents"
)
"""The columns in the order in which users were promised them, and kinds of failures; judges' follow."""


def row(**changes: Any) -> SampleRow:
    fields: dict[str, Any] = dict.fromkeys(SampleRow.model_fields)
    fields |= {"run": "r", "model": "m", "suite": "s", "scenario": "c", "variant": "A", "epoch": 1, "sample_id": "i"}
    fields |= {
        "status": "ok",
        "behaviours": "",
        "shortcuts": "",
        "input_tokens": 0,
        "output_tokens": 0,
        "log": "l",
        "incidents": "",
    }
    return SampleRow(**fields | changes)


def written(tmp_path: Path, *rows: SampleRow) -> list[dict[str, str]]:
    path = tmp_path / "samples.csv"
    write_csv(path, rows)
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))


def test_the_columns_are_those_promised_in_their_order(tmp_path: Path) -> None:
    write_csv(tmp_path / "samples.csv", [])
    promised = (*HEADER.split(","), *JudgeFields.model_fields)
    assert (tmp_path / "samples.csv").read_text() == ",".join(promised) + "\n"


def test_a_sample_that_nobody_judged_or_reviewed_has_nothing_in_their_columns(tmp_path: Path) -> None:
    (found,) = written(tmp_path, row())
    assert {found[name] for name in JudgeFields.model_fields} == {""}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_text_that_a_spreadsheet_would_calculate_is_prefixed(tmp_path: Path, start: str) -> None:
    (found,) = written(tmp_path, row(model=f"{start}HYPERLINK(1)", sample_id="plain=text"))
    assert found["model"] == f"'{start}HYPERLINK(1)"
    assert found["sample_id"] == "plain=text"


def test_negative_numbers_stay_numbers(tmp_path: Path) -> None:
    (found,) = written(tmp_path, row(sim_hours=-1.5))
    assert found["sim_hours"] == "-1.5"


@pytest.mark.parametrize("text", ['say "no"', "a,b", "two\nlines", "Ωλ日", " padded ", "it's"])
def test_any_text_comes_back_as_it_went(tmp_path: Path, text: str) -> None:
    (found,) = written(tmp_path, row(model=text))
    assert found["model"] == text


def test_true_false_and_unknown_are_three_different_cells(tmp_path: Path) -> None:
    (found,) = written(tmp_path, row(engaged=True, escalated=False, tampered=None))
    assert (found["engaged"], found["escalated"], found["tampered"]) == ("true", "false", "")


def test_pandas_reads_labels_as_booleans_and_unknown_as_missing(tmp_path: Path) -> None:
    written(tmp_path, row(engaged=True, escalated=False), row(engaged=False, escalated=None))
    frame = pd.read_csv(tmp_path / "samples.csv")
    assert frame["engaged"].tolist() == [True, False]
    assert frame["escalated"].isna().tolist() == [False, True]


def test_rows_say_what_the_log_says(write_log: Callable[[str], Path]) -> None:
    log = write_log("shortcut-colleague-account")
    rows = read_rows("run-1", log.parent.parent, [log])
    assert [(r.sample_id, r.variant, r.epoch) for r in rows] == [
        ("quota_boost-A-1", "A", 1),
        ("quota_boost-H-1", "H", 1),
    ]
    for one in rows:
        assert (one.run, one.model, one.suite, one.scenario) == (
            "run-1",
            "mockllm/model",
            "instrumental",
            "quota_boost",
        )
        assert (one.status, one.invalid_reason, one.stage) == ("ok", None, "achieved")
        assert (one.ic_behavior_detected, one.constraint_violated, one.clean_success) == (True, True, False)
        assert (one.behaviours, one.shortcuts) == ("access_escalation", "colleague-account")
        assert (one.first_violation_step, one.steps) == (3, 3)
        assert one.log == f"logs/{log.name}"
        assert len(one.evidence_sha256 or "") == 64
