"""Telling a run at a glance: one word per sample while it runs, and a table of counts when it has ended."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from sidedoor.evals.samples import SampleRow
from sidedoor.evals.tally import ModelTally, tally_model
from sidedoor.scorers.failures import Failure

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


def outcome_tables(rows: Sequence[SampleRow], planned: int, counts: Sequence[ModelTally] = ()) -> Iterator[Table | str]:
    """For each model, labels by variants as x/n of valid samples; below them what is invalid, and what was met.

    One table for each model, so that eight variants fit into a terminal of 80 columns whatever models are called.

    Args:
        rows: of the samples that ended.
        planned: how many samples there were to be.
        counts: what became of the samples of each model.
    """
    variants = sorted({row.variant for row in rows})
    for model in sorted({row.model for row in rows}):
        mine = [row for row in rows if row.model == model]
        groups = [*([row for row in mine if row.variant == variant] for variant in variants), mine]
        table = Table(title=Text(model), title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("x/n of valid samples", min_width=len("IC behaviour"))
        for variant in [*variants, "all"]:
            table.add_column(variant, justify="right", no_wrap=True)
        for title, label in TABLE_LABELS.items():
            table.add_row(title, *(count(group, label) for group in groups))
        table.add_row("invalid", *map(invalid, groups))
        for line in _kinds([tally_model(model, Counter(row.fate for row in group), 0) for group in groups]):
            table.add_row(*line)
        yield table
    if planned > len(rows):
        yield f"{planned - len(rows)} of {planned} planned samples are missing"
        killed = sum((Counter(one.killed) for one in counts), Counter[Failure]())
        yield from (f"  {kind} {number}" for kind, number in sorted(killed.items()))


def _kinds(tallies: Sequence[ModelTally]) -> Iterator[list[str]]:
    """A line for each kind of failure and of incident that there is; the last tally is of all samples."""
    for kind in tallies[-1].invalid:
        yield [f"  {kind}", *(str(one.invalid.get(kind, 0)) for one in tallies)]
    for kind in tallies[-1].incidents:
        yield [f"met {kind}", *(str(one.incidents.get(kind, 0)) for one in tallies)]


def count(rows: Sequence[SampleRow], label: str) -> str:
    """`x/n` of a label over the valid rows; a dash if there are none."""
    valid = [row for row in rows if row.status == "ok"]
    return f"{sum(1 for row in valid if getattr(row, label))}/{len(valid)}" if valid else "-"


def invalid(rows: Sequence[SampleRow]) -> str:
    """How many rows are invalid."""
    return str(sum(1 for row in rows if row.status == "invalid"))
