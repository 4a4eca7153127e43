"""Samples that were under way when their run was stopped: in which phase, from the ledger in the run's folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sidedoor.sandboxes.ledger import Phase, last_phases
from sidedoor.scorers.failures import Failure

LEDGER: Final = "phases.jsonl"

_KINDS: Final[Mapping[Phase, Failure]] = {
    Phase.START: Failure.KILLED_AT_START,
    Phase.TURN: Failure.KILLED_IN_TURN,
    Phase.CAPTURE: Failure.KILLED_IN_CAPTURE,
    Phase.SCORING: Failure.KILLED_IN_SCORING,
}


def under_way(folder: Path) -> dict[tuple[str, str], Failure]:
    """For each sample that was begun and did not end, by model and id, what would have ended it.

    A run that is still going on has such samples, too; whoever asks knows which of them are missing.

    Args:
        folder: the run's; without a ledger nothing is known.
    """
    phases = last_phases(folder / LEDGER)
    return {sample: _KINDS[phase] for sample, phase in phases.items() if phase is not Phase.ENDED}
