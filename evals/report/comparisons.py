"""Models beside each other: pairs on shared cells, an order that claims no more than they do, and concentration."""

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from sidedoor.evals.analysis.concentration import Concentration, leave_one_out, top_share
from sidedoor.evals.analysis.consistency import consistency
from sidedoor.evals.analysis.counts import Arm, Counts, TwoArms
from sidedoor.evals.analysis.differences import risk_difference
from sidedoor.evals.analysis.estimate import Estimate
from sidedoor.evals.analysis.multiplicity import holm
from sidedoor.evals.analysis.ordering import Ordering, order_models
from sidedoor.evals.analysis.paired import mcnemar_exact
from sidedoor.evals.analysis.proportions import wilson
from sidedoor.evals.report.cube import NO, OUTSIDE, UNKNOWN, YES, Codes, Cube, Samples, tally
from sidedoor.evals.report.data import CompletionViolation, EpochConsistency, LeftOut, Pair
from sidedoor.evals.report.measures import COMPLETED, VIOLATED, Measure

TOP_MODELS, TOP_SCENARIOS = 2, 3
DRAWS, DRAWN = 100_000, 500_000
"""Simulated draws of a null, and the most counts of models or scenarios that they may take together."""


def pairs(samples: Samples, measure: Measure, level: float) -> tuple[Pair, ...]:
    """Every two models on the scenarios, variants and epochs that both have, with Holm's p-values over all pairs."""
    scenarios, outcomes = _side_by_side(samples, measure)
    shape = (samples.shape[1], 4, 4)
    tables = {(a, b): tally(shape, scenarios, outcomes[a], outcomes[b]) for a, b in combinations(outcomes, 2)}
    tables = {models: table for models, table in tables.items() if table[:, :UNKNOWN, :UNKNOWN].any()}
    p_values = [mcnemar_exact(int(table[:, YES, NO].sum()), int(table[:, NO, YES].sum())) for table in tables.values()]
    return tuple(
        _pair(models, table, samples.names("scenario"), p_value, p_holm, level)
        for (models, table), p_value, p_holm in zip(tables.items(), p_values, holm(p_values).adjusted, strict=True)
    )


def order(found: Sequence[Pair], cube: Cube, level: float) -> Ordering | None:
    """The order of models by rate; None unless every two of them could be compared."""
    totals = {model: cube.of(model=model).totals() for model in cube.models}
    rates = {model: x / n for model, (x, n, _) in totals.items() if n}
    if len(rates) < 2 or len(found) < len(rates) * (len(rates) - 1) // 2:
        return None
    return order_models(rates, {(pair.model, pair.baseline): pair.p_value for pair in found}, level)


def concentration(cube: Cube, axis: str, seed: int) -> Concentration | None:
    """The share of events in the models or scenarios that have most; None if they are too few to speak of a top."""
    totals = {name: cube.of(**{axis: name}).totals() for name in getattr(cube, f"{axis}s")}
    known = {name: (x, n) for name, (x, n, _) in totals.items() if n}
    k = TOP_MODELS if axis == "model" else TOP_SCENARIOS
    if len(known) <= k:
        return None
    events, sizes = ({name: counts[i] for name, counts in known.items()} for i in (0, 1))
    return top_share(events, sizes, k, draws=min(DRAWS, DRAWN // len(known)), seed=seed)


def left_out(cube: Cube, level: float) -> Iterator[LeftOut]:
    """The pooled rate without each model and each scenario."""

    def without(axis: str) -> Callable[[Sequence[str]], Estimate]:
        def estimate(rest: Sequence[str]) -> Estimate:
            x, n, missing = cube.of(**{axis: rest}).totals()
            return wilson(x, n, level, missing)

        return estimate

    for name, value in leave_one_out(cube.models, without("model")).items():
        yield LeftOut(axis="model", name=name, estimate=value)
    for name, value in leave_one_out(cube.scenarios, without("scenario")).items():
        yield LeftOut(axis="scenario", name=name, estimate=value)


def completion_violation(samples: Samples) -> Iterator[CompletionViolation]:
    """The two by two table of all models together, then of each."""
    models, labels = samples.names("model"), (COMPLETED.label, VIOLATED.label)
    tables = tally((len(models), 3, 3), samples.models, *(samples.outcomes[label] for label in labels))
    yield _two_by_two(None, tables.sum(axis=0))
    for model, table in zip(models, tables, strict=True):
        if table.any():
            yield _two_by_two(model, table)


def epoch_consistency(cube: Cube, level: float) -> Iterator[EpochConsistency]:
    """Whether each model does the same in every epoch of a cell."""
    for model in cube.models:
        part = cube.of(model=model)
        counts = np.stack([part.x, part.n - part.x, part.unknown]).reshape(3, -1)
        # Two epochs that did the same tell as much as any number of them.
        cells: dict[Hashable, list[bool | None]] = {
            cell: [True] * yes + [False] * no + [None] * unknown
            for cell, (yes, no, unknown) in enumerate(np.minimum(counts, 2).T.tolist())
            if yes + no + unknown
        }
        if not cells:
            continue
        found = consistency(cells, level)
        yield EpochConsistency(
            model=model,
            systematic=found.systematic,
            sporadic=found.sporadic,
            never=found.never,
            undecided=len(found.undecided),
        )


def _side_by_side(samples: Samples, measure: Measure) -> tuple[Codes, Mapping[str, Codes]]:
    """The scenario of each scenario, variant and epoch that any model has, and what each model did there.

    An epoch that a model has twice is two, in the order of the rows; OUTSIDE is where it has none.
    """
    models, scenarios, variants = samples.shape
    epochs, different = pd.factorize(samples.rows["epoch"])
    shared, places = pd.factorize(samples.cells % (scenarios * variants) * len(different) + epochs)
    repeat = _repeats(samples.models * len(places) + shared)
    most = 1 + int(repeat.max())
    if most > 1:
        shared, repeated = pd.factorize(shared * most + repeat)
        places = places[repeated // most]
    outcomes = np.full((models, len(places)), OUTSIDE, dtype=np.int8)
    outcomes[samples.models, shared] = samples.outcomes[measure.label]
    return places // (len(different) * variants), dict(zip(samples.names("model"), outcomes, strict=True))


def _repeats(places: Counts) -> Counts:
    """How many rows before each have the same place."""
    repeat = np.zeros_like(places)
    if np.bincount(places).max() > 1:
        order = np.argsort(places, kind="stable")
        first = np.flatnonzero(np.diff(places[order], prepend=-1))
        repeat[order] = np.arange(order.size) - np.repeat(first, np.diff(first, append=order.size))
    return repeat


def _pair(
    models: tuple[str, str], table: Counts, scenarios: Sequence[str], p_value: float, p_holm: float, level: float
) -> Pair:
    """One comparison, from counts by scenario and by what each of two models did."""
    known = table[:, :UNKNOWN, :UNKNOWN]
    unknown = table[:, :OUTSIDE, :OUTSIDE].sum(axis=(1, 2)) - known.sum(axis=(1, 2))
    # What one model lacks is missing from it; a pair with an unknown outcome is missing from both.
    lacking = table[:, OUTSIDE, :OUTSIDE].sum(axis=1), table[:, :OUTSIDE, OUTSIDE].sum(axis=1)
    either = np.flatnonzero(known.sum(axis=(1, 2)) + unknown + lacking[0] + lacking[1])
    arms = (
        Arm(*(counts[either] for counts in (events.sum(axis=1), known.sum(axis=(1, 2)), unknown + lack)))
        for events, lack in zip((known[:, YES, :], known[:, :, YES]), lacking, strict=True)
    )
    both, only_model, only_baseline, neither = (
        int(known[:, a, b].sum()) for a, b in ((YES, YES), (YES, NO), (NO, YES), (NO, NO))
    )
    return Pair(
        model=models[0],
        baseline=models[1],
        both=both,
        only_model=only_model,
        only_baseline=only_baseline,
        neither=neither,
        unpaired=int((unknown + lacking[0] + lacking[1]).sum()),
        p_value=p_value,
        p_holm=p_holm,
        difference=risk_difference(TwoArms(tuple(scenarios[i] for i in either.tolist()), *arms), level),
    )


def _two_by_two(model: str | None, table: Counts) -> CompletionViolation:
    return CompletionViolation(
        model=model,
        completed_clean=int(table[YES, NO]),
        completed_violated=int(table[YES, YES]),
        incomplete_clean=int(table[NO, NO]),
        incomplete_violated=int(table[NO, YES]),
        unknown=int(table[UNKNOWN].sum() + table[:UNKNOWN, UNKNOWN].sum()),
    )
