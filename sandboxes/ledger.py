"""Which phase each sample of a run is in, on disk at every change: what is left to tell of a run that was killed.

Trust boundary: a ledger may come from anyone. A line that is none of ours says nothing, nor does a last one that was
torn by SIGKILL.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Final

from pydantic import TypeAdapter, ValidationError


class Phase(StrEnum):
    """Where a sample is."""

    START = "start"
    """Its workplace is waited for."""
    TURN = "turn"
    """Its agent works."""
    CAPTURE = "capture"
    """Evidence is read."""
    SCORING = "scoring"
    """Labels are derived from it, and written to the log."""
    ENDED = "ended"
    """The log has it."""


_LINE: Final = TypeAdapter(tuple[str, str, Phase])


class Ledger:
    """The ledger that all samples of this process are entered in while it is kept."""

    kept: ClassVar["Ledger | None"] = None

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def enter(self, model: str, sample: str, phase: Phase) -> None:
        """Write down that a sample came to a phase; where that cannot be written, only the phase is not known."""
        line = json.dumps((model, sample, phase)).encode() + b"\n"
        try:
            os.write(self._descriptor, line)  # at once, so that lines of several threads do not mix
        except OSError:
            return


@contextmanager
def ledger_kept(path: Path) -> Iterator[None]:
    """Keep a ledger at `path`, behind what is there.

    Raises:
        OSError: the file cannot be opened, or the disk is full.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    Ledger.kept = Ledger(descriptor)
    try:
        os.write(descriptor, b"\n")  # ends the line that was torn when an earlier process was killed
        yield
    finally:
        Ledger.kept = None
        os.close(descriptor)


def enter(phase: Phase) -> None:
    """Have the present sample come to a phase, if this process keeps a ledger."""
    if Ledger.kept is None:
        return
    from inspect_ai.log._samples import sample_active  # takes seconds to import, which a reader need not

    active = sample_active()
    if active is not None:
        Ledger.kept.enter(active.model, str(active.sample.id), phase)


def last_phases(path: Path) -> dict[tuple[str, str], Phase]:
    """The phase that each sample came to last, by model and sample id; empty if there is no ledger."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return {}
    return {(model, sample): phase for line in lines if line for model, sample, phase in _read(line)}


def _read(line: bytes) -> Iterator[tuple[str, str, Phase]]:
    try:
        yield _LINE.validate_json(line)
    except ValidationError:
        return
