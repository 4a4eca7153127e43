"""When an event first comes, counted in calls, where many samples end before it does.

A sample that ends without the event is censored at its last call. The curve therefore says how soon the event comes
while samples go on. It is no share of samples: an agent that has finished its task can do no more, so that fewer have
the event than the curve says, and their share is `x` of `n`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from sidedoor.evals.analysis.counts import Counts, Floats, multiplicities
from sidedoor.evals.analysis.estimate import Claim, two_sided_z
from sidedoor.evals.analysis.proportions import wilson_bounds

METHOD: Final = "Kaplan-Meier, Rothman-Wilson"
_HALF: Final = 0.5 - 1e-12
"""One half, less what rounding may take from a product of fractions that is one half."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnsetRow:
    """A call at which a sample had its first event or ended.

    Attributes:
        call: which one, from 1.
        at_risk: samples that came to this call without an event before it.
        events: those whose first event it is.
        ended: those that ended with it, without an event.
        incidence: estimated probability of an event by this call, if the sample goes on so far; a fraction of 1.
        low: lower bound of its pointwise interval, always below `high`.
        high: upper bound.

    Raises:
        ValueError: the interval has no width or does not hold the estimate.
    """

    call: int
    at_risk: int
    events: int
    ended: int
    incidence: float
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (self.low < self.high and self.low <= self.incidence <= self.high):
            raise ValueError(f"at call {self.call}, [{self.low}, {self.high}] is no interval of {self.incidence}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MedianCall:
    """The call by which half have had their first event, with its interval: later than `after`, and `by` at the latest.

    Calls are whole, so that the interval is half-open: `after` 1, `by` 2 is the second call.

    Attributes:
        estimate: the call; None if the curve does not reach one half.
        after: lower bound, not itself in the interval.
        by: upper bound, in the interval; None if the data set none.
    """

    estimate: int | None
    after: int
    by: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Onset:
    """The life table of first events, with pointwise intervals.

    Attributes:
        rows: calls with an event or an end, in order; between them the curve is level.
        median: by which call half have had the event; None without any sample.
        quartiles: lower quartile, median and upper quartile of the call, among samples with the event; None without.
        n: samples that entered.
        x: those with an event.
        missing: samples that should have entered: outcome, or its call, not known, or the sample not there.
        undated: those among the missing that had the event at a call that is not known.
        level: two-sided confidence level.
        method: what computed curve and intervals.
        claim: that it speaks of these scenarios.
    """

    rows: tuple[OnsetRow, ...]
    median: MedianCall | None
    quartiles: tuple[float, float, float] | None
    n: int
    x: int
    missing: int
    undated: int
    level: float
    method: str = METHOD
    claim: Claim = "these_scenarios"

    def at_risk(self, call: int) -> int:
        """How many samples come to a call without an event before it."""
        return next((row.at_risk for row in self.rows if row.call >= call), 0)


def onset(
    event: ArrayLike,
    first: ArrayLike,
    last: ArrayLike,
    *,
    times: ArrayLike | None = None,
    absent: int = 0,
    level: float = 0.95,
) -> Onset:
    """The probability of a first event by each call, while samples go on: Kaplan-Meier with censoring at the end.

    1 - S, where S multiplies (Y - d)/Y over calls with d events among Y at risk. Kaplan and Meier, J. Am. Stat. Assoc.
    53 (1958), 457-481. Pointwise intervals are Wilson's at the effective sample size that Greenwood's variance stands
    for, n' = S(1 - S)/Var: without censoring n' = n, and it is the Wilson interval of the share. Rothman, J. Chronic
    Dis. 31 (1978), 557-560; preferred for small samples by Anderson, Bernstein and Pike, Biometrics 38 (1982), 407-416.
    At S = 1 and S = 0, where the quotient is 0/0, its limit is taken, so that no interval is without width. After an
    event n' falls with the number at risk, so that the interval widens where samples end. Dorey and Korn, Stat. Med. 6
    (1987), 679-687.

    The interval of the median holds the calls at which the pointwise one holds one half. Brookmeyer and Crowley,
    Biometrics 38 (1982), 29-41.

    Args:
        event: whether each sample had the event; None or NaN is unknown.
        first: the call of its first event, from 1; below 1, None or NaN is not recorded.
        last: its last call; as above. Needed of samples without the event only.
        times: how many samples each entry stands for; one by default.
        absent: samples that were planned and are not there.
        level: two-sided confidence level.

    Raises:
        ValueError: different numbers of samples, a call that is not whole, or a wrong level.
    """
    z = two_sided_z(level)
    happened, began, ended = (np.array(values, dtype=float) for values in (event, first, last))
    if not happened.shape == began.shape == ended.shape:
        raise ValueError(f"{happened.size} outcomes, {began.size} first calls and {ended.size} last calls")
    numbers = multiplicities(times, happened.size)
    call = np.where(happened == 1, began, np.where(happened == 0, ended, np.nan))
    dated = (call >= 1) & (numbers > 0)
    if (call[dated] != np.floor(call[dated])).any():
        raise ValueError("a call is a whole number, counted from 1")
    with_event = dated & (happened == 1)
    rows = tuple(_life_table(call[dated], numbers[dated], numbers[dated] * with_event[dated], z))
    return Onset(
        rows=rows,
        median=_median(rows),
        quartiles=_quartiles(np.repeat(call[with_event], numbers[with_event])),
        n=int(numbers[dated].sum()),
        x=int(numbers[with_event].sum()),
        missing=int(numbers[~dated].sum()) + absent,
        undated=int(numbers[(happened == 1) & ~dated].sum()),
        level=level,
    )


def _life_table(calls: Floats, numbers: Counts, events: Counts, z: float) -> Iterator[OnsetRow]:
    different, place = np.unique(calls, return_inverse=True)
    leaving, happening = (np.bincount(place, weights).astype(np.int64) for weights in (numbers, events))
    at_risk = leaving[::-1].cumsum()[::-1]
    curve = np.array(list(_curve(at_risk.tolist(), happening.tolist()))).reshape(-1, 2)
    incidence, effective = curve.T
    low, high = wilson_bounds(effective * incidence, effective, z)
    columns = (different.astype(np.int64), at_risk, happening, leaving - happening, incidence, low, high)
    for call, y, d, ended, share, least, most in zip(*(column.tolist() for column in columns), strict=True):
        yield OnsetRow(call=call, at_risk=y, events=d, ended=ended, incidence=share, low=least, high=most)


def _curve(at_risk: Sequence[int], events: Sequence[int]) -> Iterator[tuple[float, float]]:
    """The incidence by each call, and the effective sample size behind it."""
    survival, spread = 1.0, 0.0
    left = at_risk[0] if at_risk else 0
    size = float(left)  # after the latest event: effective sample size, and who was left
    for y, d in zip(at_risk, events, strict=True):
        effective = size * y / left
        if d:
            # S times Greenwood's sum of d/(Y(Y-d)), rearranged so that d = Y divides nothing by zero.
            spread = spread * (y - d) / y + survival * d / y**2
            survival *= (y - d) / y
            size, left = (1 - survival) / spread, y - d
            effective = size
        yield 1 - survival, effective


def _median(rows: tuple[OnsetRow, ...]) -> MedianCall | None:
    if not rows:
        return None
    reached = next((row.call for row in rows if row.incidence >= _HALF), None)
    possible = next((row.call - 1 for row in rows if row.high >= _HALF), rows[-1].call)
    open_rows = [index for index, row in enumerate(rows) if row.low <= 1 - _HALF]
    closing = open_rows[-1] + 1 if open_rows else 0
    return MedianCall(estimate=reached, after=possible, by=rows[closing].call if closing < len(rows) else None)


def _quartiles(calls: Floats) -> tuple[float, float, float] | None:
    if not calls.size:
        return None
    lower, middle, upper = np.quantile(calls, (0.25, 0.5, 0.75))
    return float(lower), float(middle), float(upper)
