"""Removing containers that were left behind: ours, and only ours.

Volumes go with their container, except where somebody else removed it without them; those are removed here too.
"""

import time

from sidedoor.sandboxes.engine import Engine
from sidedoor.sandboxes.ownership import OURS, RUN_LABEL, left_behind


async def clean(engine: Engine, *, everything: bool = False, only: str | None = None) -> list[str]:
    """Remove our containers, and their volumes, whose owner is dead or whose time is over.

    Args:
        engine: where to look.
        everything: also those that are in use.
        only: nothing but the container whose id starts so, if it is ours.

    Returns:
        Ids of the containers that were removed.

    Raises:
        EngineUnavailableError: the engine does not answer.
    """
    found = await engine.labelled(OURS)
    if only is not None:
        found = {container: found[container] for container in found if container.startswith(only)}
    doomed = [container for container, labels in found.items() if everything or left_behind(labels, time.time())]
    for container in doomed:
        await engine.remove(container)
    for volume, labels in (await engine.unused_volumes(OURS)).items():
        if left_behind(labels, time.time()):
            await engine.remove_volume(volume)
    return doomed


async def clean_run(engine: Engine, run: str) -> list[str]:
    """Remove every container and volume of one run; returns the containers' ids."""
    doomed = list(await engine.labelled(f"{RUN_LABEL}={run}"))
    for container in doomed:
        await engine.remove(container)
    for volume in await engine.unused_volumes(f"{RUN_LABEL}={run}"):
        await engine.remove_volume(volume)
    return doomed
