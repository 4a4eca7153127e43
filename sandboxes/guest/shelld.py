"""Shell daemon: starts command sessions for whoever holds the other end of its standard input.

Runs as the first process, under the same user as everything else here. No signal of theirs can end or stop it, and its
memory and descriptors are closed to them. Messages are whole packets: the first holds the limits (seconds to live,
bytes of memory or nothing, files, and `NAME=value`s for each process), each further one comes with a stream for a new
session, which is a copy of this process that goes on as `session.py`. When standard input ends, or the time is over, so
does the machine.
"""
# Each of contextlib, importlib, json, pathlib, signal, socket and typing takes as long to import as all else here.
# ruff: noqa: PTH120, PTH123, PTH208, SIM105

from __future__ import annotations

import os
import resource
import select
import struct
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    import socket
    import types
    from collections.abc import Iterator
    from typing import NoReturn
else:
    import _signal as signal  # without their numbers as enums
    import _socket as socket

FOLDERS = ("/home/operator", "/tmp")
PACKET = 4096
DESCRIPTOR = struct.Struct("i")
LOOK_SECONDS = 1.0
SHARES = "smaps_rollup", (b"Pss_Anon:", b"Pss_Shmem:")
WHOLE = "status", (b"RssAnon:", b"RssShmem:")


def kept(process: str, source: tuple[str, tuple[bytes, ...]]) -> int:
    """Bytes that a process keeps in memory, by one of the system's accounts; 0 if there is no such account."""
    name, lines = source
    try:
        with open(f"/proc/{process}/{name}", "rb") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith(lines)) * 1024
    except OSError:
        return 0


def memory() -> Iterator[tuple[int, int]]:
    """Bytes of its own, and id, of every process but this one.

    What copies of a process share counts once, divided among them; it counts in full where a process hides its memory.
    """
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            yield kept(name, SHARES) or kept(name, WHOLE), int(name)


def files() -> int:
    """How many files there are where files can be made."""
    return sum(found.f_files - found.f_ffree for found in map(os.statvfs, FOLDERS))


def kill(process: int) -> None:
    """End a process, or with -1 all; it may have ended before."""
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        pass


def look(most_memory: int | None, most_files: int) -> None:
    """End what takes more than its share, where no control group does: the largest processes, or those with files."""
    if most_memory is not None:
        found = sorted(memory())
        total = sum(size for size, _ in found)
        while total > most_memory:
            size, process = found.pop()
            total -= size
            kill(process)
    if files() > most_files:
        kill(-1)


def load_session() -> types.ModuleType:
    """The session's program, which is beside this one."""
    sys.path.append(os.path.dirname(__file__))
    return __import__("session")


def become_session(session: types.ModuleType, stream: int, limits: list[str]) -> NoReturn:
    """Turn this copy of the process into a command session that speaks on a stream."""
    try:
        nothing = os.open("/dev/null", os.O_RDWR)
        for number, end in enumerate((stream, stream, nothing)):
            os.dup2(end, number)
        os.closerange(3, max(stream, nothing) + 1)
        os.setsid()
        for limit in limits:
            name, _, most = limit.partition("=")
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (int(most), int(most)))
        session.serve()
    finally:
        os._exit(1)


def send_fds(control: socket.socket, message: bytes, descriptors: list[int]) -> None:
    """Send a message with descriptors."""
    packed = struct.pack(f"{len(descriptors)}i", *descriptors)
    control.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, packed)])


def recv_fd(control: socket.socket) -> tuple[bytes, list[int]]:
    """Receive a message, and the descriptor that came with it, if one did."""
    message, notes, _, _ = control.recvmsg(PACKET, socket.CMSG_LEN(DESCRIPTOR.size))
    return message, [DESCRIPTOR.unpack_from(data)[0] for _, _, data in notes]


def fork_session(session: types.ModuleType, stream: int, limits: list[str]) -> None:
    """Start a session on a stream, which is closed here."""
    try:
        if os.fork() == 0:
            become_session(session, stream, limits)
    except OSError:  # no room for another process: the stream's end says so
        pass
    os.close(stream)


def serve(session: types.ModuleType, control: socket.socket) -> None:
    """Start sessions until standard input ends or the lifetime is over."""
    lifetime, most_memory, most_files, *each = session.texts(control.recv(PACKET))
    deadline = time.monotonic() + int(lifetime)
    folders = [os.open(folder, os.O_RDONLY | os.O_DIRECTORY) for folder in FOLDERS]
    send_fds(control, b"ready", [os.pidfd_open(os.getpid()), *folders])
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while time.monotonic() < deadline:
        if poll.poll(LOOK_SECONDS * 1000):
            order, streams = recv_fd(control)
            if not order:
                return
            for stream in streams:
                fork_session(session, stream, each)
        look(int(most_memory) if most_memory else None, int(most_files))


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
