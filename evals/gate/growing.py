"""A run's folder that is given more epochs, for `sidedoor gate --sequential`. Imports Inspect, and so takes seconds."""

from pathlib import Path

from rich.console import Console

from sidedoor.evals.gate.observed import Observed, observe
from sidedoor.evals.gate.sequential import Size
from sidedoor.evals.run import extend_run, read_manifest


class RunFolder:
    """A run that `sidedoor run` began; growing it is resuming it with more epochs.

    Args:
        folder: of the run.
        console: where its progress is shown.
    """

    def __init__(self, folder: Path, console: Console) -> None:
        self._folder, self._console = folder, console

    def size(self) -> Size:
        """Cells per epoch and model, and epochs that are planned now.

        Raises:
            RunError: there is no run there, or it was cut with --limit.
        """
        manifest = read_manifest(self._folder)
        return Size(manifest.cells(), manifest.request.epochs)

    def grow(self, epochs: int) -> None:
        """Have the run finish so many epochs; see `extend_run`."""
        extend_run(self._folder, epochs, self._console)

    def observe(self) -> Observed:
        """The run as it is now."""
        return observe(self._folder)
