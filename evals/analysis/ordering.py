"""An order of models that claims no more than the comparisons between them support."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

from sidedoor.evals.analysis.counts import Arm, TwoArms
from sidedoor.evals.analysis.differences import score_p_value
from sidedoor.evals.analysis.estimate import check_fraction, check_level
from sidedoor.evals.analysis.multiplicity import holm

Pair: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A model with the ranks that the data leave possible; 1 is the lowest rate."""

    model: str
    rate: float
    best_rank: int
    worst_rank: int


@dataclass(frozen=True, slots=True)
class Ordering:
    """What can be said about the order of models.

    Attributes:
        ranked: models by rate, lowest first; listing is not a claim, the ranks are.
        ordered: pairs that the data order, (lower rate, higher rate).
        unordered: pairs that they do not.
        level: probability at least that every claim in `ordered` is right.
    """

    ranked: tuple[Ranked, ...]
    ordered: tuple[Pair, ...]
    unordered: tuple[Pair, ...]
    level: float

    @property
    def family(self) -> int:
        """Number of comparisons that Holm's adjustment was made for."""
        return len(self.ordered) + len(self.unordered)


def order_models(rates: Mapping[str, float], p_values: Mapping[Pair, float], level: float = 0.95) -> Ordering:
    """Order those pairs whose Holm-adjusted p-value is at most 1 - level, and no others.

    A model's best rank is 1 + the number of models with a lower rate by such a claim, its worst the number of models
    minus those with a higher one: Mohamad, Goeman and van Zwet, J. Stat. Comput. Simul. 92 (2022).

    Args:
        rates: rate by model, fractions of 1.
        p_values: two-sided p-value of each pair, in either order, such as exact McNemar on shared cells.
        level: probability at least that all claims are right.

    Raises:
        ValueError: a pair is missing or comes twice, or a rate, p-value or level is impossible.
    """
    check_level(level)
    for model, rate in rates.items():
        check_fraction(f"the rate of {model}", rate)
    by_rate = sorted(rates, key=lambda model: rates[model])
    pairs = list(combinations(by_rate, 2))
    if len(p_values) != len(pairs) or any((a, b) not in p_values and (b, a) not in p_values for a, b in pairs):
        raise ValueError(f"each of the {len(pairs)} pairs of models needs one p-value; got {len(p_values)}")
    adjusted = holm([p_values[a, b] if (a, b) in p_values else p_values[b, a] for a, b in pairs]).adjusted
    claimed = {(a, b): p <= 1 - level and rates[a] < rates[b] for (a, b), p in zip(pairs, adjusted, strict=True)}
    ordered = tuple(pair for pair in pairs if claimed[pair])
    ranked = tuple(
        Ranked(
            model=model,
            rate=rates[model],
            best_rank=1 + sum(higher == model for _, higher in ordered),
            worst_rank=len(rates) - sum(lower == model for lower, _ in ordered),
        )
        for model in by_rate
    )
    return Ordering(ranked, ordered, tuple(pair for pair in pairs if not claimed[pair]), level)


def score_p_values(strata: tuple[str, ...], arms: Mapping[str, Arm]) -> dict[Pair, float]:
    """Two-sided score p-values of all pairs of models, for counts whose samples cannot be paired.

    Args:
        strata: names of the strata.
        arms: counts by stratum of each model.

    Raises:
        ValueError: a model has another number of strata.
    """
    return {(a, b): score_p_value(TwoArms(strata, arms[a], arms[b])) for a, b in combinations(arms, 2)}
