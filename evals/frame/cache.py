"""A cache of what logs say, by the digest of their bytes.

It lies in the user's cache folder, is written atomically, and may be deleted at any time. Entries are validated like
any input: one that is damaged, or that another version wrote, is read from its log again.
"""

import hashlib
import os
from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from pathlib import Path

from platformdirs import user_cache_path
from pydantic import ValidationError

from sidedoor.evals import samples
from sidedoor.evals.frame import logs, rows
from sidedoor.evals.frame.logs import LogContent, read_log
from sidedoor.scorers import failures
from sidedoor.tasks.yaml_source import SourceError


def remember(path: Path) -> None:
    """Keep what a log says, where Inspect is imported anyway, so that nobody needs to import it for this log again.

    Raises:
        SourceError: it cannot be read.
    """
    digest = digest_of(path)
    if not load([digest]):
        keep(digest, read_log(path, digest))


def digest_of(path: Path) -> str:
    """SHA-256 of a log's bytes.

    Raises:
        SourceError: it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from None


def load(digests: Iterable[str]) -> dict[str, LogContent]:
    """What the logs with these digests say, as far as it is known."""
    folder = _folder()
    return {digest: content for digest in digests if (content := _load(_entry(folder, digest)))}


def _load(entry: Path) -> LogContent | None:
    try:
        return LogContent.model_validate_json(entry.read_bytes())
    except (OSError, ValidationError):
        return None


def keep(digest: str, content: LogContent) -> None:
    """Remember what the log with this digest says; a cache that cannot be written only costs time."""
    entry = _entry(_folder(), digest)
    temporary = entry.with_suffix(f".{os.getpid()}")
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(content.model_dump_json(), encoding="utf-8")
        temporary.replace(entry)
    except OSError:
        return


def _folder() -> Path:
    return user_cache_path("sidedoor") / "logs" / _reader()


def _entry(folder: Path, digest: str) -> Path:
    return folder / digest[:2] / f"{digest}.json"


@cache
def _reader() -> str:
    """What reads logs, by its source text: no number has to be raised by hand when it changes."""
    sources = b"".join(Path(module.__file__ or "").read_bytes() for module in (logs, rows, samples, failures))
    return hashlib.sha256(sources + version("inspect-ai").encode()).hexdigest()[:16]
