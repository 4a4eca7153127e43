"""A process that opens workplaces, prints their machines' names, and waits to be killed."""

import asyncio
import signal
import sys

from sidedoor.sandboxes.choice import provider_named
from sidedoor.sandboxes.spec import EpisodeIdentity, WorkplaceSpec
from sidedoor.sandboxes.workplace import Workplace


async def held(name: str, count: int) -> None:
    provider = provider_named(name)
    identity = EpisodeIdentity(suite="office", scenario="held", factors={}, seed=1, content_sha256="0" * 64)
    spec = WorkplaceSpec(identity=identity)
    machines = [await provider.machine(spec, "held") for _ in range(count)]
    rooms = await asyncio.gather(*(Workplace.open(machine, spec) for machine in machines))
    sys.stdout.write(" ".join(machine.name for machine in machines) + "\n")
    sys.stdout.flush()
    try:
        working = (room.run(["sleep", "600"], stdin=b"", cwd="", env={}, timeout=None, limit=10) for room in rooms)
        await asyncio.gather(*working)
    finally:
        for room in rooms:
            await room.close()


def hold(name: str, count: int) -> None:
    """Be such a process."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that run in the background have it ignored
    asyncio.run(held(name, count))


def names(printed: str) -> list[str] | None:
    """The machines' names, once they are all there."""
    return printed.split() if printed.endswith("\n") else None
