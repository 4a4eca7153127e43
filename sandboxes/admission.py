"""Room for another machine: more samples at once than this computer can hold make a run slow, and not dead.

Machines that start all at once would take so long that their start would count as failed, and machines that all need
memory at once would be killed by the kernel. So only two for each processor are opened side by side, and none while
there is less memory than it may take, unless it is the only one.
"""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from anyio.lowlevel import RunVar

from sidedoor.sandboxes.hardening import MEMORY_BYTES

logger = logging.getLogger(__name__)

AT_ONCE: Final = 2 * (os.cpu_count() or 1)
LOOK_S: Final = 0.25
MEMINFO: Final = Path("/proc/meminfo")

_opening: Final = RunVar[asyncio.Semaphore]("opening")


class Room:
    """The machines of this process, as far as memory goes.

    Attributes:
        taken: how many there are.
    """

    def __init__(self) -> None:
        self.taken = 0

    @contextlib.asynccontextmanager
    async def opening(self) -> AsyncIterator[None]:
        """Wait until a machine can be opened; it is one of those here, unless this ends with an exception."""
        async with opening_gate():
            await self._memory()
            self.taken += 1
            try:
                yield
            except BaseException:
                self.taken -= 1
                raise

    def closed(self) -> None:
        """A machine is gone."""
        self.taken -= 1

    async def _memory(self) -> None:
        told = False
        while self.taken and available_bytes() < MEMORY_BYTES:
            if not told:
                logger.warning("less than %d MiB of memory are left: samples wait", MEMORY_BYTES >> 20)
                told = True
            await asyncio.sleep(LOOK_S)


def room_to_spare() -> bool:
    """Whether a machine can be opened that nobody waits for: nobody waits for a turn, and memory is left for two."""
    return not opening_gate().locked() and available_bytes() >= 2 * MEMORY_BYTES


def available_bytes() -> int:
    """Memory that can be had without swapping, as the kernel estimates it; no bound where it tells nobody."""
    if not MEMINFO.exists():
        return sys.maxsize
    lines = MEMINFO.read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))


def opening_gate() -> asyncio.Semaphore:
    """Whose turn it is to open a machine; one for each event loop."""
    try:
        return _opening.get()
    except LookupError:
        gate = asyncio.Semaphore(AT_ONCE)
        _opening.set(gate)
        return gate
