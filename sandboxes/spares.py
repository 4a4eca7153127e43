"""Machines that are started ahead: while models think, the next episode's is made, so that it finds one waiting.

A spare has its programs and its name, and no world, no files and no agent yet. It is given to one episode and ends with
it. One is made where another episode of the same facts is expected, as long as there is memory for two and nobody waits
for a turn to open; so spares take nothing from samples that are there. One that nobody takes ends by itself.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Final, TypeVar

from sidedoor.sandboxes.admission import opening_gate, room_to_spare
from sidedoor.sandboxes.image import ImageError
from sidedoor.sandboxes.machine import Machine, ProviderUnavailableError
from sidedoor.sandboxes.spec import WorkplaceSpec
from sidedoor.sandboxes.streams import Stream

T = TypeVar("T")

GOOD_S: Final = 90.0
"""How long a spare is good for: its services give up after 120 seconds without an order."""


class Spare:
    """A machine that begins to start when this is made (see `Machine`).

    Args:
        machine: not started yet.
        turn: a turn of this gate is the spare's, and given back when it has started. It has it from the beginning: an
            episode that takes a starting spare has a turn too, and neither may have to wait for the other's.
    """

    def __init__(self, machine: Machine, turn: asyncio.Semaphore) -> None:
        self._machine = machine
        self._made = time.monotonic()
        self._session: Stream | None = None
        self._starting = asyncio.create_task(self._start())
        self._starting.add_done_callback(lambda _: turn.release())

    @property
    def name(self) -> str:
        """What the provider knows it by."""
        return self._machine.name

    @property
    def is_good(self) -> bool:
        """Whether an episode can have it: it is young, and nothing is known to be wrong with it."""
        if time.monotonic() - self._made > GOOD_S:
            return False
        if not self._starting.done():
            return True
        return self._has_started() and not any(stream.ended for stream in self._starting.result())

    async def start(self) -> Stream:
        """The gateway's streams, once it has started."""
        gateway, self._session = await self._starting
        return gateway

    async def open_session(self) -> Stream:
        """The session that was started with it, the first time; then others."""
        ready, self._session = self._session, None
        return await self._machine.open_session() if ready is None else ready

    async def running(self) -> bool:
        """Whether the machine runs."""
        return await self._machine.running()

    async def freeze(self) -> None:
        """Freeze the machine."""
        await self._machine.freeze()

    async def read(self, root: str, consume: Callable[[Iterable[bytes]], T]) -> T:
        """Have a part of the machine read."""
        return await self._machine.read(root, consume)

    async def remove(self) -> None:
        """End and remove the machine, however far it has come."""
        self._starting.cancel()  # without effect once it has started
        await asyncio.wait({self._starting})
        await self._machine.remove()
        if self._has_started():
            for stream in self._starting.result():
                stream.close()

    def login(self) -> str:
        """The command by which a person looks into the machine."""
        return self._machine.login()

    def _has_started(self) -> bool:
        return not self._starting.cancelled() and self._starting.exception() is None

    async def _start(self) -> tuple[Stream, Stream]:
        gateway = await self._machine.start()
        try:
            return gateway, await self._machine.open_session()
        except BaseException:
            gateway.close()
            raise


class Spares:
    """Spares of one provider, at most one of each make: what machines with the same name and lifetime share."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, int], Spare] = {}
        self._going: set[asyncio.Task[None]] = set()

    def take(self, spec: WorkplaceSpec) -> Spare | None:
        """The spare that an episode can have, if there is a good one; from now on it is the episode's."""
        spare = self._waiting.pop(_make(spec), None)
        if spare is None or spare.is_good:
            return spare
        self._go(_removed(spare))
        return None

    def add(self, spec: WorkplaceSpec, machine: Callable[[], Awaitable[Machine]]) -> None:
        """Begin to start a spare, if there is none and room is left.

        Args:
            spec: what the episodes of its make are like.
            machine: gives a machine that is not started yet; where it cannot, there is no spare.
        """
        self._go(self._added(spec, machine))

    async def clear(self) -> None:
        """Remove those that nobody took."""
        await asyncio.gather(*self._going)
        for spare in self._waiting.values():
            self._go(_removed(spare))
        self._waiting.clear()
        await asyncio.gather(*self._going)

    async def _added(self, spec: WorkplaceSpec, machine: Callable[[], Awaitable[Machine]]) -> None:
        with contextlib.suppress(ProviderUnavailableError, ImageError):
            fresh = await machine()
            former = self.take(spec)
            if former is not None:
                self._waiting[_make(spec)] = former
            elif room_to_spare():
                await opening_gate().acquire()  # at once, because there is a turn
                self._waiting[_make(spec)] = Spare(fresh, opening_gate())

    def _go(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._going.add(task)
        task.add_done_callback(self._going.discard)


def _make(spec: WorkplaceSpec) -> tuple[str, int]:
    return spec.hostname, spec.lifetime_s


async def _removed(spare: Spare) -> None:
    with contextlib.suppress(ProviderUnavailableError):  # it ends by itself
        await spare.remove()
