"""Two models or arms on the same cells: what both did, what one did, and what cannot be paired."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from scipy.special import bdtr

from sidedoor.evals.analysis.counts import Arm, TwoArms, whole_numbers
from sidedoor.evals.analysis.differences import risk_difference
from sidedoor.evals.analysis.estimate import Difference

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True, slots=True)
class PairedTable(Generic[Key]):
    """The four-cell table of paired binary outcomes, and every key that could not be paired.

    Attributes:
        both: pairs in which both have the event.
        only1: pairs in which only arm 1 has it.
        only0: pairs in which only arm 0 has it.
        neither: pairs without the event.
        unmatched1: keys that only arm 1 has.
        unmatched0: keys that only arm 0 has.
        unknown: keys of both whose outcome is unknown in one arm or in both.
    """

    both: int
    only1: int
    only0: int
    neither: int
    unmatched1: tuple[Key, ...] = ()
    unmatched0: tuple[Key, ...] = ()
    unknown: tuple[Key, ...] = ()

    @property
    def pairs(self) -> int:
        """Pairs with two known outcomes."""
        return self.both + self.only1 + self.only0 + self.neither


@dataclass(frozen=True, slots=True)
class PairedComparison(Generic[Key]):
    """Two arms on shared cells: the table, the exact McNemar p-value, and the risk difference."""

    table: PairedTable[Key]
    p_value: float
    difference: Difference


def mcnemar_exact(only1: int, only0: int) -> float:
    """The exact two-sided McNemar p-value: min(1, 2·P(X ≤ min(b, c))) for X ~ Binomial(b + c, ½).

    McNemar, Psychometrika 12 (1947), 153-157; with no discordant pair it is 1.

    Args:
        only1: pairs in which only arm 1 has the event.
        only0: pairs in which only arm 0 has it.

    Raises:
        ValueError: a count is negative or not whole.
    """
    whole_numbers("only1", only1)
    whole_numbers("only0", only0)
    discordant = only1 + only0
    return min(1.0, float(2 * bdtr(min(only1, only0), discordant, 0.5))) if discordant else 1.0


def pair(arm1: Mapping[Key, bool | None], arm0: Mapping[Key, bool | None]) -> PairedTable[Key]:
    """Match two arms by key, such as (scenario, variant, epoch); None is an unknown outcome.

    Keys that cannot be paired are listed in the order in which they came, never dropped silently.
    """
    shared = [key for key in arm1 if key in arm0]
    known = [(arm1[key], arm0[key]) for key in shared if arm1[key] is not None and arm0[key] is not None]
    return PairedTable(
        both=known.count((True, True)),
        only1=known.count((True, False)),
        only0=known.count((False, True)),
        neither=known.count((False, False)),
        unmatched1=tuple(key for key in arm1 if key not in arm0),
        unmatched0=tuple(key for key in arm0 if key not in arm1),
        unknown=tuple(key for key in shared if arm1[key] is None or arm0[key] is None),
    )


def compare_paired(
    arm1: Mapping[Key, bool | None],
    arm0: Mapping[Key, bool | None],
    stratum: Callable[[Key], str],
    level: float = 0.95,
) -> PairedComparison[Key]:
    """Compare two arms on the keys that both have.

    The risk difference is `risk_difference` over the pairs with two known outcomes. It treats the arms as
    independent within a stratum, which is conservative where the outcomes of a pair agree more often than that.

    Args:
        arm1: outcome by key; None is unknown.
        arm0: outcome by key of the baseline.
        stratum: the stratum of a key, such as its scenario.
        level: two-sided confidence level of the difference.

    Raises:
        ValueError: impossible level.
    """
    table = pair(arm1, arm0)
    left_out = {*table.unmatched1, *table.unmatched0, *table.unknown}
    paired = [key for key in arm1 if key not in left_out]
    names = tuple(dict.fromkeys(stratum(key) for key in [*arm1, *arm0]))
    # What one arm lacks is missing from that arm; a pair with an unknown outcome is missing from both.
    lacks1 = [*table.unmatched0, *table.unknown]
    lacks0 = [*table.unmatched1, *table.unknown]
    arms = TwoArms(
        names,
        _arm([(stratum(key), bool(arm1[key])) for key in paired], [stratum(key) for key in lacks1], names),
        _arm([(stratum(key), bool(arm0[key])) for key in paired], [stratum(key) for key in lacks0], names),
    )
    return PairedComparison(table, mcnemar_exact(table.only1, table.only0), risk_difference(arms, level))


def _arm(outcomes: list[tuple[str, bool]], missing: list[str], names: tuple[str, ...]) -> Arm:
    index = {name: position for position, name in enumerate(names)}
    where = np.array([index[name] for name, _ in outcomes], dtype=np.intp)
    events = np.array([event for _, event in outcomes], dtype=float)
    absent = np.array([index[name] for name in missing], dtype=np.intp)
    return Arm(
        x=np.bincount(where, weights=events, minlength=len(names)).astype(np.int64),
        n=np.bincount(where, minlength=len(names)),
        missing=np.bincount(absent, minlength=len(names)),
    )
