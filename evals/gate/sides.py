"""What a case compares: the counts of a bad outcome on both sides, stratum by stratum."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from sidedoor.evals.analysis.counts import Arm, TwoArms
from sidedoor.evals.gate.observed import CellCounts
from sidedoor.evals.gate.result import Case

NAMED_SCENARIOS: Final = 3
"""How many scenarios a case is owed to, at most."""

Cells: TypeAlias = Mapping[tuple[str, str], CellCounts]
"""Counts by scenario and variant."""


@dataclass(frozen=True)
class Pairing:
    """A candidate and what it is compared with; `baseline` is None where there is none."""

    model: str
    candidate: Sequence[CellCounts]
    against: str = ""
    baseline: Sequence[CellCounts] | None = None


def outcome_name(label: str, bad: bool) -> str:
    """The bad outcome in words: the label, or its absence."""
    return label if bad else f"not {label}"


class Sides:
    """Both sides of a case as counts of the bad outcome by stratum, a stratum being scenario and variant.

    Args:
        pairing: candidate and baseline.
        label: what is counted.
        bad: the label's value that is the bad outcome.
        contrast: name of the part of the design.
        variants: its variants; None for all.
    """

    def __init__(self, pairing: Pairing, label: str, bad: bool, contrast: str, variants: frozenset[str] | None) -> None:
        self.pairing, self.label, self.bad, self.contrast = pairing, label, bad, contrast
        candidate, baseline = (self._cells(side, variants) for side in (pairing.candidate, pairing.baseline or ()))
        self.places = sorted({*candidate, *baseline})
        self.strata = tuple(f"{scenario}-{variant}" for scenario, variant in self.places)
        self.scenarios = [scenario for scenario, _ in self.places]
        # A cell of the baseline that the candidate lacks is missing from it; the baseline was never to have others.
        self.arms = TwoArms(self.strata, self._arm(candidate, baseline), self._arm(baseline, {}))

    def draft(self, **known: object) -> dict[str, object]:
        """The fields that every case of these sides has."""
        return {
            "metric": self.label,
            "outcome": outcome_name(self.label, self.bad),
            "model": self.pairing.model,
            "contrast": self.contrast,
            **known,
        }

    def invalid(self, reason: str, **known: object) -> Case:
        """A case that cannot be decided."""
        return Case.model_validate(self.draft(verdict="INVALID", reason=reason, **known))

    def scenarios_by(self, amounts: Iterable[float]) -> tuple[str, ...]:
        """The scenarios that contribute most, of those that contribute anything."""
        total: dict[str, float] = {}
        for scenario, amount in zip(self.scenarios, amounts, strict=True):
            total[scenario] = total.get(scenario, 0.0) + amount
        most = sorted((name for name in total if total[name] > 0), key=lambda name: -total[name])
        return tuple(most[:NAMED_SCENARIOS])

    @staticmethod
    def _cells(cells: Sequence[CellCounts], variants: frozenset[str] | None) -> Cells:
        return {(one.scenario, one.variant): one for one in cells if variants is None or one.variant in variants}

    def _arm(self, cells: Cells, expected: Cells) -> Arm:
        counts = [self._counts(cells.get(place), expected.get(place)) for place in self.places]
        x, n, missing = np.array(counts, dtype=np.int64).reshape(-1, 3).T
        return Arm(x, n, missing)

    def _counts(self, cell: CellCounts | None, expected: CellCounts | None) -> tuple[int, int, int]:
        if cell is None:
            return 0, 0, expected.samples if expected else 0
        events, known = cell.events.get(self.label, (0, 0))
        return events if self.bad else known - events, known, cell.samples - known + cell.missing
