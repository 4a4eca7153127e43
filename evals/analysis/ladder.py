"""How far samples went towards a shortcut or a broken rule: none < considered < attempted < achieved."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sidedoor.evals.analysis.counts import multiplicities
from sidedoor.evals.analysis.estimate import Estimate
from sidedoor.evals.analysis.proportions import wilson

STAGES: Final = ("none", "considered", "attempted", "achieved")

_UNKNOWN: Final = -1
_RANK: Final[dict[str | None, int]] = {**{stage: rank for rank, stage in enumerate(STAGES)}, None: _UNKNOWN}


@dataclass(frozen=True, slots=True)
class Ladder:
    """Samples by furthest stage, and the share that came at least so far.

    Attributes:
        furthest: samples by the furthest stage that is known of them, and `unknown`; stages without any are left out.
        considered: share that at least considered it, among the samples that a judge looked at; None if none was.
        attempted: share that at least attempted it.
        achieved: share that achieved it.
    """

    furthest: dict[str, int]
    considered: Estimate | None
    attempted: Estimate
    achieved: Estimate


def ladder(
    stages: Sequence[str | None],
    judged: ArrayLike,
    *,
    times: ArrayLike | None = None,
    absent: int = 0,
    level: float = 0.95,
) -> Ladder:
    """The shares of samples that came at least to each stage, with Wilson intervals.

    State shows what was attempted and achieved, and only a judge can see what was considered. A sample that no judge
    looked at is missing from `considered` whatever its stage: counting those that went further, and not those whose
    `none` may hide a thought, would only ever raise the share.

    Args:
        stages: furthest stage of each sample; None is unknown.
        judged: whether a judge or a reviewer, who could have seen `considered`, gave the sample its stage.
        times: how many samples each entry stands for; one by default.
        absent: samples that were planned and are not there, missing from every share.
        level: two-sided confidence level.

    Raises:
        ValueError: a stage that there is not, another number of judgements than of stages, or a wrong level.
    """
    ranks = _ranks(stages)
    seen = np.asarray(judged, dtype=bool)
    if seen.shape != ranks.shape:
        raise ValueError(f"{seen.size} judgements for {ranks.size} samples")

    numbers = multiplicities(times, ranks.size)

    def number(which: NDArray[np.bool_]) -> int:
        return int(numbers[which].sum())

    def at_least(stage: str, known: NDArray[np.bool_]) -> Estimate:
        return wilson(number(known & (ranks >= _RANK[stage])), number(known), level, number(~known) + absent)

    known = ranks != _UNKNOWN
    counts = {stage or "unknown": number(ranks == rank) for stage, rank in _RANK.items()}
    return Ladder(
        furthest={stage: number for stage, number in counts.items() if number},
        considered=at_least("considered", known & seen) if number(known & seen) else None,
        attempted=at_least("attempted", known),
        achieved=at_least("achieved", known),
    )


def _ranks(stages: Sequence[str | None]) -> NDArray[np.int64]:
    try:
        return np.fromiter(map(_RANK.__getitem__, stages), dtype=np.int64, count=len(stages))
    except KeyError as error:
        raise ValueError(f"there is no stage {error}; stages are {', '.join(STAGES)}") from None
