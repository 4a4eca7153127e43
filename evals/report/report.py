"""`sidedoor report`: any set of runs, logs and imports as a page and as files for other programs."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from sidedoor.evals.frame.export import write_samples
from sidedoor.evals.frame.gather import Progress
from sidedoor.evals.frame.read import Frame, read_frame
from sidedoor.evals.report import export, render
from sidedoor.evals.report.cube import prepare
from sidedoor.evals.report.data import ReportData
from sidedoor.evals.report.excerpts import excerpts
from sidedoor.evals.report.findings import analyse
from sidedoor.evals.report.words import verdict
from sidedoor.tasks.yaml_source import SourceError

PAGE: Final = "report.html"


def default_folder(paths: Sequence[Path]) -> Path:
    """Where a report goes if nobody says: into the run, if it is one, otherwise into `report` here."""
    return paths[0] / "report" if len(paths) == 1 and paths[0].is_dir() else Path("report")


def make_report(paths: Iterable[Path], folder: Path, console: Console, *, command: str, seed: int = 0) -> ReportData:
    """Read, analyse, write, and print the verdict.

    Args:
        paths: runs, imports, logs, or folders of them.
        folder: where the files are written; made if it is not there.
        console: told of progress and of the verdict.
        command: the command that is running, to be told in the report.
        seed: of the negatives shown and of simulated nulls.

    Raises:
        SourceError: nothing to read, or the folder cannot be written.
    """
    from rich.progress import Progress as Bar

    with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading logs", total=None)
        progress: Progress = lambda done, total: bar.update(task, completed=done, total=total)  # noqa: E731
        frame = read_frame(paths, progress=progress)
        bar.update(task, description="analysing")
        data = build(frame, command=command, seed=seed)
        try:
            write_report(folder, frame, data)
        except OSError as error:
            raise SourceError(f"cannot write to {folder}: {error.strerror}") from None
    console.print(
        "\n".join([*verdict(data), f"report:  {folder / PAGE}"]), markup=False, highlight=False, soft_wrap=True
    )
    return data


def build(frame: Frame, *, command: str = "", seed: int = 0) -> ReportData:
    """Everything that the report says, excerpts included."""
    data = analyse(frame, command=command, seed=seed)
    return data.model_copy(update={"excerpts": tuple(excerpts(prepare(frame), seed))})


def write_report(folder: Path, frame: Frame, data: ReportData) -> None:
    """Write the page and every export into `folder`.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for file, text in (
        (PAGE, render.page(data)),
        ("summary.md", render.summary(data)),
        ("tables.tex", render.tables(data)),
    ):
        (folder / file).write_text(text, encoding="utf-8")
    export.write_summary_json(folder / "summary.json", data)
    export.write_rates(folder / "rates.csv", data)
    export.write_contrasts(folder / "contrasts.csv", data)
    write_samples(folder, frame.samples)
