"""Imported results: another study's samples in our columns, in a folder that reads like a run.

`import.json` says what was imported and what is missing; `samples.jsonl` has one row per sample; `logs/` has
transcripts, where the study has them. Trust boundary: the folder may come from anyone, so every row is validated.
"""

import datetime as dt
import hashlib
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from sidedoor.evals.frame.problems import MissingSample, Problem
from sidedoor.evals.frame.rows import FrameRow
from sidedoor.tasks.yaml_source import SourceError

MANIFEST: Final = "import.json"
SAMPLES: Final = "samples.jsonl"
LOGS: Final = "logs"


class ImportManifest(BaseModel):
    """`import.json`: where imported rows came from, how they were mapped, and what is not among them.

    `notes` are sentences about the mapping that a reader of the numbers must know; times are UTC.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    id: str
    study: str
    origin: str
    imported: str
    sidedoor: str
    samples: int
    samples_sha256: str
    missing: tuple[MissingSample, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


class Imported(BaseModel):
    """An import, before it is written or after it was read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    study: str
    origin: str
    rows: tuple[FrameRow, ...]
    missing: tuple[MissingSample, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()


def new_import_folder(results: Path, name: str) -> Path:
    """The folder of a new import; the name is its id.

    Raises:
        SourceError: not a plain name, or there is an import of that name.
    """
    folder = results / name
    if folder.resolve().parent != results.resolve():
        raise SourceError(f"'{name}' is not a name for an import")
    if (folder / MANIFEST).exists():
        raise SourceError(f"{folder}: there is an import of that name; give another with --name, or remove it")
    return folder


def write_import(folder: Path, imported: Imported) -> ImportManifest:
    """Write an import's rows and manifest into `folder`.

    Raises:
        SourceError: the folder cannot be written.
    """
    text = "".join(f"{row.model_dump_json()}\n" for row in imported.rows)
    manifest = ImportManifest(
        id=folder.name,
        study=imported.study,
        origin=imported.origin,
        imported=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        sidedoor=version("sidedoor"),
        samples=len(imported.rows),
        samples_sha256=hashlib.sha256(text.encode()).hexdigest(),
        missing=imported.missing,
        problems=imported.problems,
        notes=imported.notes,
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SAMPLES).write_text(text, encoding="utf-8")
        (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise SourceError(f"cannot write the import to {folder}: {error.strerror}") from None
    return manifest


def is_import(folder: Path) -> bool:
    """Whether there is an import in `folder`."""
    return (folder / MANIFEST).is_file()


def read_import(folder: Path) -> Imported:
    """The import in `folder`.

    Raises:
        SourceError: it is malformed, or its rows are not those that were imported.
    """
    try:
        manifest = ImportManifest.model_validate_json((folder / MANIFEST).read_bytes())
        data = (folder / SAMPLES).read_bytes()
        if hashlib.sha256(data).hexdigest() != manifest.samples_sha256:
            raise SourceError(f"{folder / SAMPLES}: changed since it was imported; import it again")
        rows = tuple(_located(FrameRow.model_validate_json(line), folder, manifest.id) for line in _lines(data))
    except OSError as error:
        raise SourceError(f"{folder}: {error.strerror}; import it again") from None
    except ValidationError as error:
        raise SourceError(f"{folder}: not an import of this version: {str(error).splitlines()[0]}") from None
    return Imported(
        study=manifest.study,
        origin=manifest.origin,
        rows=rows,
        missing=manifest.missing,
        problems=manifest.problems,
        notes=manifest.notes,
    )


def _located(row: FrameRow, folder: Path, run: str) -> FrameRow:
    return row.model_copy(update={"source": str(folder), "source_kind": "import", "run": row.run or run})


def _lines(data: bytes) -> Iterable[bytes]:
    return (line for line in data.split(b"\n") if line)
