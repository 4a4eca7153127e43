"""A cache of what logs say, by the digest of their bytes.

It lies in the user's cache folder, is written atomically, and may be deleted at any time. Entries are validated like
any input: one that is damaged, or that another version wrote, is read from its log again.
"""

import hashlib
import os
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
    if load(digest) is None:
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


def load(digest: str) -> LogContent | None:
    """What the log with this digest says; None if it is not known."""
    try:
        return LogContent.model_validate_json(_entry(digest).read_bytes())
    except (OSError, ValidationError):
        return None


def keep(digest: str, content: LogContent) -> None:
    """Remember what the log with this digest says; a cache that cannot be written only costs time."""
    entry = _entry(digest)
    temporary = entry.with_suffix(f".{os.getpid()}")
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(content.model_dump_json(), encoding="utf-8")
        temporary.replace(entry)
    except OSError:
        return


def _entry(digest: str) -> Path:
    return user_cache_path("sidedoor") / "logs" / _reader() / digest[:2] / f"{digest}.json"


@cache
def _reader() -> str:
    """What reads logs, by its source text: no number has to be raised by hand when it changes."""
    sources = b"".join(Path(module.__file__ or "").read_bytes() for module in (logs, rows, samples, failures))
    return hashlib.sha256(sources + version("inspect-ai").encode()).hexdigest()[:16]
