"""From a frame to everything that a report says."""

import datetime as dt
from collections.abc import Iterator
from importlib.metadata import version
from itertools import product
from typing import Final

from sidedoor.evals.analysis.bounds import rate_bounds
from sidedoor.evals.analysis.new_scenarios import rate_in_new_scenarios
from sidedoor.evals.analysis.proportions import wilson
from sidedoor.evals.frame.problems import Problem
from sidedoor.evals.frame.read import Frame
from sidedoor.evals.frame.rows import ADJUDICATED, LABELS
from sidedoor.evals.report.comparisons import (
    completion_violation,
    concentration,
    epoch_consistency,
    ladders,
    left_out,
    order,
    pairs,
)
from sidedoor.evals.report.cube import Cube, Samples, count, prepare
from sidedoor.evals.report.data import Cell, Effect, ModelCounts, Rate, ReportData
from sidedoor.evals.report.effects import effects
from sidedoor.evals.report.measures import COMPLETED, IC, MEASURES, TITLES, VIOLATED, Measure
from sidedoor.evals.report.origins import contents, origins
from sidedoor.evals.report.text import clip

LEVEL: Final = 0.95
CROSSED: Final = (IC, VIOLATED, COMPLETED)
"""Measures whose rates are given in every crossing of models, scenarios and variants, and whose effects are."""

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
    cubes = {measure.id: count(samples, measure) for measure in MEASURES}
    primary = _primary(cubes)
    cube = cubes[primary.id]
    compared = pairs(samples, primary, level)
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
        adjudicated=int(frame.samples["adjudicated_by"].notna().sum()),
        adjudication_changed=_adjudication_changed(frame),
        counts=tuple(_counts(samples)),
        design=tuple(_design(samples)),
        rates=tuple(_rates(cubes, level)),
        effects=tuple(_effects(samples, cubes, level)),
        pairs=compared,
        ordering=order(compared, cube, level),
        by_model=concentration(cube, "model", seed),
        by_scenario=concentration(cube, "scenario", seed),
        left_out=tuple(left_out(cube, level)),
        completion_violation=tuple(completion_violation(samples)),
        ladders=tuple(ladders(samples)),
        consistency=tuple(epoch_consistency(samples, primary, level)),
        problems=tuple(_shown(problem) for problem in frame.problems),
        contents=tuple(contents(samples)),
        origins=tuple(origins(samples)),
    )


def _primary(cubes: dict[str, Cube]) -> Measure:
    """The first of IC behaviour and violation of which any outcome is known; IC behaviour if neither is."""
    return next((measure for measure in (IC, VIOLATED) if cubes[measure.id].n.any()), IC)


def _rates(cubes: dict[str, Cube], level: float) -> Iterator[Rate]:
    for measure in MEASURES:
        cube = cubes[measure.id]
        crossed = measure in CROSSED
        for model, scenario, variant in product((None, *cube.models), (None, *cube.scenarios), (None, *cube.variants)):
            group = {"model": model, "scenario": scenario, "variant": variant}
            chosen = {axis: value for axis, value in group.items() if value is not None}
            if len(chosen) < 2 or (crossed and len(chosen) == 2):
                yield _rate(measure, cube.of(**chosen), chosen, level)


def _rate(measure: Measure, cube: Cube, chosen: dict[str, str], level: float) -> Rate:
    x, n, missing = cube.totals()
    strata, of_stratum, arm = cube.strata()
    bounds = rate_bounds(x, n, missing, level) if missing else None
    return Rate(
        measure=measure.id,
        **chosen,
        estimate=wilson(x, n, level, missing),
        new_scenarios=None if "scenario" in chosen else rate_in_new_scenarios(strata, arm, of_stratum, level),
        lowest=bounds.lowest if bounds else None,
        highest=bounds.highest if bounds else None,
    )


def _effects(samples: Samples, cubes: dict[str, Cube], level: float) -> Iterator[Effect]:
    for measure in CROSSED:
        if cubes[measure.id].n.any():
            yield from effects(samples, cubes[measure.id], measure.id, level)


def _counts(samples: Samples) -> Iterator[ModelCounts]:
    for model in samples.names("model"):
        rows = samples.rows[samples.rows["model"] == model]
        invalid = rows[rows["status"] != "ok"]
        reasons = invalid["invalid_reason"].astype(object).where(invalid["invalid_reason"].notna(), "unknown")
        yield ModelCounts(
            model=model,
            valid=len(rows) - len(invalid),
            invalid={str(reason): int(n) for reason, n in sorted(reasons.value_counts().items())},
            absent=int((samples.absent["model"] == model).sum()),
        )


def _design(samples: Samples) -> Iterator[Cell]:
    cells = ["scenario", "variant"]
    rows = samples.rows.groupby(cells)["status"]
    valid, total = rows.apply(lambda status: int((status == "ok").sum())), rows.size()
    absent = samples.absent.groupby(cells).size()
    for cell in product(samples.names("scenario"), samples.names("variant")):
        known, here = int(valid.get(cell, 0)), int(total.get(cell, 0))
        missing = int(absent.get(cell, 0))
        yield Cell(scenario=cell[0], variant=cell[1], valid=known, invalid=here - known, missing=missing)


def _adjudication_changed(frame: Frame) -> int:
    raw, final = (
        frame.samples[[f"{prefix}{label}" for label in LABELS]].astype("string").fillna("").to_numpy(dtype=object)
        for prefix in ("", ADJUDICATED)
    )
    return int((raw != final).any(axis=1).sum())


def _shown(problem: Problem) -> Problem:
    return problem.model_copy(update={"what": clip(problem.what, TEXT_LIMIT), "where": clip(problem.where, TEXT_LIMIT)})
