"""A process that opens workplaces, prints their containers' names, and waits to be killed. Run by the leak tests."""

import asyncio
import sys

from sidedoor.sandboxes.engine import connect
from sidedoor.sandboxes.image import ensure_image
from sidedoor.sandboxes.spec import EpisodeIdentity, WorkplaceSpec
from sidedoor.sandboxes.workplace import Workplace


async def main(count: int) -> None:
    engine = connect()
    image = ensure_image(engine, sys.stderr.write)
    identity = EpisodeIdentity(suite="office", scenario="held", factors={}, seed=1, content_sha256="0" * 64)
    spec = WorkplaceSpec(identity=identity)
    rooms = await asyncio.gather(*(Workplace.open(engine, image, spec, "held") for _ in range(count)))
    sys.stdout.write(" ".join(room.container for room in rooms) + "\n")
    sys.stdout.flush()
    try:
        working = (room.run(["sleep", "600"], stdin=b"", cwd="", env={}, timeout=None, limit=10) for room in rooms)
        await asyncio.gather(*working)
    finally:
        for room in rooms:
            await room.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
