"""From a frame to everything that a report says."""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from itertools import compress, product
from typing import Final

import numpy as np
import pandas as pd

from sidedoor.evals.analysis.bounds import rates_bounds
from sidedoor.evals.analysis.counts import Counts
from sidedoor.evals.analysis.estimate import Estimate
from sidedoor.evals.analysis.new_scenarios import rates_in_new_scenarios
from sidedoor.evals.analysis.proportions import wilson_rates
from sidedoor.evals.frame.problems import Problem
from sidedoor.evals.frame.read import Frame
from sidedoor.evals.frame.rows import ADJUDICATED, LABELS
from sidedoor.evals.garbage import rare_collections
from sidedoor.evals.report.comparisons import (
    completion_violation,
    concentration,
    epoch_consistency,
    left_out,
    order,
    pairs,
)
from sidedoor.evals.report.cube import Cube, Samples, cells_of, count, prepare, tally, totalled
from sidedoor.evals.report.data import Cell, Rate, ReportData
from sidedoor.evals.report.effects import effects
from sidedoor.evals.report.episodes import episodes, rates_of_episodes
from sidedoor.evals.report.judges import across, imported_agreement, judged, self_judged, studies
from sidedoor.evals.report.measures import COMPLETED, IC, JUDGED, MEASURES, REVIEWED, TITLES, VIOLATED, Measure
from sidedoor.evals.report.origins import contents, origins
from sidedoor.evals.report.text import clip
from sidedoor.evals.tally import Fate, ModelTally, fate, tally_model
from sidedoor.scorers.failures import Failure

LEVEL: Final = 0.95
CROSSED: Final = (IC, VIOLATED, COMPLETED)
"""Measures whose rates are given in every crossing of models, scenarios and variants, and whose effects are."""

_CROSSED: Final = frozenset(measure.id for measure in CROSSED)

COMMAND_LIMIT: Final = 2_000
TEXT_LIMIT: Final = 400


def analyse(frame: Frame, *, command: str = "", level: float = LEVEL, seed: int = 0) -> ReportData:
    """Every figure of a report, without excerpts.

    Args:
        frame: at least one sample.
        command: the command that made the report, to be told in it.
        level: two-sided confidence level of all intervals.
        seed: seed of the simulated null of concentration.
    """
    samples = prepare(frame)
    cubes = {measure.id: count(samples, measure) for measure in _measures(samples)}
    primary = _primary(cubes)
    cube = cubes[primary.id]
    # Numpy draws the nulls of concentration without the interpreter, which meanwhile does the rest.
    with rare_collections(), ThreadPoolExecutor() as pool:
        by_model, by_scenario = (pool.submit(concentration, cube, axis, seed) for axis in ("model", "scenario"))
        compared = pairs(samples, primary, level)
        courses = tuple(episodes(samples, level))
        standing = _standing(samples)
        found = studies(samples, level)
        reviewed = frame.samples.take(np.flatnonzero(frame.samples["adjudicated_by"].notna()))
        return ReportData(
            sidedoor=version("sidedoor"),
            created=dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
            command=clip(command, COMMAND_LIMIT),
            level=level,
            seed=seed,
            primary=primary.id,
            measures=TITLES,
            models=cube.models,
            scenarios=cube.scenarios,
            variants=cube.variants,
            variant_levels={variant: dict(levels) for variant, levels in samples.factors.items()},
            samples=len(samples.rows),
            adjudicated=len(reviewed),
            adjudication_changed=_changed(reviewed),
            counts=tuple(_counts(samples, standing)),
            design=tuple(_design(samples, standing)),
            rates=(*_rates(cubes, level), *rates_of_episodes(courses, level)),
            effects=tuple(effects(samples, _crossed(cubes), level)),
            pairs=compared,
            ordering=order(compared, cube, level),
            by_model=by_model.result(),
            by_scenario=by_scenario.result(),
            left_out=tuple(left_out(cube, level)),
            completion_violation=tuple(completion_violation(samples)),
            episodes=courses,
            consistency=tuple(epoch_consistency(cube, level)),
            judged=tuple(judged(samples)),
            studies=found,
            self_judged=tuple(self_judged(samples)),
            across=tuple(across(found)),
            imported_agreement=imported_agreement(frame.samples),
            problems=tuple(_shown(problem) for problem in frame.problems),
            contents=tuple(contents(samples)),
            origins=tuple(origins(samples)),
        )


def _measures(samples: Samples) -> tuple[Measure, ...]:
    return (*MEASURES, *(JUDGED if samples.judged else ()), *(REVIEWED if samples.reviewed else ()))


def _primary(cubes: dict[str, Cube]) -> Measure:
    """The first of IC behaviour and violation of which any outcome is known; IC behaviour if neither is."""
    return next((measure for measure in (IC, VIOLATED) if cubes[measure.id].n.any()), IC)


def _crossed(cubes: Mapping[str, Cube]) -> dict[str, Cube]:
    return {measure.id: cubes[measure.id] for measure in CROSSED if cubes[measure.id].n.any()}


def _rates(cubes: Mapping[str, Cube], level: float) -> Iterator[Rate]:
    for measure, cube in cubes.items():
        counts = [totalled(each) for each in (cube.x, cube.n, cube.missing)]
        crossing = np.indices(counts[0].shape).astype(bool).sum(axis=0)
        wanted = crossing <= (2 if measure in _CROSSED else 1)
        x, n, missing = (each[wanted] for each in counts)
        groups = product((None, *cube.models), (None, *cube.scenarios), (None, *cube.variants))
        found = (compress(groups, wanted.flat), wilson_rates(x, n, missing, level), rates_bounds(x, n, missing, level))
        wide = _in_new_scenarios(cube, level)
        for (model, scenario, variant), estimate, bounds in zip(*found, strict=True):
            yield Rate(
                measure=measure,
                model=model,
                scenario=scenario,
                variant=variant,
                estimate=estimate,
                new_scenarios=None if scenario else wide[model, variant],
                lowest=bounds.lowest if estimate.missing else None,
                highest=bounds.highest if estimate.missing else None,
            )


def _in_new_scenarios(cube: Cube, level: float) -> dict[tuple[str | None, ...], Estimate | None]:
    """The wider claim for all samples, and by model, by variant and by both."""
    found: dict[tuple[str | None, ...], Estimate | None] = {}
    for models, variants in product((False, True), repeat=2):
        groups = list(product(cube.models if models else (None,), cube.variants if variants else (None,)))
        # Axes of the groups first, then scenarios, then what is summed over in each.
        axes = sorted(range(3), key=lambda axis: (not models, 0.5, not variants)[axis])
        x, n, missing = (
            counts.transpose(axes).reshape(len(groups), len(cube.scenarios), -1)
            for counts in (cube.x, cube.n, cube.missing)
        )
        found |= zip(groups, rates_in_new_scenarios(x, n, missing, level), strict=True)
    return found


def _counts(samples: Samples, standing: Counts) -> Iterator[ModelTally]:
    columns = ["model", "status", "failure", "incidents"]
    known = samples.kinds.groupby(columns, observed=True, dropna=False)["number"].sum().reset_index()
    fates: dict[str, Counter[Fate]] = {model: Counter() for model in samples.names("model")}
    for model, status, *told, number in known.itertuples(index=False, name=None):
        fates[model][fate(status, *(one if isinstance(one, str) else None for one in told))] += number
    killed = samples.absent.dropna(subset="killed")
    for (model, found), missing in zip(fates.items(), standing[2].sum(axis=(1, 2)).tolist(), strict=True):
        yield tally_model(model, found, missing, map(Failure, killed["killed"][killed["model"] == model]))


def _design(samples: Samples, standing: Counts) -> Iterator[Cell]:
    cells = product(samples.names("scenario"), samples.names("variant"))
    for cell, counts in zip(cells, standing.sum(axis=1).reshape(3, -1).T.tolist(), strict=True):
        yield Cell(scenario=cell[0], variant=cell[1], valid=counts[0], invalid=counts[1], missing=counts[2])


def _standing(samples: Samples) -> Counts:
    """How many samples of each cell are valid, invalid, and absent."""
    valid = samples.valid
    kinds = (samples.cells[valid], samples.cells[~valid], cells_of(samples.absent, samples.shape))
    return np.stack([tally(samples.shape, kind) for kind in kinds])


def _changed(reviewed: pd.DataFrame) -> int:
    """How many samples the reviewers gave another label than they had."""
    raw, final = (
        reviewed[[f"{prefix}{label}" for label in LABELS]].astype("string").fillna("").to_numpy(object)
        for prefix in ("", ADJUDICATED)
    )
    return int((raw != final).any(axis=1).sum())


def _shown(problem: Problem) -> Problem:
    return problem.model_copy(update={"what": clip(problem.what, TEXT_LIMIT), "where": clip(problem.where, TEXT_LIMIT)})
