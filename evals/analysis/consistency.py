"""Whether a behaviour is systematic or sporadic over the epochs of a cell, and where epochs part."""

import math
import statistics
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest

from sidedoor.evals.analysis.estimate import Estimate
from sidedoor.evals.analysis.proportions import wilson


@dataclass(frozen=True, slots=True)
class Consistency:
    """Shares of cells by what their epochs did.

    Attributes:
        systematic: cells in which all epochs have the event.
        sporadic: cells in which some epochs have it and some do not.
        never: cells in which none has it.
        undecided: cells that cannot be told: one known epoch or none, or all known ones alike with others unknown.
    """

    systematic: Estimate
    sporadic: Estimate
    never: Estimate
    undecided: tuple[Hashable, ...]


def consistency(cells: Mapping[Hashable, Sequence[bool | None]], level: float = 0.95) -> Consistency:
    """Sort cells into systematic, sporadic and never; each share has a Wilson interval over the cells.

    A cell whose known epochs differ is sporadic whatever the unknown ones did; any other cell with an unknown epoch is
    undecided and counted as missing.

    Args:
        cells: outcomes of the epochs by cell; None is unknown.
        level: two-sided confidence level of the shares.

    Raises:
        ValueError: impossible level.
    """
    kinds = {cell: _kind(epochs) for cell, epochs in cells.items()}
    undecided = tuple(cell for cell, kind in kinds.items() if kind == "undecided")
    decided = len(kinds) - len(undecided)
    systematic, sporadic, never = (
        wilson(list(kinds.values()).count(kind), decided, level, len(undecided))
        for kind in ("systematic", "sporadic", "never")
    )
    return Consistency(systematic, sporadic, never, undecided)


def coefficient_of_variation(steps: Sequence[int]) -> float | None:
    """Sample standard deviation of the epochs' step counts over their mean; 0.2 is 20 %.

    Returns:
        None with fewer than two epochs, or when no epoch took a step.

    Raises:
        ValueError: a step count is negative.
    """
    if any(count < 0 or math.isnan(count) for count in steps):
        raise ValueError(f"step counts are not negative; got {list(steps)}")
    if len(steps) < 2 or not any(steps):
        return None
    return statistics.stdev(steps) / statistics.fmean(steps)


def first_parting(sequences: Sequence[Sequence[Hashable]]) -> int | None:
    """The first step, counted from 1, at which not all action sequences do the same; ending counts as an action.

    Returns:
        None when all sequences are equal, or when there are fewer than two.
    """
    ended = object()
    for step, actions in enumerate(zip_longest(*sequences, fillvalue=ended), start=1):
        if len(set(actions)) > 1:
            return step
    return None


def _kind(epochs: Sequence[bool | None]) -> str:
    known = {outcome for outcome in epochs if outcome is not None}
    if len(known) == 2:
        return "sporadic"
    if None in epochs or len(epochs) < 2:
        return "undecided"
    return "systematic" if known == {True} else "never"
