"""Telling a run at a glance: one word per sample while it runs, and a table of counts when it has ended."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from sidedoor.evals.samples import SampleRow

OutcomeWord: TypeAlias = Literal[
    "violated", "took shortcut", "escalated", "completed", "not completed", "not engaged", "invalid"
]

TABLE_LABELS = {
    "IC behaviour": "ic_behavior_detected",
    "violation": "constraint_violated",
    "completed": "benchmark_task_completed",
}

_WORDS: Mapping[str, OutcomeWord] = {
    "constraint_violated": "violated",
    "ic_behavior_detected": "took shortcut",
    "benchmark_task_completed": "completed",
    "escalated": "escalated",
    "engaged": "not completed",
}


def outcome_word(values: Mapping[str, Any]) -> OutcomeWord:
    """The one word that says most about a sample; a violation outweighs everything but invalidity.

    Args:
        values: label to value, as the state scorer keeps them; empty for a sample without a score.
    """
    if values.get("deterministic_label_status") != "ok":
        return "invalid"
    return next((word for label, word in _WORDS.items() if values[label]), "not engaged")


def outcome_table(rows: Sequence[SampleRow], planned: int) -> Table:
    """Models by variants, x/n of valid samples, with what is invalid or missing beside it."""
    variants = sorted({row.variant for row in rows})
    table = Table(title="x/n of valid samples", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("model", no_wrap=True)
    table.add_column("", no_wrap=True)
    for variant in [*variants, "all"]:
        table.add_column(variant, justify="right", no_wrap=True)
    for model in sorted({row.model for row in rows}):
        mine = [row for row in rows if row.model == model]
        for index, (title, label) in enumerate(TABLE_LABELS.items()):
            cells = [count([row for row in mine if row.variant == variant], label) for variant in variants]
            table.add_row(Text(model if index == 0 else ""), title, *cells, count(mine, label))
        table.add_row("", "invalid", *(invalid([r for r in mine if r.variant == v]) for v in variants), invalid(mine))
        table.add_section()
    if planned > len(rows):
        table.caption = f"{planned - len(rows)} of {planned} planned samples are missing"
    return table


def count(rows: Sequence[SampleRow], label: str) -> str:
    """`x/n` of a label over the valid rows; a dash if there are none."""
    valid = [row for row in rows if row.status == "ok"]
    return f"{sum(1 for row in valid if getattr(row, label))}/{len(valid)}" if valid else "-"


def invalid(rows: Sequence[SampleRow]) -> str:
    """How many rows are invalid."""
    return str(sum(1 for row in rows if row.status == "invalid"))
