"""Evidence capture: close the world, freeze the machine, read what is watched, remove it.

The order is the point. Once the machine is frozen nothing in it can change what is read, and it never thaws.
"""

import logging
from collections.abc import Iterable
from functools import partial

from sidedoor.sandboxes.archives import Harvest, Watch
from sidedoor.sandboxes.evidence import Ended, Evidence, WatchedFile
from sidedoor.sandboxes.gateway import GatewayError
from sidedoor.sandboxes.ledger import Phase, enter
from sidedoor.sandboxes.machine import MachineGoneError, ProviderUnavailableError
from sidedoor.sandboxes.workplace import Workplace

logger = logging.getLogger(__name__)


async def capture(workplace: Workplace) -> Evidence:
    """End an episode and return what is left of it.

    A machine that died, or a provider that stopped answering, is no error here: the journal is on the host already,
    and the evidence says what could not be observed.

    Raises:
        WatchedPathError: a watched path of the spec lies outside the agent's home and `/tmp`.
    """
    watch = Watch(workplace.spec.watched)
    enter(Phase.CAPTURE)
    ended = await _close_world(workplace)
    workplace.note_loss()  # before the machine is frozen, which may end its sessions
    harvest: Harvest | None = None
    try:
        if ended != "container_died":
            harvest = await _observe(workplace, watch)
    except MachineGoneError:
        ended = "container_died"
    except ProviderUnavailableError as error:
        logger.warning("%s; watched files were not read", error)
    evidence = _assemble(workplace, ended, harvest)
    try:
        await workplace.close()
    except ProviderUnavailableError as error:
        logger.warning("%s; the machine ends by itself", error)
    enter(Phase.SCORING)
    return evidence


async def _close_world(workplace: Workplace) -> Ended:
    try:
        await workplace.gateway.close()
    except GatewayError:
        try:
            running = await workplace.machine.running()
        except ProviderUnavailableError:
            return "stream_lost"
        return "stream_lost" if running else "container_died"
    return "broken_off" if workplace.broken_off else "closed"


async def _observe(workplace: Workplace, watch: Watch) -> Harvest:
    harvest = Harvest()
    if not watch.roots:
        return harvest
    await workplace.machine.freeze()
    for root in watch.roots:
        read = partial(workplace.machine.read, root)
        await read(partial(harvest.read, root=root, watch=watch))
        if harvest.unresolved():
            await read(partial(harvest.resolve, root=root))
    return harvest


def _assemble(workplace: Workplace, ended: Ended, harvest: Harvest | None) -> Evidence:
    gateway = workplace.gateway
    return Evidence(
        episode=workplace.spec.identity,
        journal=tuple(gateway.journal),
        closed_state=gateway.closed_state,
        faults=tuple(gateway.faults),
        files=None if harvest is None else _by_path(harvest.files.values()),
        files_complete=harvest is not None and harvest.complete,
        commands=workplace.commands,
        notes=gateway.notes,
        session_events=tuple(workplace.session_events),
        ended=ended,
    )


def _by_path(files: Iterable[WatchedFile]) -> tuple[WatchedFile, ...]:
    return tuple(sorted(files, key=lambda file: file.path))
