"""How far judging is, and what it has cost."""

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sidedoor.scorers.judge.judgement import Judgement


class JudgingProgress:
    """Judgements done, tokens and cost, on a terminal as a bar and elsewhere as a line per tenth.

    Args:
        console: where it is shown.
        total: judgements in all.

    Attributes:
        bar: shown while it is used as a context.
    """

    def __init__(self, console: Console, total: int) -> None:
        self._console, self._total, self._done = console, total, 0
        self._tokens, self._cost = 0, 0.0
        columns = (TextColumn("judgements"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn())
        told = TextColumn("{task.fields[told]}")
        self.bar = Progress(*columns, TimeRemainingColumn(), told, console=console, disable=not console.is_terminal)
        self._task = self.bar.add_task("judgements", total=total, told="")

    def step(self, made: Judgement | None) -> None:
        """One more is done: made now, or there already."""
        self.skip(1)
        if made is not None:
            self._tokens += made.input_tokens + made.output_tokens
            self._cost += made.cost or 0.0
        told = f"{self._tokens:,} tokens" + (f", ${self._cost:.2f}" if self._cost else "")
        self.bar.update(self._task, told=told)
        if not self._console.is_terminal and self._done % max(1, self._total // 10) == 0:
            self._console.print(f"{self._done}/{self._total} judgements: {told}", highlight=False)

    def skip(self, count: int) -> None:
        """So many need not be made."""
        self._done += count
        self.bar.update(self._task, completed=self._done)


def total_cost(made: Sequence[Judgement]) -> float | None:
    """US dollars; None if prices are not known."""
    known = [one.cost for one in made if one.cost is not None]
    return sum(known) if known else None
