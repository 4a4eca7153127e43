"""Replaying a journal through the scenario's world on the host.

The journal was written by the world inside the container and held on the host before the agent saw an answer. It
is believed only as far as a fresh world, fed the same calls, gives the same answers: an edited log, a changed
scenario, or a world that is not deterministic shows as a mismatch at a named call.
"""

from typing import NamedTuple

from sidedoor.sandboxes.evidence import Evidence, JournalEntry
from sidedoor.tasks.catalogue import Scenario
from sidedoor.tasks.world import World

COMPARED = ("kind", "exit", "stdout", "stderr", "marks", "clock", "state")


class Replay(NamedTuple):
    """The world after the recorded calls.

    `mismatch` says at which call and in what the replay differed; None if every answer was the same.
    """

    world: World
    mismatch: str | None


def replay(evidence: Evidence, scenario: Scenario) -> Replay:
    """Feed the recorded calls to a fresh world, stopping at the first difference."""
    factors = dict(evidence.episode.factors)
    world = scenario.world(factors, scenario.facts(evidence.episode.seed))
    for position, entry in enumerate(evidence.journal, start=1):
        difference = _differs(entry, world, position)
        if difference:
            return Replay(world, f"call {position} ({' '.join(entry.argv)[:80]!r}): {difference}")
    return Replay(world, None if _ends_as_recorded(evidence, world) else "the state at the end is not the one recorded")


def _ends_as_recorded(evidence: Evidence, world: World) -> bool:
    if evidence.faults:  # the call that failed is in no journal, and may have changed the state half-way
        return True
    if evidence.closed_state is None:
        return evidence.ended in ("container_died", "stream_lost")
    return evidence.closed_state == world.snapshot()


def _differs(entry: JournalEntry, world: World, position: int) -> str | None:
    if entry.seq != position:
        return f"expected sequence number {position}, found {entry.seq}"
    recorded = entry.model_dump(mode="json")
    answer = world.step(entry.seq, entry.argv, recorded["files"])
    fields = [field for field in COMPARED if answer[field] != recorded[field]]
    return f"{', '.join(fields)} differ" if fields else None
