"""Following a run: what Inspect's hooks tell of finished samples, and a bar with outcomes, time left, tokens, cost."""

from abc import ABC, abstractmethod
from collections import Counter
from types import TracebackType
from typing import ClassVar, Self

from inspect_ai.hooks import Hooks, SampleEnd, hooks
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from typing_extensions import override

from sidedoor.evals.outcomes import outcome_word
from sidedoor.evals.samples import cut_off, label_values
from sidedoor.sandboxes.ledger import Phase, enter


class Follower(ABC):
    """Whoever is told of each sample that ends while this is entered; one at a time in a process."""

    current: ClassVar["Follower | None"] = None

    def __enter__(self) -> Self:
        Follower.current = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        Follower.current = None

    @abstractmethod
    def finished(self, end: SampleEnd) -> None:
        """A sample has ended."""


class RunProgress(Follower):
    """A progress bar with counts per outcome.

    Args:
        console: where to draw; on no terminal, a line per tenth of the run is printed instead.
        total: planned samples.
        done: samples finished before (a resumed run).
    """

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

    @override
    def __enter__(self) -> Self:
        self._bar.start()
        return super().__enter__()

    @override
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()
        super().__exit__(kind, error, traceback)

    @override
    def finished(self, end: SampleEnd) -> None:
        """Count one sample, unless it was cut off."""
        sample, summary = end.sample, end.sample.summary()
        if cut_off(summary):
            return
        enter(Phase.ENDED)
        for usage in sample.model_usage.values():
            self.tokens += usage.total_tokens
            if usage.total_cost is not None:
                self.cost = (self.cost or 0.0) + usage.total_cost
        self.count(outcome_word(label_values(summary)))

    def count(self, outcome: str) -> None:
        """Count one sample by its outcome."""
        self.outcomes[outcome] += 1
        self._done += 1
        self._bar.update(self._task, completed=self._done, told=self.told())
        if not self._console.is_terminal and self._done % max(1, self._total // 10) == 0:
            self._console.print(f"{self._done}/{self._total} samples: {self.told()}", highlight=False)

    def told(self) -> str:
        """Outcomes so far, tokens where any were used, and cost where prices are known."""
        outcomes = ", ".join(f"{word} {n}" for word, n in sorted(self.outcomes.items()))
        cost = "" if self.cost is None else f", ${self.cost:.2f}"
        return f"{outcomes} ({self.tokens:,} tokens{cost})" if self.tokens else outcomes


@hooks(name="sidedoor_progress", description="Feeds sidedoor's progress bar while a sidedoor run is under way.")
class ProgressHooks(Hooks):
    """Passes finished samples on to the run under way, if there is one."""

    def enabled(self) -> bool:
        """Whether a sidedoor run is under way in this process."""
        return Follower.current is not None

    async def on_sample_end(self, data: SampleEnd) -> None:
        """Count the sample."""
        if Follower.current is not None:
            Follower.current.finished(data)
