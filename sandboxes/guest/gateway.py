"""The desk service: answers the programs in /opt/desk/bin and reports every call before it is answered.

Runs out of the callers' reach, under its own user or in a machine of its own. Orders come as JSON lines on standard
input (boot, ack, close), reports leave as JSON lines on standard output. The callers are ordinary users on a Unix
socket and are not trusted: each connection is a small state machine with a deadline, nothing that one of them does can
hold up another, and whatever is not the programs' own protocol is dropped and reported. When standard input ends, so
does this process, and with it, where it is the first one, the machine.
"""
# pathlib takes longer to import than everything else here together
# ruff: noqa: PTH101, PTH102, PTH118, PTH120, PTH123

import binascii
import contextlib
import json
import marshal
import os
import selectors
import signal
import socket
import struct
import sys
import time
import types
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")

DESK = "/opt/desk"  # where the callers have it
CLIENT = os.path.join(os.path.dirname(__file__), "client.pl")
CALLER_UID = 1000

HEADER = struct.Struct("!Ic")  # payload bytes, kind
PEER = struct.Struct("3i")  # pid, uid, gid of SO_PEERCRED
MAX_FRAME = 512 * 1024
MAX_CALLS = 5_000
MAX_SAID = 32 * 1024 * 1024
MAX_HEARD = 2 * 1024 * 1024  # worlds keep what they are told, and say it again in their last snapshot
MAX_CONNECTIONS = 200  # about as many programs as the agent can have running; beyond, the oldest is dropped
MAX_NOTES = 100
CALL_SECONDS = 2.0
FILE_SECONDS = 120.0
ANSWER_SECONDS = 10.0
BOOT_SECONDS = 120
NEVER = float("inf")

UNAVAILABLE = 70
TRY_LATER = 75
UNKNOWN_PROGRAM = 127


def report(message: Mapping[str, Any]) -> None:
    """Write one JSON line to standard output, all of it."""
    data = memoryview(json.dumps(message, separators=(",", ":"), allow_nan=False).encode() + b"\n")
    while data:
        data = data[os.write(1, data) :]


def reap(*_: object) -> None:
    """Collect orphans that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


loaded: dict[tuple[str, ...], types.ModuleType] = {}  # by its own name and source, and those of the modules before it


def load(modules: Mapping[str, str], code: Mapping[str, str] | None = None) -> dict[str, str]:
    """Execute module sources in memory, in order; what was executed before, after the same modules, is not again.

    `code` is what an earlier call returned, perhaps elsewhere: the modules as compiled, by name and interpreter. What
    is returned is what had to be compiled for want of it.
    """
    origin: tuple[str, ...] = ()
    made: dict[str, str] = {}
    for name, source in modules.items():
        origin += (name, source)
        if origin in loaded:
            sys.modules[name] = loaded[origin]
            continue
        parts = name.split(".")
        for end in range(1, len(parts)):
            package = ".".join(parts[:end])
            sys.modules.setdefault(package, types.ModuleType(package))
        module = sys.modules[name] = types.ModuleType(name)
        key = f"{name}, {sys.version}"
        known = (code or {}).get(key) or made.setdefault(key, compiled(name, source))
        exec(marshal.loads(binascii.a2b_base64(known)), module.__dict__)  # noqa: S302 - from the host
        loaded[origin] = module
    return made


def compiled(name: str, source: str) -> str:
    """A module as code, in base64."""
    return binascii.b2a_base64(marshal.dumps(compile(source, name, "exec")), newline=False).decode()


def named(entry: str) -> Any:
    """The object that `module:name` names."""
    home, _, attribute = entry.partition(":")
    return getattr(sys.modules[home], attribute)


class RefusedError(Exception):
    """The peer does not speak the programs' protocol."""


class Connection:
    """One caller: sends a call, then the files that are asked of it, then receives its answer."""

    def __init__(self, channel: socket.socket) -> None:
        self.channel = channel
        self.opened = time.monotonic()
        self.deadline = self.opened + CALL_SECONDS
        self.received = bytearray()
        self.outgoing = b""
        self.argv: list[str] | None = None
        self.wanted: list[str] = []
        self.files: dict[str, dict[str, str]] = {}
        self.finished = False

    def read_frame(self) -> bytes | None:
        """The next whole frame as (kind, payload), or None if it is not here yet."""
        if len(self.received) < HEADER.size:
            return None
        length, kind = HEADER.unpack_from(self.received)
        if length > MAX_FRAME or kind != (b"C" if self.argv is None else b"D"):
            raise RefusedError("not the programs' protocol")
        if len(self.received) < HEADER.size + length:
            return None
        payload = bytes(self.received[HEADER.size : HEADER.size + length])
        del self.received[: HEADER.size + length]
        return payload

    def take_file(self, payload: bytes) -> None:
        path, text = self.wanted.pop(0), payload[1:].decode("utf-8", "replace")
        self.files[path] = {"text" if payload[:1] == b"+" else "error": text}

    def send(self, kind: bytes, payload: bytes, seconds: float) -> None:
        self.outgoing += HEADER.pack(len(payload), kind) + payload
        self.deadline = time.monotonic() + seconds


class Desk:
    """The event loop."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.selector = selectors.DefaultSelector()
        self.selector.register(0, selectors.EVENT_READ, self.on_order)
        self.orders = bytearray()
        self.world: Any = None
        self.programs: frozenset[str] = frozenset()
        self.listener: socket.socket | None = None
        self.connections: set[Connection] = set()
        self.abandoned: set[Connection] = set()
        self.closed = False
        self.unacknowledged: dict[int, tuple[Connection, dict[str, Any]]] = {}
        self.faulty = False
        self.calls = 0
        self.said = 0
        self.heard = 0
        self.notes = 0

    def run(self) -> NoReturn:
        while True:
            for key, _ in self.selector.select(self.patience()):
                key.data()
            now = time.monotonic()
            for connection in [c for c in self.connections if c.deadline < now]:
                self.part(connection)

    def patience(self) -> float | None:
        """Seconds until the next deadline; None if there is none."""
        first = min((c.deadline for c in self.connections), default=NEVER)
        return None if first == NEVER else max(0.0, first - time.monotonic()) + 0.01

    # ---- orders -----------------------------------------------------------------------------------------------

    def on_order(self) -> None:
        data = os.read(0, 1 << 20)
        if not data:
            os._exit(0)
        self.orders += data
        while b"\n" in self.orders:
            line, _, rest = bytes(self.orders).partition(b"\n")
            self.orders = bytearray(rest)
            self.obey(json.loads(line))

    def obey(self, order: Mapping[str, Any]) -> None:
        if "boot" in order:
            self.boot(order["boot"])
        elif "ack" in order:
            self.answer(order["ack"])
        elif "close" in order:
            self.close()

    def boot(self, plan: Mapping[str, Any]) -> None:
        signal.alarm(plan["lifetime"])
        world = plan["world"]
        code: dict[str, str] = {}
        if world is not None:
            code = load(world["modules"], plan["code"])
            self.world = named(world["entry"])(world["factors"], world["facts"])
            self.programs = frozenset(self.world.programs())
            self.install()
            self.listen()
        report({"ready": True, "code": code})

    def install(self) -> None:
        programs = f"{self.folder}/bin"
        os.mkdir(programs)
        with open(CLIENT, "rb") as file:
            text = file.read()
        for name in self.programs:
            descriptor = os.open(f"{programs}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o555)
            with open(descriptor, "wb") as file:
                file.write(text)
        os.chmod(programs, 0o555)  # noqa: S103 - programs, for everybody

    def listen(self) -> None:
        listener = self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path = f"{self.folder}/desk.sock"
        listener.bind(path)
        os.chmod(path, 0o666)  # noqa: S103 - every caller may knock
        listener.listen(64)
        listener.setblocking(False)
        self.selector.register(listener, selectors.EVENT_READ, lambda: self.on_caller(listener))

    def close(self) -> None:
        """Answer nobody any more, unnoticed: who saw the end could still act on it before the machine is frozen."""
        self.closed = True
        self.selector.close()
        self.selector = selectors.DefaultSelector()
        self.selector.register(0, selectors.EVENT_READ, self.on_order)
        self.abandoned, self.connections = self.connections, set()  # kept, so that nothing hangs up on them
        report({"closed": None if self.world is None else self.world.snapshot()})

    # ---- callers ----------------------------------------------------------------------------------------------

    def on_caller(self, listener: socket.socket) -> None:
        if self.closed:  # by an earlier event of the same round
            return
        try:
            channel, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        channel.setblocking(False)
        uid = PEER.unpack(channel.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, PEER.size))[1]
        if uid != CALLER_UID:
            self.note("foreign_client", "another user")
            channel.close()
            return
        if len(self.connections) >= MAX_CONNECTIONS:
            self.part(min(self.connections, key=lambda c: c.opened))
        connection = Connection(channel)
        self.connections.add(connection)
        self.selector.register(channel, selectors.EVENT_READ, lambda: self.on_channel(connection))

    def on_channel(self, connection: Connection) -> None:
        if connection not in self.connections:  # dropped by an earlier event of the same round
            return
        try:
            self.flush(connection)
            if connection in self.connections:
                self.receive(connection)
        except RefusedError as error:
            self.refuse(connection, str(error))
        except ConnectionError:
            self.drop(connection)

    def receive(self, connection: Connection) -> None:
        try:
            data = connection.channel.recv(1 << 16)
        except BlockingIOError:
            return
        if not data:
            self.part(connection)
            return
        connection.received += data
        if connection.argv is not None and not connection.wanted:
            raise RefusedError("talks out of turn")
        payload = connection.read_frame()
        if payload is None:
            return
        if connection.argv is None:
            connection.argv = [part.decode("utf-8", "replace") for part in payload.split(b"\0")]
            self.begin(connection, connection.argv)
        else:
            connection.take_file(payload)
            self.advance(connection, connection.argv)

    def begin(self, connection: Connection, argv: list[str]) -> None:
        """Decide what a call is owed: an answer at once, or its files first."""
        name = argv[0]
        if name not in self.programs:
            self.note("foreign_client", "a call under an unknown name")
            self.finish(connection, "", f"{name}: unknown program\n", UNKNOWN_PROGRAM)
        elif self.calls >= MAX_CALLS or self.said >= MAX_SAID or self.heard >= MAX_HEARD:
            self.note("call_limit", "no further calls are answered")
            self.finish(connection, "", f"{name}: too many requests, try again later\n", TRY_LATER)
        else:
            wanted = self.guarded(connection, name, lambda: list(self.world.needs(argv)))
            if wanted is not None:
                connection.wanted = wanted
                self.advance(connection, argv)

    def advance(self, connection: Connection, argv: list[str]) -> None:
        """Ask for the next file; with all of them here, run the call and report it."""
        if connection.wanted:
            connection.send(b"F", connection.wanted[0].encode("utf-8", "replace"), FILE_SECONDS)
            self.flush(connection)
            return
        seq = self.calls + 1
        entry = self.guarded(connection, argv[0], lambda: self.world.step(seq, argv, connection.files))
        if entry is None:
            return
        self.calls = seq
        self.said += len(entry["stdout"]) + len(entry["stderr"])
        self.heard += sum(map(len, argv))
        self.heard += sum(len(text) for content in connection.files.values() for text in content.values())
        self.unacknowledged[seq] = (connection, entry)
        connection.deadline = NEVER
        report({"entry": entry})

    def guarded(self, connection: Connection, name: str, work: Callable[[], T]) -> T | None:
        """What `work` returns; None, after a report and an apology to the caller, once the services have failed."""
        try:
            if not self.faulty:
                return work()
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in there, the caller must not see it
            self.faulty = True
            report({"fault": f"{type(error).__name__}: {error}"})
        self.finish(connection, "", f"{name}: service unavailable\n", UNAVAILABLE)
        return None

    def answer(self, seq: int) -> None:
        connection, entry = self.unacknowledged.pop(seq)
        self.finish(connection, entry["stdout"], entry["stderr"], entry["exit"])

    def finish(self, connection: Connection, stdout: str, stderr: str, status: int) -> None:
        if connection not in self.connections:  # gone while the call ran
            return
        connection.wanted, connection.finished = [], True
        connection.send(b"O", stdout.encode("utf-8", "replace"), ANSWER_SECONDS)
        connection.send(b"E", stderr.encode("utf-8", "replace"), ANSWER_SECONDS)
        connection.send(b"X", bytes([status & 255]), ANSWER_SECONDS)
        try:
            self.flush(connection)
        except ConnectionError:  # the caller hung up before its answer
            self.drop(connection)

    def flush(self, connection: Connection) -> None:
        if connection.outgoing:
            with contextlib.suppress(BlockingIOError):
                sent = connection.channel.send(connection.outgoing)
                connection.outgoing = connection.outgoing[sent:]
        if connection.finished and not connection.outgoing:
            self.drop(connection)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.outgoing else 0)
        self.selector.modify(connection.channel, events, self.selector.get_key(connection.channel).data)

    def refuse(self, connection: Connection, why: str) -> None:
        self.note("foreign_client", why)
        self.drop(connection)

    def part(self, connection: Connection) -> None:
        """Let go of a caller that hung up or whose time is over."""
        if connection.argv is None:  # no proof of a stranger: a program may be this slow, or be killed, before its call
            self.note("silent_client", "no call in time")
        self.drop(connection)

    def drop(self, connection: Connection) -> None:
        if connection in self.connections:
            self.connections.remove(connection)
            self.selector.unregister(connection.channel)
            connection.channel.close()

    def note(self, kind: str, detail: str) -> None:
        self.notes += 1
        if self.notes <= MAX_NOTES:
            report({"note": {"kind": kind, "detail": detail}})


def main(folder: str = DESK) -> None:
    """Serve until standard input ends or the lifetime is over; `folder` is the desk as seen from here."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, reap)
    signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
    signal.alarm(BOOT_SECONDS)
    os.umask(0o022)
    sys.modules["_hashlib"] = None  # type: ignore[assignment]  # OpenSSL's: hashlib has its own, without 4 ms to load it
    Desk(folder).run()


if __name__ == "__main__":
    main()
