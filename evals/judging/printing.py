"""A judging study's numbers in a terminal, for the end of `sidedoor judge` and for `sidedoor agreement`."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Printed
from rich.text import Text

from sidedoor.evals.judging.summary import JudgeSummary
from sidedoor.evals.judging.tables import (
    WORDS,
    Table,
    crossed_line,
    rates_table,
    review_lines,
    review_table,
    trust_tables,
)
from sidedoor.scorers.visible import visible


def print_rates(console: Console, summary: JudgeSummary) -> None:
    """What the panel found, by model, beside state; and what a reader must know beside it."""
    _print(console, rates_table(summary))
    _tell(console, crossed_line(summary), *summary.notes, *summary.checks)


def print_agreement(console: Console, summary: JudgeSummary) -> None:
    """How far the judges can be trusted, and the rates after review."""
    for table in (*trust_tables(summary), review_table(summary)):
        _print(console, table)
    _tell(console, *review_lines(summary))


def _tell(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(Text(visible(line)), soft_wrap=True)


def _print(console: Console, table: Table) -> None:
    printed = Printed(title=table.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in table.columns:
        printed.add_column(column, justify="left" if column in WORDS else "right")
    for row in table.rows:
        printed.add_row(*(Text(visible(cell)) for cell in row))
    console.print(printed)
