"""Processes of ours whose end is noticed without a thread, and other processes known by descriptor alone."""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Sequence
from typing import Final

from sidedoor.sandboxes.streams import MAX_STDERR

ENVIRONMENT: Final = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


class Complaints:
    """What processes write to standard error; called, the first 16 KiB of it.

    Attributes:
        descriptor: to be their standard error; -1 once this is closed.
    """

    def __init__(self) -> None:
        self.descriptor = os.memfd_create("stderr")
        self._kept = b""

    def __call__(self) -> bytes:
        return self._kept if self.descriptor < 0 else os.pread(self.descriptor, MAX_STDERR, 0)

    def last_words(self) -> str:
        """The last line, or that there is none."""
        lines = self().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "no message"

    def close(self) -> None:
        """Let go of the file, and keep what it holds."""
        if self.descriptor >= 0:
            self._kept = self()
            os.close(self.descriptor)
            self.descriptor = -1


class Process:
    """A process known by its descriptor, which stays right when process ids are given out again.

    Args:
        descriptor: of the process; is closed by `close`.
        then: called, on the event loop, when the process has ended.

    Attributes:
        ended: set when it has, and all below it, if it was the first of a namespace.
    """

    def __init__(self, descriptor: int, then: Callable[[], None]) -> None:
        self.ended = asyncio.Event()
        self._descriptor: int | None = descriptor
        self._then = then
        asyncio.get_running_loop().add_reader(descriptor, self._on_end)

    @property
    def id(self) -> int:
        """Its process id here; -1 once it has ended."""
        with open(f"/proc/self/fdinfo/{self._descriptor}", encoding="ascii") as facts:  # noqa: PTH123 - one line
            return next(int(line.split()[1]) for line in facts if line.startswith("Pid:"))

    def kill(self) -> None:
        """End it at once."""
        if self._descriptor is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    async def ends(self, within_s: float) -> bool:
        """Whether it ends in time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.ended.wait(), within_s)
        return self.ended.is_set()

    def close(self) -> None:
        """Let go of it."""
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    def _on_end(self) -> None:
        if self._descriptor is not None:
            asyncio.get_running_loop().remove_reader(self._descriptor)
        self.ended.set()
        self._then()


class Child(Process):
    """A process that this one starts, in a session of its own, so that a terminal's signals do not reach it.

    Args:
        argv: program and arguments.
        standard: descriptor that is its standard input and output.
        inherited: descriptors that it gets besides.
        then: called when it has ended.

    Attributes:
        complaints: what it, and whatever runs in it, has written to standard error.
    """

    def __init__(self, argv: Sequence[str], standard: int, inherited: Sequence[int], then: Callable[[], None]) -> None:
        self.complaints = Complaints()
        self._process = spawn(argv, standard, inherited, self.complaints)
        super().__init__(os.pidfd_open(self._process.pid), then)

    def kill_group(self) -> None:
        """End it and what it started in its session."""
        if not self.ended.is_set():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Let go of it, after its end."""
        self._process.wait()
        self.complaints.close()
        super().close()


def spawn(
    argv: Sequence[str], standard: int, inherited: Sequence[int], complaints: Complaints
) -> "subprocess.Popen[bytes]":
    """Start a program in a session of its own, with nothing of this process's environment."""
    return subprocess.Popen(
        argv,
        stdin=standard,
        stdout=standard,
        stderr=complaints.descriptor,
        pass_fds=inherited,
        env=ENVIRONMENT,
        cwd="/",
        start_new_session=True,
    )
