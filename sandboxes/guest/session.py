"""Command session: runs commands and reads and writes files for whoever holds the other end of its standard streams.

Frames in both directions are a header (payload bytes, request number, kind) and a payload. An order is a list of texts,
each with its length before it; how a command ended is a few bytes (importing json would take as long as a command).
Orphans of commands become children of this process, so that a time-out can end a command's whole tree, whatever it has
done to its sessions and process groups. A command is over when its main process is; what it left in the background
lives on.
"""
# Each of contextlib, json, pathlib, selectors, signal and typing takes as long to import as all else here.
# ruff: noqa: PTH103, PTH118, PTH120, PTH123, PTH208, SIM105

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import select
import stat
import struct
import termios
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator, Sequence
    from typing import NoReturn, TypeAlias

    Work: TypeAlias = "Command | Upload"
else:
    import _signal as signal  # without its numbers as enums

HEADER = struct.Struct("!IIc")  # payload bytes, request, kind
LENGTH = struct.Struct("!I")
ENDING = struct.Struct("!ci??")  # how a command ended, its status or an error's number, whether each output was cut
ERROR = struct.Struct("!i")
EXITED, TIMED_OUT, CANCELLED = b"x", b"t", b"k"
CHUNK = 1 << 17
MAX_FRAME = 1 << 22
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
KILL_SECONDS = 5.0
NEVER = float("inf")

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

outgoing = bytearray()  # frames that go out together when there is nothing else to do: each write wakes many processes


def send(request: int, kind: bytes, payload: bytes = b"") -> None:
    """Put one frame out."""
    outgoing.extend(HEADER.pack(len(payload), request, kind) + payload)
    if len(outgoing) > CHUNK:
        flush()


def flush() -> None:
    """Write what is to go out to standard output, all of it."""
    data = bytes(outgoing)
    outgoing.clear()
    while data:
        data = data[os.write(1, data) :]


def texts(payload: bytes) -> Iterator[str]:
    """The parts of an order."""
    start = 0
    while start < len(payload):
        start += LENGTH.size
        end = start + LENGTH.unpack_from(payload, start - LENGTH.size)[0]
        yield payload[start:end].decode("utf-8", "surrogatepass")
        start = end


def fault(number: int) -> OSError:
    """The error that the system would raise itself."""
    return OSError(number, os.strerror(number))


# ---- processes ----------------------------------------------------------------------------------------------------


class Process:
    """A process as the system lists it."""

    def __init__(self, number: int, facts: bytes) -> None:
        fields = facts.rpartition(b")")[2].split()
        self.id, self.ended = number, fields[0] == b"Z"
        self.parent, self.session = int(fields[1]), int(fields[3])
        self.identity = number, fields[19]  # ids are given out again, but not within the same tick


def processes() -> Iterator[Process]:
    """All processes that can be seen."""
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    facts = file.read()
            except OSError:
                continue
            yield Process(int(name), facts)


def has_children() -> bool:
    """Whether this process has any: commands, or their orphans."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def below(roots: set[int], living: Sequence[Process]) -> set[int]:
    """Ids of `roots` and of all processes below them."""
    found: set[int] = set()
    while roots:
        found |= roots
        roots = {one.id for one in living if one.parent in roots} - found
    return found


def signal_all(targets: set[int], number: int) -> None:
    for target in targets:
        try:
            os.kill(target, number)
        except (ProcessLookupError, PermissionError):
            pass


class CannotStartError(Exception):
    """A command could not be started.

    Attributes:
        place: what was in the way, `c` for its folder or `p` for the program.
        errno: why.
    """

    def __init__(self, place: bytes, number: int) -> None:
        super().__init__(place)
        self.place, self.errno = place, number


class Order:
    """What is to be run: folder, seconds or nothing, bytes to keep, count of arguments, these, and `NAME=value`s."""

    def __init__(self, payload: bytes) -> None:
        self.cwd, seconds, limit, count, *rest = texts(payload)
        self.timeout = float(seconds) if seconds else NEVER
        self.limit = int(limit)
        self.argv = rest[: int(count)]
        self.environment = dict(ENVIRONMENT)
        for setting in rest[int(count) :]:
            name, _, self.environment[name] = setting.partition("=")


def spawn(order: Order, streams: Sequence[int]) -> int:
    """Start a command in a session of its own; returns its process id.

    A fork would copy this interpreter page by page, which takes longer than most commands do.
    """
    place = b"c"
    try:
        os.chdir(os.path.join(HOME, order.cwd))
        place = b"p"
        os.putenv("PATH", order.environment["PATH"])  # where it looks for programs, and not in what they are given
        return os.posix_spawnp(
            order.argv[0],
            order.argv,
            order.environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, stream, number) for number, stream in enumerate(streams)],
            setsid=True,
            setsigmask=(),
            setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
        )
    except (OSError, ValueError, IndexError) as error:
        raise CannotStartError(place, getattr(error, "errno", None) or errno.EINVAL) from None


# ---- the session --------------------------------------------------------------------------------------------------


class Command:
    """A running command: its process, its pipes, what is still to be fed to it, how much it has said."""

    def __init__(self, session: Session, request: int, order: Order) -> None:
        self.session, self.request = session, request
        self.limit = order.limit
        self.elders = {one.identity for one in processes()} if has_children() else set()
        self.deadline = time.monotonic() + order.timeout
        self.sent = {b"o": 0, b"e": 0}
        self.input: list[memoryview] = []
        self.input_ended, self.over = False, False
        stdin, feed = os.pipe()
        heard, stdout = os.pipe()
        complaints, stderr = os.pipe()
        for end in (feed, heard, complaints):
            os.set_blocking(end, False)
        self.stdin: int | None = feed
        self.streams = {b"o": heard, b"e": complaints}
        session.watch(heard, lambda: self.on_output(b"o", CHUNK))
        session.watch(complaints, lambda: self.on_output(b"e", CHUNK))
        session.active[request] = self
        try:
            self.main = spawn(order, (stdin, stdout, stderr))
        except CannotStartError as error:
            self.finish(error.place, error.errno)
        else:
            session.running[self.main] = self
            session.started.add(self.main)
        finally:
            for end in (stdin, stdout, stderr):
                os.close(end)

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
            self.session.watch(self.stdin, self.on_input, select.EPOLLOUT)
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

    def finish(self, how: bytes, number: int = 0) -> None:
        """Report how it ended; what it left in the background lives on, unheard."""
        for kind in list(self.streams):
            self.drain(kind)
        self.over = True
        self.input_ended, self.input = True, []
        self.on_input()
        cut = (self.sent[b"o"] > self.limit, self.sent[b"e"] > self.limit)
        self.session.finish(self.request, b"x", ENDING.pack(how, number, *cut))

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
        """End it and everything that it started."""
        self.session.end(self, CANCELLED)


class Upload:
    """A file that is being written."""

    def __init__(self, session: Session, request: int, path: str, executable: str) -> None:
        self.session, self.request = session, request
        path = os.path.join(HOME, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NONBLOCK, 0o644)
        if not stat.S_ISREG(os.fstat(self.file).st_mode):
            os.close(self.file)
            raise fault(errno.EINVAL)
        if executable:
            os.fchmod(self.file, 0o755)

    def feed(self, payload: bytes) -> None:
        """Write a piece; an empty payload ends the file."""
        data = memoryview(payload)
        while data:
            data = data[os.write(self.file, data) :]
        if not payload:
            os.close(self.file)
            self.session.finish(self.request, b"z")

    def cancel(self) -> None:
        """Leave the file as far as it got."""
        os.close(self.file)
        self.session.active.pop(self.request, None)


class Session:
    """The event loop."""

    def __init__(self) -> None:
        self.poll = select.epoll()
        self.calls: dict[int, Callable[[], None]] = {}  # by the descriptor that they wait for
        self.watch(0, self.on_frames)
        self.received = bytearray()
        self.active: dict[int, Work] = {}
        self.running: dict[int, Command] = {}  # by main process
        self.started: set[int] = set()  # main processes, ended ones as well
        self.deaths, bell = os.pipe()
        for end in (self.deaths, bell):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(bell, warn_on_full_buffer=False)
        self.watch(self.deaths, self.on_death)

    def run(self) -> NoReturn:
        while True:
            due = [(ready, self.calls[ready]) for ready, _ in self.poll.poll(self.patience())]
            if not due:
                flush()
            for ready, call in due:
                if self.calls.get(ready) is call:  # not forgotten by an earlier event of this round
                    call()
            now = time.monotonic()
            for command in [one for one in self.running.values() if one.deadline <= now]:
                self.end(command, TIMED_OUT)

    def patience(self) -> float | None:
        """Seconds until something has to be done; None if nothing has."""
        first = 0.0 if outgoing else min((command.deadline for command in self.running.values()), default=NEVER)
        return None if first == NEVER else max(0.0, first - time.monotonic())

    def on_death(self) -> None:
        try:
            os.read(self.deaths, CHUNK)
        except BlockingIOError:
            pass
        self.reap()

    def reap(self) -> None:
        """Collect what has ended: main processes, and orphans, which come to this process."""
        while has_children() and (ended := os.waitpid(-1, os.WNOHANG))[0]:
            command = self.running.pop(ended[0], None)
            if command is not None:
                code = os.waitstatus_to_exitcode(ended[1])
                command.finish(EXITED, code if code >= 0 else 128 - code)

    def end(self, command: Command, how: bytes) -> None:
        """Kill all that a command has started, and report; stopped first, so that nothing can fork its way out."""
        if self.running.pop(command.main, None) is None:
            return
        deadline = time.monotonic() + KILL_SECONDS
        while time.monotonic() < deadline:
            stopped: set[int] = set()
            while fresh := self.tree(command) - stopped:
                signal_all(fresh, signal.SIGSTOP)
                stopped |= fresh
            if not stopped:
                break
            signal_all(stopped, signal.SIGKILL)
            time.sleep(0.002)
            self.reap()
        command.finish(how)

    def tree(self, command: Command) -> set[int]:
        """Living processes that a command has started, once it no longer counts as running.

        They descend from its main process, or from an orphan that stayed in its session, or from one that is in a
        session of its own and younger than the command. What earlier commands do in the background is left alone.
        """
        living = [one for one in processes() if not one.ended]
        roots = {
            one.id
            for one in living
            if one.parent == os.getpid()
            and one.id not in self.running
            and (
                one.session == command.main or (one.session not in self.started and one.identity not in command.elders)
            )
        }
        return below(roots, living)

    def watch(self, descriptor: int, call: Callable[[], None], event: int = select.EPOLLIN) -> None:
        """Call something whenever a descriptor can be read, or written."""
        if descriptor not in self.calls:
            self.poll.register(descriptor, event)
            self.calls[descriptor] = call

    def unwatch(self, descriptor: int) -> None:
        if self.calls.pop(descriptor, None) is not None:
            self.poll.unregister(descriptor)

    def forget(self, descriptor: int) -> None:
        self.unwatch(descriptor)
        os.close(descriptor)

    def finish(self, request: int, kind: bytes, outcome: bytes = b"") -> None:
        self.active.pop(request, None)
        send(request, kind, outcome)

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
                self.begin(request, kind, payload)
        except OSError as error:
            self.finish(request, b"f", ERROR.pack(error.errno or errno.EIO))

    def begin(self, request: int, kind: bytes, payload: bytes) -> None:
        if kind == b"R":
            Command(self, request, Order(payload))
        elif kind == b"W":
            self.active[request] = Upload(self, request, *texts(payload))
        elif kind == b"G":
            path, limit = texts(payload)
            self.download(request, path, int(limit))

    def download(self, request: int, path: str, limit: int) -> None:
        file = os.open(os.path.join(HOME, path), os.O_RDONLY | os.O_NONBLOCK)
        try:
            facts = os.fstat(file)
            if stat.S_ISDIR(facts.st_mode):
                raise fault(errno.EISDIR)
            if not stat.S_ISREG(facts.st_mode):
                raise fault(errno.EINVAL)
            if facts.st_size > limit:
                raise fault(errno.EFBIG)
            left = limit
            while left > 0 and (data := os.read(file, min(left, CHUNK))):
                send(request, b"d", data)
                left -= len(data)
        finally:
            os.close(file)
        self.finish(request, b"z")


def protect() -> None:
    """Close this process's memory and streams to its own user, and let it go first when memory is short."""
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def serve() -> NoReturn:
    """Serve until standard input ends."""
    signal.signal(signal.SIGCHLD, lambda *_: None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.umask(0o022)
    os.chdir(HOME)
    Session().run()


if __name__ == "__main__":
    protect()
    serve()
