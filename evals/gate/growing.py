"""A run's folder that is given more epochs, for `sidedoor gate --sequential`. Imports Inspect, and so takes seconds."""

from pathlib import Path

from rich.console import Console

from sidedoor.evals.gate.observed import Observed, observe
from sidedoor.evals.gate.sequential import Size
from sidedoor.evals.run import MANIFEST, RunManifest, read_manifest, resume_run
from sidedoor.tasks.yaml_source import SourceError


class RunFolder:
    """A run that `sidedoor run` began; growing it is resuming it with more epochs.

    Args:
        folder: of the run.
        console: where its progress is shown.

    Raises:
        RunError: there is no run there.
        SourceError: it was cut with --limit, so that its epochs are not whole.
    """

    def __init__(self, folder: Path, console: Console) -> None:
        self._folder, self._console = folder, console
        if read_manifest(folder).request.limit is not None:
            raise SourceError(f"{folder}: a run with --limit has no whole epochs; start it without")

    def size(self) -> Size:
        """Cells per epoch and model, and epochs that are planned now."""
        manifest = read_manifest(self._folder)
        request = manifest.request
        return Size(manifest.samples_planned // (request.epochs * len(request.models)), request.epochs)

    def grow(self, epochs: int) -> None:
        """Have the run finish so many epochs; what is finished already is kept."""
        manifest = read_manifest(self._folder)
        if manifest.request.epochs < epochs:
            self._write(_with_epochs(manifest, epochs, self.size().cells))
        elif manifest.exit is not None and manifest.exit.code == 0:
            return
        resume_run(self._folder, self._console)

    def observe(self) -> Observed:
        """The run as it is now."""
        return observe(self._folder)

    def _write(self, manifest: RunManifest) -> None:
        temporary = self._folder / f".{MANIFEST}"
        temporary.write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
        temporary.replace(self._folder / MANIFEST)


def _with_epochs(manifest: RunManifest, epochs: int, cells: int) -> RunManifest:
    request = manifest.request.model_copy(update={"epochs": epochs})
    return manifest.model_copy(
        update={
            "request": request,
            "seeds": tuple(request.seed + epoch for epoch in range(1, epochs + 1)),
            "samples_planned": cells * epochs * len(request.models),
            "ended": None,
            "exit": None,
        }
    )
