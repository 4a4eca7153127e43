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
from sidedoor.evals.frame.logs import LogContent
from sidedoor.scorers import failures


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
