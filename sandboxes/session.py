"""The host's side of the command session: many requests at once over one stream.

The program at the other end runs as the agent's user, who can kill it, stop it, or (having replaced it) say anything
at all. So what it says is bounded and checked, proves nothing, and a session that misbehaves is given up for a new one.
"""

import asyncio
import contextlib
import errno
import itertools
import os
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from sidedoor.sandboxes.streams import Stream, StreamClosedError

_HEADER: Final = struct.Struct("!IIc")
_ENDING: Final = struct.Struct("!ci??")
_ERROR: Final = struct.Struct("!i")
_LENGTH: Final = struct.Struct("!I")
_FAILED: Final[Mapping[bytes, Literal["program", "cwd"]]] = {b"p": "program", b"c": "cwd"}
_ENDINGS: Final = {b"x", b"t", b"k", *_FAILED}
_MAX_OUTCOME: Final = 16
_CHUNK: Final = 1 << 18
_MAX_FRAME: Final = 1 << 20
_GRACE_S: Final = 10.0
FILE_S: Final = 120.0

Trouble = Literal["lost", "stalled", "malformed"]


class SessionLostError(ConnectionError):
    """The session ended, stalled or broke its protocol before it answered.

    Attributes:
        trouble: which of these.
        stdout: what had arrived by then.
        stderr: what had arrived by then.
    """

    def __init__(self, trouble: Trouble, stdout: bytes = b"", stderr: bytes = b"") -> None:
        super().__init__(f"command session {trouble}")
        self.trouble: Trouble = trouble
        self.stdout = stdout
        self.stderr = stderr


def encode(*texts: str) -> bytes:
    """An order for a program in the machine: texts, each with its length before it."""
    parts = [text.encode("utf-8", "surrogatepass") for text in texts]
    return b"".join(_LENGTH.pack(len(part)) + part for part in parts)


@dataclass(frozen=True)
class Finished:
    """A command's end.

    Attributes:
        exit: status; None unless it ran to its end.
        timed_out: its time was over, and its process tree was killed.
        failed: what could not be done to start it (`program`: run it, `cwd`: enter its folder), if so.
        errno: why.
        stdout: up to the limit.
        stderr: up to the limit.
        cut: whether stdout and stderr were longer than the limit.
    """

    exit: int | None
    timed_out: bool
    failed: Literal["program", "cwd"] | None
    errno: int
    stdout: bytes
    stderr: bytes
    cut: tuple[bool, bool]


@dataclass
class _Pending:
    answer: asyncio.Future[tuple[bytes, bytes]]
    limit: int
    received: dict[bytes, bytearray] = field(
        default_factory=lambda: {b"o": bytearray(), b"e": bytearray(), b"d": bytearray()}
    )


class Session:
    """One command session on a stream to the program in `guest/session.py`.

    Attributes:
        trouble: why it can take no more requests; None while it can.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self.trouble: Trouble | None = None
        self._reader = asyncio.create_task(self._read())

    async def run(
        self, argv: list[str], *, stdin: bytes, cwd: str, env: dict[str, str], timeout: float | None, limit: int
    ) -> Finished:
        """Run a command.

        Args:
            argv: program and arguments.
            stdin: its whole standard input.
            cwd: absolute, or relative to the agent's home.
            env: added to the agent's environment.
            timeout: seconds, after which its whole process tree is killed; None for no limit.
            limit: bytes to keep of each output stream.

        Raises:
            SessionLostError: the session ended before the command did.
        """
        seconds = "" if timeout is None else str(timeout)
        settings = (f"{name}={value}" for name, value in env.items())
        order = (cwd, seconds, str(limit), str(len(argv)), *argv, *settings)
        patience = None if timeout is None else timeout + _GRACE_S
        kind, outcome, received = await self._request(b"R", order, stdin, limit, patience)
        try:
            return _finished(kind, outcome, received)
        except (struct.error, ValueError) as error:
            self._give_up("malformed")
            raise SessionLostError("malformed") from error

    async def read(self, path: str, limit: int) -> bytes:
        """Content of a file, as the agent's user.

        Raises:
            OSError: the subclass that fits; `errno.EFBIG` if it is longer than `limit` bytes.
            SessionLostError: the session ended first.
        """
        kind, outcome, received = await self._request(b"G", (path, str(limit)), None, limit, FILE_S)
        _check(kind, outcome, path)
        return bytes(received[b"d"])

    async def write(self, path: str, content: bytes, *, executable: bool = False) -> None:
        """Write a file as the agent's user, making its folders.

        Raises:
            OSError: the subclass that fits.
            SessionLostError: the session ended first.
        """
        kind, outcome, _ = await self._request(b"W", (path, "x" if executable else ""), content, 0, FILE_S)
        _check(kind, outcome, path)

    async def close(self) -> None:
        """Hang up; commands in flight get `SessionLostError`."""
        self._give_up("lost")
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader

    async def _request(
        self, kind: bytes, order: Sequence[str], upload: bytes | None, limit: int, patience: float | None
    ) -> tuple[bytes, bytes, dict[bytes, bytearray]]:
        if self.trouble is not None:
            raise SessionLostError(self.trouble)
        number = next(self._numbers)
        pending = self._pending[number] = _Pending(asyncio.get_running_loop().create_future(), limit)
        try:
            async with asyncio.timeout(patience):
                await self._send(number, kind, order, upload)
                answer, outcome = await pending.answer
        except TimeoutError:
            self._give_up("stalled")
            raise self._lost("stalled", pending) from None
        except (StreamClosedError, SessionLostError):
            self._give_up("lost")
            raise self._lost(self.trouble or "lost", pending) from None
        except asyncio.CancelledError:
            self._stream.send_nowait(_frame(number, b"K"))
            raise
        finally:
            del self._pending[number]
        return answer, outcome, pending.received

    async def _send(self, number: int, kind: bytes, order: Sequence[str], upload: bytes | None) -> None:
        first = _frame(number, kind, encode(*order))
        if upload is None:
            await self._stream.send(first)
            return
        chunks = [_frame(number, b"I", upload[i : i + _CHUNK]) for i in range(0, len(upload), _CHUNK)]
        if len(chunks) <= 1:
            await self._stream.send(first, *chunks, _frame(number, b"I"))
            return
        await self._stream.send(first)
        for chunk in chunks:
            await self._stream.send(chunk)
        await self._stream.send(_frame(number, b"I"))

    @staticmethod
    def _lost(trouble: Trouble, pending: _Pending) -> SessionLostError:
        return SessionLostError(trouble, bytes(pending.received[b"o"]), bytes(pending.received[b"e"]))

    def _give_up(self, trouble: Trouble) -> None:
        if self.trouble is None:
            self.trouble = trouble
            self._stream.close()
            for pending in self._pending.values():
                if not pending.answer.done():
                    pending.answer.set_exception(SessionLostError(trouble))
                    pending.answer.exception()  # a request that is still being sent hears of it from its stream

    async def _read(self) -> None:
        received = bytearray()
        async for piece in self._stream.output():
            received += piece
            start = 0
            while len(received) - start >= _HEADER.size:
                length, number, kind = _HEADER.unpack_from(received, start)
                end = start + _HEADER.size + length
                if length > _MAX_FRAME:
                    self._give_up("malformed")
                    return
                if len(received) < end:
                    break
                if not self._hear(number, kind, bytes(received[start + _HEADER.size : end])):
                    self._give_up("malformed")
                    return
                start = end
            del received[:start]
        self._give_up("lost")

    def _hear(self, number: int, kind: bytes, payload: bytes) -> bool:
        """Take one frame; False if no honest session would have sent it."""
        pending = self._pending.get(number)
        if pending is None or pending.answer.done():  # cancelled meanwhile
            return True
        if kind in pending.received:
            pending.received[kind] += payload
            return len(pending.received[kind]) <= pending.limit
        if kind not in (b"x", b"z", b"f") or len(payload) > _MAX_OUTCOME:
            return False
        pending.answer.set_result((kind, payload))
        return True


def _finished(kind: bytes, outcome: bytes, received: dict[bytes, bytearray]) -> Finished:
    if kind == b"f":  # not even its pipes could be made
        outcome = _ENDING.pack(b"p", *_ERROR.unpack(outcome), False, False)
    how, number, *cut = _ENDING.unpack(outcome)
    if how not in _ENDINGS:
        raise ValueError(how)
    return Finished(
        exit=number if how == b"x" else None,
        timed_out=how == b"t",
        failed=_FAILED.get(how),
        errno=number or errno.EIO,
        stdout=bytes(received[b"o"]),
        stderr=bytes(received[b"e"]),
        cut=(cut[0], cut[1]),
    )


def _check(kind: bytes, outcome: bytes, path: str) -> None:
    if kind != b"z":
        number = _ERROR.unpack(outcome)[0] if len(outcome) == _ERROR.size else errno.EIO
        raise OSError(number, os.strerror(number), path)


def _frame(number: int, kind: bytes, payload: bytes = b"") -> bytes:
    return _HEADER.pack(len(payload), number, kind) + payload
