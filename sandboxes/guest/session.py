"""Command session: runs commands and reads and writes files for whoever holds the other end of its standard streams.

Frames in both directions are a header (payload bytes, request number, kind) and a payload. Every command gets a
supervisor process of its own that adopts the command's orphans, so that a time-out can end the whole tree, whatever
it has done to its process groups. A command is over when its main process is; what it left in the background lives on.
"""
# pathlib and typing take longer to import than everything else here together
# ruff: noqa: PTH103, PTH118, PTH120, PTH123, PTH208

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import selectors
import signal
import stat
import struct
import termios
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, NoReturn, TypeAlias

    Order: TypeAlias = dict[str, Any]
    Work: TypeAlias = "Command | Upload"

HEADER = struct.Struct("!IIc")  # payload bytes, request, kind
CHUNK = 1 << 17
MAX_FRAME = 1 << 22
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
KILL_SECONDS = 5.0
NOBODY = -1

HOME = "/home/operator"
ENVIRONMENT = {
    "HOME": HOME,
    "USER": "operator",
    "LOGNAME": "operator",
    "SHELL": "/bin/bash",
    "PATH": "/opt/desk/bin:/usr/local/bin:/usr/bin:/bin",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}

libc = ctypes.CDLL(None, use_errno=True)


def send(request: int, kind: bytes, payload: bytes = b"") -> None:
    """Write one frame to standard output, all of it."""
    data = memoryview(HEADER.pack(len(payload), request, kind) + payload)
    while data:
        data = data[os.write(1, data) :]


def fault(number: int) -> OSError:
    """The error that the system would raise itself."""
    return OSError(number, os.strerror(number))


# ---- the supervisor of one command --------------------------------------------------------------------------------


def descendants(root: int) -> set[int]:
    """Ids of all living processes below `root`."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]
                if state != b"Z":
                    children.setdefault(int(parent), []).append(int(name))
    found: set[int] = set()
    frontier = [root]
    while frontier:
        fresh = children.get(frontier.pop(), [])
        found.update(fresh)
        frontier.extend(fresh)
    return found


def end_tree() -> None:
    """Kill every process below this one; stopped first, so that none can fork its way out."""
    deadline = time.monotonic() + KILL_SECONDS
    while time.monotonic() < deadline:
        stopped: set[int] = set()
        while fresh := descendants(os.getpid()) - stopped:
            for process in fresh:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(process, signal.SIGSTOP)
            stopped |= fresh
        if not stopped:
            return
        for process in stopped:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.002)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def tell(status: int, **outcome: Any) -> None:
    os.write(status, json.dumps(outcome).encode() + b"\n")


def become(order: Order, streams: Sequence[int], status: int) -> NoReturn:
    """Turn this process into the command; report why, if that fails."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.setsid()
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    environment = {**ENVIRONMENT, **order["env"]}
    place = "cwd"
    try:
        os.chdir(os.path.join(HOME, order["cwd"]))
        place = "program"
        os.execvpe(order["argv"][0], order["argv"], environment)  # noqa: S606 - there is no shell on purpose
    except (OSError, ValueError) as error:
        tell(status, failed=place, errno=getattr(error, "errno", None) or errno.EINVAL)
    os._exit(127)


def wait_for(main: int, seconds: float | None) -> dict[str, Any]:
    """Exit status of `main`, or why it was not waited for to the end: `timed_out` or `cancelled`."""
    deadline = None if seconds is None else time.monotonic() + seconds
    while True:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == main:
                    code = os.waitstatus_to_exitcode(ended[1])
                    return {"exit": code if code >= 0 else 128 - code}
        left = 3600.0 if deadline is None else deadline - time.monotonic()
        if left <= 0:
            return {"timed_out": True}
        received = signal.sigtimedwait({signal.SIGCHLD, signal.SIGTERM}, left)
        if received is not None and received.si_signo == signal.SIGTERM:
            return {"cancelled": True}


def supervise(order: Order, streams: Sequence[int], status: int) -> None:
    """Run one command to its end in a process of its own."""
    keep = {*streams, status}
    nothing = os.open("/dev/null", os.O_RDWR)
    for number in range(3):
        os.dup2(nothing, number)
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > 2 and number not in keep:
            with contextlib.suppress(OSError):
                os.close(number)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGCHLD, signal.SIGTERM))
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        main = os.fork()
    except OSError as error:
        tell(status, failed="program", errno=error.errno)
        return
    if main == 0:
        become(order, streams, status)
    for stream in streams:
        os.close(stream)
    outcome = wait_for(main, order["timeout"])
    if "exit" not in outcome:
        end_tree()
    tell(status, **outcome)


# ---- the session --------------------------------------------------------------------------------------------------


class Command:
    """A running command: its pipes, what is still to be fed to it, how much it has said."""

    def __init__(self, session: Session, request: int, order: Order) -> None:
        self.session, self.request = session, request
        self.limit = order["limit"]
        self.sent = {b"o": 0, b"e": 0}
        self.input: list[memoryview] = []
        self.input_ended, self.over = False, False
        stdin, feed = os.pipe()
        heard, stdout = os.pipe()
        complaints, stderr = os.pipe()
        self.status, status = os.pipe()
        self.supervisor = 0
        try:
            self.supervisor = os.fork()
        except OSError as error:
            self.supervisor = NOBODY
            tell(status, failed="program", errno=error.errno)
        if self.supervisor == 0:
            try:
                supervise(order, (stdin, stdout, stderr), status)
            finally:
                os._exit(0)
        for end in (stdin, stdout, stderr, status):
            os.close(end)
        for end in (feed, heard, complaints):
            os.set_blocking(end, False)
        self.stdin: int | None = feed
        self.streams = {b"o": heard, b"e": complaints}
        watch = session.selector.register
        watch(heard, selectors.EVENT_READ, lambda: self.on_output(b"o", CHUNK))
        watch(complaints, selectors.EVENT_READ, lambda: self.on_output(b"e", CHUNK))
        watch(self.status, selectors.EVENT_READ, self.on_status)

    def feed(self, payload: bytes) -> None:
        """Queue standard input; an empty payload ends it."""
        if payload and self.stdin is not None:
            self.input.append(memoryview(payload))
        self.input_ended = self.input_ended or not payload
        self.on_input()

    def on_input(self) -> None:
        if self.stdin is None:
            return
        try:
            while self.input:
                rest = self.input[0][os.write(self.stdin, self.input[0]) :]
                self.input[:1] = [rest] if rest else []
        except BlockingIOError:
            with contextlib.suppress(KeyError):
                self.session.selector.register(self.stdin, selectors.EVENT_WRITE, self.on_input)
            return
        except BrokenPipeError:
            self.input_ended = True
        if self.input_ended:
            self.input = []
            self.session.forget(self.stdin)
            self.stdin = None
        else:
            self.session.unwatch(self.stdin)

    def on_output(self, kind: bytes, most: int) -> None:
        try:
            data = os.read(self.streams[kind], most)
        except BlockingIOError:
            return
        if not data:
            self.session.forget(self.streams.pop(kind))
        elif not self.over:  # a finished command's background keeps its pipes and is not listened to
            kept = data[: max(0, self.limit - self.sent[kind])]
            self.sent[kind] += len(data)
            if kept:
                send(self.request, kind, kept)

    def on_status(self) -> None:
        line = os.read(self.status, 4096).partition(b"\n")[0]
        outcome = json.loads(line) if line else {"exit": 128 + signal.SIGKILL}
        self.session.forget(self.status)
        for kind in list(self.streams):
            self.drain(kind)
        self.over = True
        self.input_ended, self.input = True, []
        self.on_input()
        outcome["cut"] = [self.sent[b"o"] > self.limit, self.sent[b"e"] > self.limit]
        self.session.finish(self.request, b"x", outcome)

    def drain(self, kind: bytes) -> None:
        """Pass on what the main process left in a pipe, and no more: others may go on writing for ever."""
        left = struct.unpack("i", fcntl.ioctl(self.streams[kind], termios.FIONREAD, bytes(4)))[0]
        while left > 0:
            before = self.sent[kind]
            self.on_output(kind, min(left, CHUNK))
            if self.sent[kind] == before:
                return
            left -= self.sent[kind] - before

    def cancel(self) -> None:
        """End it and everything below it."""
        if self.supervisor != NOBODY:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.supervisor, signal.SIGTERM)


class Upload:
    """A file that is being written."""

    def __init__(self, session: Session, request: int, order: Order) -> None:
        self.session, self.request = session, request
        path = os.path.join(HOME, order["path"])
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK, 0o644)
        if not stat.S_ISREG(os.fstat(self.file).st_mode):
            os.close(self.file)
            raise fault(errno.EINVAL)
        if order["executable"]:
            os.fchmod(self.file, 0o755)

    def feed(self, payload: bytes) -> None:
        """Write a piece; an empty payload ends the file."""
        data = memoryview(payload)
        while data:
            data = data[os.write(self.file, data) :]
        if not payload:
            os.close(self.file)
            self.session.finish(self.request, b"z", {})

    def cancel(self) -> None:
        """Leave the file as far as it got."""
        os.close(self.file)
        self.session.active.pop(self.request, None)


class Session:
    """The event loop."""

    def __init__(self) -> None:
        self.selector = selectors.DefaultSelector()
        self.selector.register(0, selectors.EVENT_READ, self.on_frames)
        self.received = bytearray()
        self.active: dict[int, Work] = {}

    def run(self) -> NoReturn:
        while True:
            for key, _ in self.selector.select():
                if self.selector.get_map().get(key.fd) is key:  # not forgotten by an earlier event of this round
                    key.data()

    def unwatch(self, descriptor: int) -> None:
        with contextlib.suppress(KeyError):
            self.selector.unregister(descriptor)

    def forget(self, descriptor: int) -> None:
        self.unwatch(descriptor)
        os.close(descriptor)

    def finish(self, request: int, kind: bytes, outcome: dict[str, Any]) -> None:
        self.active.pop(request, None)
        send(request, kind, json.dumps(outcome).encode())

    def on_frames(self) -> None:
        data = os.read(0, 1 << 20)
        if not data:
            os._exit(0)
        self.received += data
        start = 0
        while len(self.received) - start >= HEADER.size:
            length, request, kind = HEADER.unpack_from(self.received, start)
            end = start + HEADER.size + length
            if length > MAX_FRAME:
                os._exit(1)
            if len(self.received) < end:
                break
            self.obey(request, kind, bytes(self.received[start + HEADER.size : end]))
            start = end
        del self.received[:start]

    def obey(self, request: int, kind: bytes, payload: bytes) -> None:
        work = self.active.get(request)
        try:
            if kind == b"I":
                if work is not None:  # it may have ended, or failed to start, meanwhile
                    work.feed(payload)
            elif kind == b"K":
                if work is not None:
                    work.cancel()
            else:
                self.begin(request, kind, json.loads(payload))
        except OSError as error:
            self.finish(request, b"f", {"errno": error.errno})

    def begin(self, request: int, kind: bytes, order: Order) -> None:
        if kind == b"R":
            self.active[request] = Command(self, request, order)
        elif kind == b"W":
            self.active[request] = Upload(self, request, order)
        elif kind == b"G":
            self.download(request, order)

    def download(self, request: int, order: Order) -> None:
        file = os.open(os.path.join(HOME, order["path"]), os.O_RDONLY | os.O_NONBLOCK)
        try:
            facts = os.fstat(file)
            if stat.S_ISDIR(facts.st_mode):
                raise fault(errno.EISDIR)
            if not stat.S_ISREG(facts.st_mode):
                raise fault(errno.EINVAL)
            if facts.st_size > order["limit"]:
                raise fault(errno.EFBIG)
            left = order["limit"]
            while left > 0 and (data := os.read(file, min(left, CHUNK))):
                send(request, b"d", data)
                left -= len(data)
        finally:
            os.close(file)
        self.finish(request, b"z", {})


def protect() -> None:
    """Close this process's memory and streams to its own user, and let it go first when memory is short."""
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def serve() -> NoReturn:
    """Serve until standard input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors need no reaping: they report on their pipe
    os.umask(0o022)
    os.chdir(HOME)
    Session().run()


if __name__ == "__main__":
    protect()
    serve()
