"""Live progress of a run: done, outcomes, time left, tokens and cost, fed by Inspect's hooks."""

from collections import Counter
from types import TracebackType
from typing import ClassVar, Self

from inspect_ai.hooks import Hooks, SampleEnd, hooks
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from sidedoor.evals.outcomes import outcome_word
from sidedoor.evals.samples import cut_off, label_values
from sidedoor.sandboxes.ledger import Phase, enter


class RunProgress:
    """A progress bar with counts per outcome.

    Args:
        console: where to draw; on no terminal, a line per tenth of the run is printed instead.
        total: planned samples.
        done: samples finished before (a resumed run).
    """

    current: ClassVar["RunProgress | None"] = None

    def __init__(self, console: Console, total: int, done: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self.tokens = 0
        self.cost: float | None = None
        self._console = console
        self._total, self._done = total, done
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[told]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("samples", total=total, completed=done, told="")

    def __enter__(self) -> Self:
        RunProgress.current = self
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()
        RunProgress.current = None

    def finished(self, end: SampleEnd) -> None:
        """Count one sample, unless it was cut off."""
        sample, summary = end.sample, end.sample.summary()
        if cut_off(summary):
            return
        enter(Phase.ENDED)
        self.outcomes[outcome_word(label_values(summary))] += 1
        for usage in sample.model_usage.values():
            self.tokens += usage.total_tokens
            if usage.total_cost is not None:
                self.cost = (self.cost or 0.0) + usage.total_cost
        self._done += 1
        self._bar.update(self._task, completed=self._done, told=self.told())
        if not self._console.is_terminal and self._done % max(1, self._total // 10) == 0:
            self._console.print(f"{self._done}/{self._total} samples: {self.told()}", highlight=False)

    def told(self) -> str:
        """Outcomes so far, tokens, and cost where prices are known."""
        parts = [f"{word} {n}" for word, n in sorted(self.outcomes.items())]
        cost = "" if self.cost is None else f", ${self.cost:.2f}"
        return f"{', '.join(parts)} ({self.tokens:,} tokens{cost})"


@hooks(name="sidedoor_progress", description="Feeds sidedoor's progress bar while a sidedoor run is under way.")
class ProgressHooks(Hooks):
    """Passes finished samples on to the run under way, if there is one."""

    def enabled(self) -> bool:
        """Whether a sidedoor run is under way in this process."""
        return RunProgress.current is not None

    async def on_sample_end(self, data: SampleEnd) -> None:
        """Count the sample."""
        if RunProgress.current is not None:
            RunProgress.current.finished(data)
