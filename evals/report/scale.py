"""Where a value lies on a plot, in per cent of its width: drawn so, a plot fits any width without distortion."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from math import ceil
from typing import Final

from sidedoor.evals.analysis.estimate import Estimate

MARGIN: Final = 0.02
_STEPS: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
_TICKS_EACH_SIDE: Final = 3
_RATE_ENDS: Final = (0.1, 0.25, 0.5, 1.0)
_RATE_TICKS: Final = 5
_CALL_TICKS: Final = 6


@dataclass(frozen=True)
class Scale:
    """A linear scale from `low` to `high`, with ticks where a number is written."""

    low: float
    high: float
    ticks: tuple[float, ...] = ()

    def share(self, value: float) -> float:
        """How far a value is from `low` to `high`, 0 to 1; beyond the ends it is at the end."""
        return min(1.0, max(0.0, (value - self.low) / (self.high - self.low)))

    def across(self, value: float) -> float:
        """The position of a value in per cent of a plot's width, with a margin on both sides."""
        return 100 * (self.share(value) * (1 - 2 * MARGIN) + MARGIN)

    def at(self, value: float) -> str:
        """The position of a value, such as `41.2%`; beyond the ends it is at the end."""
        return f"{self.across(value):.2f}%"


def rates_scale(estimates: Iterable[Estimate]) -> Scale:
    """A scale from 0 that holds all intervals of what could be estimated, and leaves rare events room to be seen."""
    return shares_scale(one.high for one in estimates if one.estimate is not None)


def shares_scale(highs: Iterable[float]) -> Scale:
    """A scale from 0 that holds all of these fractions."""
    furthest = max(highs, default=1.0)
    end = next(end for end in _RATE_ENDS if furthest <= end)
    return Scale(0, end, tuple(end * i / _RATE_TICKS for i in range(_RATE_TICKS + 1)))


def calls_scale(last: int) -> Scale:
    """A scale of calls, from before the first to after the last, with ticks at round numbers."""
    steps = (digit * 10**power for power in count() for digit in (1, 2, 5))
    step = next(step for step in steps if last <= _CALL_TICKS * step)
    return Scale(0, last + 1, tuple(range(0, last + 1, step)))


def effects_scale(estimates: Iterable[Estimate | None]) -> Scale:
    """A scale that is symmetric about no difference and holds all intervals of what could be estimated."""
    known = [one for one in estimates if one is not None and one.estimate is not None]
    furthest = max((max(-one.low, one.high) for one in known), default=_STEPS[0])
    step = next(step for step in _STEPS if furthest <= _TICKS_EACH_SIDE * step)
    end = ceil(furthest / step) * step
    count = round(end / step)
    return Scale(-end, end, tuple(step * i for i in range(-count, count + 1)))
