"""Finding what a path holds: runs, imports, or plain logs."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, get_args

from sidedoor.evals.frame.imported import is_import
from sidedoor.evals.frame.rows import SourceKind
from sidedoor.tasks.yaml_source import SourceError

RUN_MANIFEST: Final = "run.json"
LOGS: Final = "logs"


@dataclass(frozen=True)
class Source:
    """A folder that samples come from, and the logs in it that count towards it."""

    kind: SourceKind
    folder: Path
    logs: tuple[Path, ...] = ()


def find_sources(paths: Iterable[Path]) -> list[Source]:
    """What is at or below the given paths: runs first, then imports, then logs, each in the order given.

    A log that is given both by itself and with its run belongs to the run.

    Raises:
        SourceError: no path, or one that does not exist or holds no run, import or log.
    """
    paths = list(paths)
    if not paths:
        raise SourceError("nothing to read: give the folder of a run (results/runs/<id>), a folder of logs, or a log")
    sources: list[Source] = []
    for path in paths:
        try:
            found = list(_below(path.resolve())) if path.is_dir() else list(_single(path))
        except OSError as error:
            raise SourceError(f"{error.filename}: {error.strerror}") from None
        if not found:
            raise SourceError(f"{path}: no run, import or .eval log there")
        sources += found
    return sorted(sources, key=lambda source: get_args(SourceKind).index(source.kind))


def _single(path: Path) -> Iterator[Source]:
    if path.exists():
        whole = path.resolve()
        yield Source("log", whole.parent, (whole,))


def _below(folder: Path) -> Iterator[Source]:
    if is_import(folder):
        yield Source("import", folder)
    elif (folder / RUN_MANIFEST).is_file():
        yield Source("run", folder, tuple(sorted(one for one in (folder / LOGS).rglob("*.eval") if one.is_file())))
    else:
        here = sorted(folder.iterdir())
        if logs := tuple(one for one in here if one.suffix == ".eval" and one.is_file()):
            yield Source("log", folder, logs)
        for one in here:
            if one.is_dir() and not one.is_symlink():
                yield from _below(one)
