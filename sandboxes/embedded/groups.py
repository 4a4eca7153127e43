"""Control groups (version 2) for the agents' machines, where this process has been given a part of the hierarchy.

That is so for root, and for users' sessions under systemd. A group counts what resource limits cannot: the memory of
all processes together with their files in memory, and the use of processors.
"""

import contextlib
import functools
import os
import time
from collections.abc import Set
from pathlib import Path
from typing import Final

from sidedoor.sandboxes.hardening import CPUS, MEMORY_BYTES, PIDS
from sidedoor.sandboxes.machine import ProviderUnavailableError

MOUNTS: Final = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
NEEDED: Final = frozenset({"memory", "pids"})
CPU_PERIOD_US: Final = 100_000
REMOVAL_S: Final = 2.0

JOIN: Final = 'echo $$ > "$0/cgroup.procs" && exec "$@"'
"""Shell text: enter the group that is given as the shell's own name, and become a command."""


@functools.cache
def delegated_group() -> Path | None:
    """The nearest group above this process in which it can make others with limits; None if there is none."""
    own = _own_group()
    return next((group for group in (own, *own.parents) if _is_delegated(group)), None) if own else None


def groups_left(parent: Path, in_use: Set[str]) -> list[Path]:
    """Groups under a delegated one that belong to no machine, given the names of those that there are."""
    return [group for group in parent.glob("desk-*") if group.name not in in_use]


def make_group(parent: Path, name: str) -> Path:
    """A group with the limits of an agent's machine, under a delegated one.

    Raises:
        ProviderUnavailableError: the kernel refuses the group or one of the limits.
    """
    group = parent / name
    limits = {
        "memory.max": str(MEMORY_BYTES),
        "memory.swap.max": "0",
        "pids.max": str(PIDS + 8),  # bubblewrap, and the first process
        "cpu.max": f"{CPUS * CPU_PERIOD_US} {CPU_PERIOD_US}",
    }
    try:
        group.mkdir()
        for file, value in limits.items():
            if (group / file).exists():  # without swap, or without that controller, there is nothing to limit
                (group / file).write_text(value, encoding="ascii")
    except OSError as error:
        raise ProviderUnavailableError(f"no control group can be made: {error}") from error
    return group


def joining(group: Path, command: list[str]) -> list[str]:
    """The command line that runs a command inside a group."""
    return ["sh", "-c", JOIN, str(group), *command]


def remove_group(group: Path) -> None:
    """End what is left in a group and remove it; one that is gone already is no error. Blocks for an instant."""
    deadline = time.monotonic() + REMOVAL_S
    while group.exists() and time.monotonic() < deadline:
        if (group / "cgroup.kill").exists():
            with contextlib.suppress(OSError):
                (group / "cgroup.kill").write_text("1", encoding="ascii")
        try:
            group.rmdir()
        except OSError:
            time.sleep(0.005)


def _own_group() -> Path | None:
    line = next((one for one in Path("/proc/self/cgroup").read_text().splitlines() if one.startswith("0::")), None)
    mount = next((one for one in MOUNTS if (one / "cgroup.controllers").exists()), None)
    return mount / line.removeprefix("0::/") if mount and line else None


def _is_delegated(group: Path) -> bool:
    files = (group, group / "cgroup.procs", group / "cgroup.subtree_control")
    if not all(os.access(file, os.W_OK) for file in files):
        return False
    if not set((group / "cgroup.subtree_control").read_text(encoding="ascii").split()) >= NEEDED:
        return False
    try:
        remove_group(make_group(group, f"trial-{os.getpid()}"))
    except ProviderUnavailableError:
        return False
    return True
