"""How far samples come on a way of several steps, such as the official one, and which of them skip a step."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sidedoor.evals.analysis.counts import Counts, Floats, multiplicities
from sidedoor.evals.analysis.estimate import Estimate
from sidedoor.evals.analysis.proportions import wilson


@dataclass(frozen=True, slots=True, kw_only=True)
class FunnelStep:
    """One step of the way, of which samples need not have taken the step before.

    Samples that reached the step are those of `after`, those of `without`, and those of which the step before is
    unknown; where a step cannot be had without the one before, `without` has no event.

    Attributes:
        name: what is reached.
        before: the step before; None for the first.
        reached: share of all samples, by whatever way.
        after: share of the samples that reached the step before; None for the first.
        without: share of the samples that did not, such as tasks completed by the side door; None for the first.
    """

    name: str
    before: str | None = None
    reached: Estimate
    after: Estimate | None = None
    without: Estimate | None = None


def funnel(
    steps: Mapping[str, ArrayLike], *, times: ArrayLike | None = None, absent: int = 0, level: float = 0.95
) -> tuple[FunnelStep, ...]:
    """Each step's share of all samples and of those that reached the step before, with Wilson intervals.

    A sample whose step is unknown is missing; one of which the step before is unknown is missing from both shares that
    depend on it, because it might have belonged to either.

    Args:
        steps: whether each sample reached the step, in the order of the way; None or NaN is unknown.
        times: how many samples each entry stands for; one by default.
        absent: samples that were planned and are not there, missing from every share.
        level: two-sided confidence level.

    Raises:
        ValueError: steps of different numbers of samples, a value that is neither true nor false, or a wrong level.
    """
    truths = {name: _truths(name, values) for name, values in steps.items()}
    sizes = {values.size for values in truths.values()}
    if len(sizes) > 1:
        raise ValueError(f"every step has the same samples; got {[values.size for values in truths.values()]}")
    return tuple(_steps(truths, multiplicities(times, max(sizes, default=0)), absent, level))


def _steps(truths: Mapping[str, Floats], numbers: Counts, absent: int, level: float) -> Iterator[FunnelStep]:
    def share(values: Floats, among: NDArray[np.bool_]) -> Estimate:
        yes, no, unknown = (int(numbers[among & kind].sum()) for kind in (values == 1, values == 0, np.isnan(values)))
        return wilson(yes, yes + no, level, unknown + absent)

    everything = np.ones(numbers.size, dtype=bool)
    for name, values in list(truths.items())[:1]:
        yield FunnelStep(name=name, reached=share(values, everything))
    for (before, former), (name, values) in pairwise(truths.items()):
        known = np.where(np.isnan(former), np.nan, values)
        yield FunnelStep(
            name=name,
            before=before,
            reached=share(values, everything),
            after=share(known, former != 0),
            without=share(known, former != 1),
        )


def _truths(name: str, values: ArrayLike) -> Floats:
    array: NDArray[np.float64] = np.array(values, dtype=float)
    if not np.isin(array[~np.isnan(array)], (0, 1)).all():
        raise ValueError(f"{name} is true, false or unknown for each sample")
    return array
