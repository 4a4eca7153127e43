"""Where a value lies on a plot, in per cent of its width: drawn so, a plot fits any width without distortion."""

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil
from typing import Final

from sidedoor.evals.analysis.estimate import Estimate

MARGIN: Final = 0.02
_STEPS: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
_TICKS_EACH_SIDE: Final = 3
_RATE_ENDS: Final = (0.1, 0.25, 0.5, 1.0)
_RATE_TICKS: Final = 5


@dataclass(frozen=True)
class Scale:
    """A linear scale from `low` to `high`, with ticks where a number is written."""

    low: float
    high: float
    ticks: tuple[float, ...] = ()

    def at(self, value: float) -> str:
        """The position of a value, such as `41.2%`; beyond the ends it is at the end."""
        share = (value - self.low) / (self.high - self.low)
        inside = min(1.0, max(0.0, share)) * (1 - 2 * MARGIN) + MARGIN
        return f"{100 * inside:.2f}%"


def rates_scale(estimates: Iterable[Estimate]) -> Scale:
    """A scale from 0 that holds all intervals of what could be estimated, and leaves rare events room to be seen."""
    furthest = max((one.high for one in estimates if one.estimate is not None), default=1.0)
    end = next(end for end in _RATE_ENDS if furthest <= end)
    return Scale(0, end, tuple(end * i / _RATE_TICKS for i in range(_RATE_TICKS + 1)))


def effects_scale(estimates: Iterable[Estimate | None]) -> Scale:
    """A scale that is symmetric about no difference and holds all intervals of what could be estimated."""
    known = [one for one in estimates if one is not None and one.estimate is not None]
    furthest = max((max(-one.low, one.high) for one in known), default=_STEPS[0])
    step = next(step for step in _STEPS if furthest <= _TICKS_EACH_SIDE * step)
    end = ceil(furthest / step) * step
    count = round(end / step)
    return Scale(-end, end, tuple(step * i for i in range(-count, count + 1)))
