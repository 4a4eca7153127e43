"""The host's side of the gateway: boots it, keeps the journal, acknowledges each entry.

The gateway's words are those of our own program under a user that the agent cannot become, so they are believed; they
are still validated and bounded, since the world that runs in there handles the agent's text.
"""

import asyncio
import contextlib
import json
from typing import Any, Final

from pydantic import ValidationError

from sidedoor.sandboxes.evidence import JournalEntry, Note
from sidedoor.sandboxes.spec import WorkplaceSpec
from sidedoor.sandboxes.streams import Stream, StreamClosedError

BOOT_S: Final = 30
CLOSE_S: Final = 10
MAX_LINE: Final = 16 * 1024 * 1024


_code: Final[dict[tuple[tuple[str, str], ...], dict[str, str]]] = {}
"""Worlds' modules by name and source, as the first machine compiled them before it had an agent; this process never
executes them. A machine with another interpreter compiles its own."""


class GatewayError(RuntimeError):
    """The gateway did not start, or did not close."""


class Gateway:
    """A running gateway, and everything that it has reported.

    Attributes:
        journal: entries in order; each was appended before its caller was answered.
        faults: exceptions in the world's own code.
        compiled: what its machine had to compile to start the world, by module and interpreter.
        closed_state: the last snapshot; None until `close` succeeded.
        closed: whether `close` succeeded.
    """

    def __init__(self, stream: Stream) -> None:
        self.journal: list[JournalEntry] = []
        self.faults: list[str] = []
        self.compiled: dict[str, str] = {}
        self.closed_state: dict[str, Any] | None = None
        self.closed = False
        self._notes: dict[tuple[str, str], int] = {}
        self._stream = stream
        self._ready = asyncio.Event()
        self._finished = asyncio.Event()
        self._reader = asyncio.create_task(self._read())

    @property
    def notes(self) -> tuple[Note, ...]:
        """What the gateway noticed on its socket, counted, in a fixed order."""
        return tuple(Note(kind=k, detail=d, count=n) for (k, d), n in sorted(self._notes.items()))

    async def ends(self, within_s: float) -> bool:
        """Whether its stream ends within some seconds, as it does when the container dies."""
        finished, _ = await asyncio.wait({self._reader}, timeout=within_s)
        return bool(finished)

    async def boot(self, spec: WorkplaceSpec) -> None:
        """Send the world's sources and facts, and wait until the programs are installed.

        Raises:
            GatewayError: the world did not start within 30 s; the message has the last line that it printed.
        """
        modules = () if spec.world is None else tuple(spec.world.modules.items())
        world = "null" if spec.world is None else spec.world.model_dump_json()
        code = json.dumps(_code.get(modules, {}))
        await self._order(f'{{"boot": {{"lifetime": {spec.lifetime_s}, "world": {world}, "code": {code}}}}}')
        if not await self._either(self._ready, BOOT_S):
            raise GatewayError(f"the world did not start: {self._last_words()}")
        _code.setdefault(modules, {}).update(self.compiled)

    async def close(self) -> None:
        """Stop answering, and keep the world's last snapshot.

        Raises:
            GatewayError: it did not confirm within 10 s.
        """
        await self._order('{"close": true}')
        if not await self._either(self._finished, CLOSE_S):
            raise GatewayError(f"the gateway did not close: {self._last_words()}")

    async def drop(self) -> None:
        """Hang up; the gateway ends, and with it the container."""
        self._stream.close()
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader

    async def _order(self, message: str) -> None:
        try:
            await self._stream.send(message.encode() + b"\n")
        except StreamClosedError as error:
            raise GatewayError(f"the gateway is gone: {self._last_words()}") from error

    async def _either(self, event: asyncio.Event, seconds: float) -> bool:
        """Whether an event came before the stream ended or the time was over."""
        waiting = asyncio.create_task(event.wait())
        try:
            await asyncio.wait({waiting, self._reader}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        return event.is_set()

    async def _read(self) -> None:
        pending = bytearray()
        async for piece in self._stream.output():
            pending += piece
            while (end := pending.find(b"\n")) >= 0:
                line = bytes(pending[:end])
                del pending[: end + 1]
                await self._hear(json.loads(line))
            if len(pending) > MAX_LINE:
                self.faults.append("the gateway sent an oversized line")
                return
        if self._stream.stderr:
            self.faults.append(f"the gateway ended: {self._last_words()}")

    async def _hear(self, message: dict[str, Any]) -> None:
        if "entry" in message:
            await self._keep(message["entry"])
        elif "note" in message:
            key = (str(message["note"]["kind"]), str(message["note"]["detail"]))
            self._notes[key] = self._notes.get(key, 0) + 1
        elif "fault" in message:
            self.faults.append(str(message["fault"]))
        elif "ready" in message and not self._ready.is_set():
            self.compiled = message["code"]
            self._ready.set()
        elif "closed" in message:
            self.closed_state, self.closed = message["closed"], True
            self._finished.set()

    async def _keep(self, entry: dict[str, Any]) -> None:
        try:
            self.journal.append(JournalEntry.model_validate(entry))
        except ValidationError as error:
            self.faults.append(f"malformed journal entry: {error.errors()[0]['msg']}")
        with contextlib.suppress(StreamClosedError):  # it died with the call; the entry is kept all the same
            await self._stream.send(json.dumps({"ack": entry["seq"]}).encode() + b"\n")

    def _last_words(self) -> str:
        lines = self._stream.stderr.decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "no message"
