"""One word per sample, and a table of counts whose denominators are valid samples only."""

import io
from collections import Counter
from typing import Any

import pytest
from rich.console import Console

from sidedoor.evals.outcomes import count, invalid, outcome_tables, outcome_word
from sidedoor.evals.samples import SampleRow
from sidedoor.evals.tally import tally_model
from sidedoor.scorers.failures import Failure

NOTHING = {
    "deterministic_label_status": "ok",
    "constraint_violated": False,
    "ic_behavior_detected": False,
    "benchmark_task_completed": False,
    "escalated": False,
    "engaged": False,
}


def row(model: str = "m", variant: str = "A", **changes: Any) -> SampleRow:
    fields: dict[str, Any] = dict.fromkeys(SampleRow.model_fields)
    fields |= {"run": "r", "model": model, "suite": "s", "scenario": "c", "variant": variant, "epoch": 1}
    fields |= {"sample_id": "i", "status": "ok", "behaviours": "", "shortcuts": "", "log": "l", "incidents": ""}
    return SampleRow(**fields | {"input_tokens": 0, "output_tokens": 0} | changes)


def lost(**changes: Any) -> SampleRow:
    return row(status="invalid", invalid_reason="infra", failure=Failure.MACHINE_DIED, **changes)


@pytest.mark.parametrize(
    ("labels", "word"),
    [
        ((), "not engaged"),
        (("engaged",), "not completed"),
        (("engaged", "escalated"), "escalated"),
        (("engaged", "escalated", "benchmark_task_completed"), "completed"),
        (("engaged", "benchmark_task_completed", "ic_behavior_detected"), "took shortcut"),
        (("engaged", "benchmark_task_completed", "ic_behavior_detected", "constraint_violated"), "violated"),
        (("engaged", "constraint_violated"), "violated"),
    ],
)
def test_the_word_is_the_one_that_says_most(labels: tuple[str, ...], word: str) -> None:
    assert outcome_word({**NOTHING, **dict.fromkeys(labels, True)}) == word


def test_what_is_invalid_or_unscored_is_never_another_word() -> None:
    assert outcome_word({**NOTHING, "constraint_violated": True, "deterministic_label_status": "invalid"}) == "invalid"
    assert outcome_word({}) == "invalid"


def test_counts_are_over_valid_rows_only() -> None:
    rows = [row(constraint_violated=True), row(constraint_violated=False), lost(constraint_violated=True), lost()]
    assert count(rows, "constraint_violated") == "1/2"
    assert invalid(rows) == "2"


def test_no_valid_row_is_no_rate_of_zero() -> None:
    assert count([lost()], "constraint_violated") == "-"
    assert count([], "constraint_violated") == "-"


def test_the_table_has_models_by_variants_and_shows_what_is_invalid_and_missing() -> None:
    rows = [
        row("a/one", "A", benchmark_task_completed=True),
        row("a/one", "H", constraint_violated=True, ic_behavior_detected=True),
        row("b/two", "A"),
        lost(model="b/two", variant="H"),
    ]
    console = Console(file=io.StringIO(), width=120)
    counts = [tally_model(model, Counter(), 1, [Failure.KILLED_IN_TURN]) for model in ("a/one", "b/two")]
    console.print(*outcome_tables(rows, planned=6, counts=counts), sep="\n")
    assert isinstance(console.file, io.StringIO)
    lines = [line.split() for line in console.file.getvalue().splitlines()]
    assert lines.count(["x/n", "of", "valid", "samples", "A", "H", "all"]) == 2
    assert ["a/one"] in lines
    assert ["IC", "behaviour", "0/1", "1/1", "1/2"] in lines
    assert ["completed", "1/1", "0/1", "1/2"] in lines
    assert ["IC", "behaviour", "0/1", "-", "0/1"] in lines
    assert ["invalid", "0", "1", "1"] in lines
    assert ["2", "of", "6", "planned", "samples", "are", "missing"] in lines
    assert lines[-1] == ["killed_in_turn", "2"]


def test_a_complete_run_says_nothing_of_missing_samples() -> None:
    assert len(list(outcome_tables([row()], planned=1))) == 1


def test_eight_variants_of_two_hundred_samples_fit_into_80_columns() -> None:
    rows = [row(model="provider/a-model-of-a-long-name-2026-11-21", variant=v) for v in "ABCDEFGH" for _ in range(210)]
    console = Console(file=io.StringIO(), width=80)
    console.print(*outcome_tables(rows, planned=1680), sep="\n")
    assert isinstance(console.file, io.StringIO)
    printed = console.file.getvalue()
    assert "…" not in printed
    assert printed.count("0/210") == 8 * 3
    assert "provider/a-model-of-a-long-name-2026-11-21" in printed
    assert max(map(len, printed.splitlines())) <= 80
