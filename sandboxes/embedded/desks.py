"""Folders that the two halves of a machine share: where they lie, whose they are, and how they go.

A desk lies in memory where that is possible, under a name that an agent may see in its table of mounts, in a folder
that no other user of this system can enter. Whoever made it holds a lock on it for as long as it lives, so that what a
killed process left behind can be told from what is in use.
"""

import contextlib
import fcntl
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sidedoor.sandboxes.hardening import DESK
from sidedoor.sandboxes.machine import ProviderUnavailableError

NOBODY: Final = 65534

PLACES: Final = ("/dev/shm", "/tmp")  # noqa: S108 - folders of our own are made in them
UNFINISHED_S: Final = 60.0
_NAME: Final = re.compile(r"desk-[0-9a-f]{16}(\.new)?")


def machine_user() -> int:
    """Whom machines run as: this process's user, or nobody in place of root.

    Root is more than a user to the kernel even without its capabilities. Where nobody is not known (this process is
    root only in a namespace of some user's), root is that user to the kernel.
    """
    user = os.geteuid()
    if user != 0:
        return user
    ranges = (map(int, line.split()) for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines())
    return NOBODY if any(first <= NOBODY < first + count for first, _, count in ranges) else user


class Desk:
    """A shared folder of this process's.

    Args:
        name: `desk-` and 16 hexadecimal digits, as no other desk has.

    Attributes:
        path: the folder around it, of that name.
        shared: the folder itself.

    Raises:
        ProviderUnavailableError: there is no place for it.
    """

    def __init__(self, name: str) -> None:
        self.path = place() / name
        self.shared = self.path / "desk"
        fresh = self.path.with_suffix(".new")
        try:
            fresh.mkdir(mode=0o700)
            (fresh / "desk").mkdir()
            (fresh / "desk").chmod(0o755)
            if (user := machine_user()) != os.geteuid():
                os.chown(fresh / "desk", user, user)
                os.chown(fresh, user, user)
            self._lock: int | None = _locked(fresh)
            fresh.rename(self.path)  # only now may others try its lock
        except OSError as error:
            remove(fresh)
            raise ProviderUnavailableError(f"no folder can be made for a machine: {error}") from error

    def remove(self) -> None:
        """Remove the folder, if it is still there, and let go of it."""
        remove(self.path)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def others_desks() -> Iterator[tuple[Path, bool]]:
    """Desks of this user that this process did not make, or has let go of, and whether they are in use."""
    owner = machine_user()
    for path in sorted(path for place in _places() for path in Path(place).glob("desk-*")):
        with contextlib.suppress(OSError):  # it may go at any time
            facts = path.lstat()
            settled = path.suffix == "" or facts.st_mtime < time.time() - UNFINISHED_S
            if _NAME.fullmatch(path.name) and facts.st_uid == owner and settled:
                yield path, _is_locked(path)


def end_users(desk: Path) -> None:
    """End the agent's processes at a desk: those that have it among their mounts. Its services end with them."""
    wanted = os.fsencode(f"/{desk.name}/desk {DESK} ")
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if wanted in (process / "mountinfo").read_bytes():
                os.kill(int(process.name), signal.SIGKILL)


def remove(desk: Path) -> None:
    """Remove a desk; one that is gone already is no error."""
    for folder in (desk, desk / "desk", desk / "desk/bin"):
        with contextlib.suppress(OSError):
            folder.chmod(0o755)
    shutil.rmtree(desk, ignore_errors=True)


def _locked(path: Path) -> int | None:
    """A descriptor that locks a desk, or None if somebody else has it locked."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _is_locked(path: Path) -> bool:
    lock = _locked(path)
    if lock is not None:
        os.close(lock)
    return lock is None


def _places() -> list[str]:
    return list(dict.fromkeys([*PLACES, tempfile.gettempdir()]))


def place() -> Path:
    """The first folder that can be written to, and from which programs can be started."""
    for folder in _places():
        with contextlib.suppress(FileNotFoundError):
            if os.access(folder, os.W_OK | os.X_OK) and not os.statvfs(folder).f_flag & os.ST_NOEXEC:
                return Path(folder)
    raise ProviderUnavailableError(f"programs can be started from none of {', '.join(_places())}")
