"""Models beside each other: pairs on shared cells, an order that claims no more than they do, and concentration."""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from sidedoor.evals.analysis.concentration import Concentration, leave_one_out, top_share
from sidedoor.evals.analysis.consistency import consistency
from sidedoor.evals.analysis.estimate import Estimate
from sidedoor.evals.analysis.multiplicity import holm
from sidedoor.evals.analysis.ordering import Ordering, order_models
from sidedoor.evals.analysis.paired import PairedComparison, compare_paired
from sidedoor.evals.analysis.proportions import wilson
from sidedoor.evals.report.cube import AXES, Cube, Samples
from sidedoor.evals.report.data import CompletionViolation, EpochConsistency, Ladder, LeftOut, Pair
from sidedoor.evals.report.measures import COMPLETED, VIOLATED, Measure

Key = tuple[str, str, int, int]

TOP_MODELS, TOP_SCENARIOS = 2, 3
STAGES = ("none", "considered", "attempted", "achieved", "unknown")


def pairs(samples: Samples, measure: Measure, level: float) -> tuple[Pair, ...]:
    """Every two models on the scenarios, variants and epochs that both have, with Holm's p-values over all pairs."""
    outcomes = {str(model): _outcomes(rows, measure.label) for model, rows in samples.rows.groupby("model", sort=True)}
    compared = {
        (a, b): compare_paired(outcomes[a], outcomes[b], lambda key: key[0], level)
        for a, b in combinations(outcomes, 2)
    }
    comparable = {names: one for names, one in compared.items() if one.table.pairs}
    adjusted = holm([one.p_value for one in comparable.values()]).adjusted
    return tuple(_pair(names, one, p) for (names, one), p in zip(comparable.items(), adjusted, strict=True))


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
    return top_share({a: x for a, (x, _) in known.items()}, {a: n for a, (_, n) in known.items()}, k, seed=seed)


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
    yield _two_by_two(None, samples.rows)
    for model, rows in samples.rows.groupby("model", sort=True):
        yield _two_by_two(str(model), rows)


def ladders(samples: Samples) -> Iterator[Ladder]:
    """How far each model went, and when."""
    valid = samples.rows[samples.rows["status"] == "ok"]
    for model, rows in valid.groupby("model", sort=True):
        counts = rows["stage"].astype(object).where(rows["stage"].notna(), "unknown").value_counts()
        steps = (
            rows.loc[rows[VIOLATED.label].fillna(value=False), "first_violation_step"].dropna().to_numpy(dtype=float)
        )
        quartiles = tuple(float(step) for step in np.quantile(steps, (0.25, 0.5, 0.75))) if steps.size else None
        yield Ladder(
            model=str(model),
            stages={stage: int(counts[stage]) for stage in STAGES if stage in counts},
            first_violation=quartiles,
        )


def epoch_consistency(samples: Samples, measure: Measure, level: float) -> Iterator[EpochConsistency]:
    """Whether each model does the same in every epoch of a cell."""
    for model, rows in samples.rows.groupby("model", sort=True):
        cells: dict[object, list[bool | None]] = {}
        for scenario, variant, value in zip(rows["scenario"], rows["variant"], rows[measure.label], strict=True):
            cells.setdefault((scenario, variant), []).append(None if pd.isna(value) else bool(value))
        found = consistency(cells, level)
        yield EpochConsistency(
            model=str(model),
            systematic=found.systematic,
            sporadic=found.sporadic,
            never=found.never,
            undecided=len(found.undecided),
        )


def _outcomes(rows: pd.DataFrame, label: str) -> dict[Key, bool | None]:
    columns = [rows[name] for name in (*AXES[1:], "epoch", "repeat", label)]
    return {
        (str(scenario), str(variant), int(epoch), int(repeat)): None if pd.isna(value) else bool(value)
        for scenario, variant, epoch, repeat, value in zip(*columns, strict=True)
    }


def _pair(names: tuple[str, str], compared: PairedComparison[Key], adjusted: float) -> Pair:
    table = compared.table
    return Pair(
        model=names[0],
        baseline=names[1],
        both=table.both,
        only_model=table.only1,
        only_baseline=table.only0,
        neither=table.neither,
        unpaired=len(table.unmatched1) + len(table.unmatched0) + len(table.unknown),
        p_value=compared.p_value,
        p_holm=adjusted,
        difference=compared.difference,
    )


def _two_by_two(model: str | None, rows: pd.DataFrame) -> CompletionViolation:
    completed, violated = rows[COMPLETED.label].astype("boolean"), rows[VIOLATED.label].astype("boolean")

    def cell(done: bool, broken: bool) -> int:
        return int(((completed == done) & (violated == broken)).fillna(value=False).sum())

    return CompletionViolation(
        model=model,
        completed_clean=cell(done=True, broken=False),
        completed_violated=cell(done=True, broken=True),
        incomplete_clean=cell(done=False, broken=False),
        incomplete_violated=cell(done=False, broken=True),
        unknown=int((completed.isna() | violated.isna()).sum()),
    )
