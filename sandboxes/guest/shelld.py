"""Shell daemon: starts command sessions for whoever holds the other end of its standard input.

Runs as the first process, under the same user as everything else here. No signal of theirs can end or stop it, and its
memory and descriptors are closed to them. Messages are whole packets: the first holds the limits, each further one
comes with a stream for a new session, which is a copy of this process that goes on as `session.py`. When standard input
ends, or the time is over, so does the machine.
"""
# pathlib and typing take longer to import than everything else here together
# ruff: noqa: PTH118, PTH120, PTH123, PTH208

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import signal
import socket
import time
import types

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, NoReturn

SESSION = os.path.join(os.path.dirname(__file__), "session.py")
FOLDERS = ("/home/operator", "/tmp")
PACKET = 4096
LOOK_SECONDS = 1.0


def memory() -> Iterator[tuple[int, int]]:
    """Bytes of its own, and id, of every process but this one."""
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            with contextlib.suppress(OSError), open(f"/proc/{name}/status", "rb") as file:
                lines = [line.split() for line in file if line.startswith((b"RssAnon:", b"RssShmem:"))]
                yield sum(int(line[1]) for line in lines) * 1024, int(name)


def files() -> int:
    """How many files there are where files can be made."""
    return sum(found.f_files - found.f_ffree for found in map(os.statvfs, FOLDERS))


def look(limits: Mapping[str, Any]) -> None:
    """End what takes more than its share, where no control group does: the largest processes, or those with files."""
    if limits["memory"] is not None:
        found = sorted(memory())
        total = sum(size for size, _ in found)
        while total > limits["memory"]:
            size, process = found.pop()
            total -= size
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    if files() > limits["files"]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)


def load_session() -> types.ModuleType:
    """The session's program, which is not on the path."""
    session = types.ModuleType("session")
    with open(SESSION, "rb") as file:
        exec(compile(file.read(), SESSION, "exec"), session.__dict__)
    return session


def become_session(session: types.ModuleType, stream: int, limits: Mapping[str, int]) -> NoReturn:
    """Turn this copy of the process into a command session that speaks on a stream."""
    try:
        nothing = os.open("/dev/null", os.O_RDWR)
        for number, end in enumerate((stream, stream, nothing)):
            os.dup2(end, number)
        os.closerange(3, max(stream, nothing) + 1)
        os.setsid()
        for name, most in limits.items():
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))
        session.serve()
    finally:
        os._exit(1)


def serve(session: types.ModuleType, control: socket.socket) -> None:
    """Start sessions until standard input ends or the lifetime is over."""
    limits = json.loads(control.recv(PACKET))
    deadline = time.monotonic() + limits["lifetime"]
    folders = [os.open(folder, os.O_RDONLY | os.O_DIRECTORY) for folder in FOLDERS]
    socket.send_fds(control, [b"ready"], [os.pidfd_open(os.getpid()), *folders])
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while time.monotonic() < deadline:
        if poll.poll(LOOK_SECONDS * 1000):
            order, streams, _, _ = socket.recv_fds(control, PACKET, 1)
            if not order:
                return
            for stream in streams:
                with contextlib.suppress(OSError):  # no room for another process: the stream's end says so
                    if os.fork() == 0:
                        become_session(session, stream, limits["each"])
                os.close(stream)
        look(limits)


def main() -> None:
    """Close this process to its own user, and serve."""
    session = load_session()
    session.protect()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # as the first process: without effect
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    os.chdir("/")
    serve(session, socket.socket(fileno=0))


if __name__ == "__main__":
    main()
