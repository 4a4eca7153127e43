"""Whose a container is: labels that let a later process tell what was left behind, and touch nothing else."""

import contextlib
import functools
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

LABEL: Final = "sidedoor"
OURS: Final = f"{LABEL}=1"
RUN_LABEL: Final = f"{LABEL}.run"
OWNER_LABEL: Final = f"{LABEL}.owner"
EXPIRES_LABEL: Final = f"{LABEL}.expires"


def labels(run: str, lifetime_s: int) -> dict[str, str]:
    """Labels for a container that this process starts now."""
    return {
        LABEL: "1",
        RUN_LABEL: run,
        OWNER_LABEL: owner(),
        EXPIRES_LABEL: str(int(time.time()) + lifetime_s),
    }


def owner() -> str:
    """This process, so that it can be told from a later one with the same id: `machine/process id/start time`."""
    return f"{_machine()}/{os.getpid()}/{_start_time(os.getpid())}"


def left_behind(found: Mapping[str, str], now: float) -> bool:
    """Whether a container of ours with these labels has outlived its time or its process.

    Processes can only be looked up in the same process namespace of the same boot; elsewhere only time counts.
    """
    expires = found.get(EXPIRES_LABEL, "")
    if not expires.isdigit() or int(expires) < now:
        return True
    machine, _, process = found.get(OWNER_LABEL, "").partition("/")
    identifier, _, started = process.partition("/")
    if machine != _machine() or not identifier.isdigit():
        return False
    return _start_time(int(identifier)) != started


@functools.cache
def _machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    namespace = Path("/proc/self/ns/pid").stat().st_ino
    return f"{boot}-{namespace}"


def _start_time(process: int) -> str | None:
    """Clock tick at which a process started; None if there is none or it has ended."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    return None
