"""What variants do: the standardised effect of each factor, from any design."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from sidedoor.evals.analysis.counts import Arm, TwoArms
from sidedoor.evals.analysis.differences import risk_difference
from sidedoor.evals.analysis.new_scenarios import difference_in_new_scenarios
from sidedoor.evals.report.cube import Cube, Samples
from sidedoor.evals.report.data import Effect
from sidedoor.tasks.catalogue import load_suite, suite_ids


class Change(NamedTuple):
    """One factor changed from its baseline level, in pairs of variants that differ in nothing else."""

    factor: str
    baseline: str
    changed: str
    variants: tuple[tuple[str, str], ...]


def changes(samples: Samples) -> list[Change]:
    """All changes of one factor that the design has, other factors equal and in the same suite.

    A factor's baseline is the level that most variants have. In the suite's eight variants the changes are its seven
    contrasts; in a full crossing each change pools all pairs of variants that differ in that factor alone.
    """
    found = []
    first = samples.kinds[["variant", "suite"]].drop_duplicates("variant")
    suites = dict(zip(first["variant"], first["suite"], strict=True))
    for factor in sorted({factor for levels in samples.factors.values() for factor in levels}):
        having = {variant: levels for variant, levels in samples.factors.items() if factor in levels}
        counts: dict[str, int] = {}
        for levels in having.values():
            counts[levels[factor]] = counts.get(levels[factor], 0) + 1
        baseline = max(counts, key=counts.__getitem__)
        for changed in counts:
            pairs = tuple(
                (one, other) for one, other in _pairs(having, factor, baseline, changed) if suites[one] == suites[other]
            )
            if changed != baseline and pairs:
                found.append(Change(factor, baseline, changed, pairs))
    return sorted(found, key=lambda change: change.variants)


def effects(samples: Samples, cubes: Mapping[str, Cube], level: float) -> Iterator[Effect]:
    """The effect of every change on each measure: pooled over models first, then of each model."""
    found, excluded = changes(samples), exclusions(samples)
    for (measure, cube), change in product(cubes.items(), found):
        out = tuple(scenario for scenario in cube.scenarios if (scenario, change.factor) in excluded)
        scenarios = [scenario for scenario in cube.scenarios if scenario not in out]
        zero, one = (cube.of(scenario=scenarios, variant=variants) for variants in zip(*change.variants, strict=True))
        for model in (None, *cube.models) if len(cube.models) > 1 else (None,):
            sides = (zero, one) if model is None else (zero.of(model=model), one.of(model=model))
            arms, of_stratum = _arms(*sides)
            yield Effect(
                measure=measure,
                model=model,
                factor=change.factor,
                baseline=change.baseline,
                changed=change.changed,
                variants=change.variants,
                these_scenarios=risk_difference(arms, level),
                new_scenarios=difference_in_new_scenarios(arms, of_stratum, level),
                excluded=out,
            )


def exclusions(samples: Samples) -> set[tuple[str, str]]:
    """Scenarios and factors that the suites themselves say make no sense together."""
    known = set(suite_ids())
    names = samples.kinds[["suite", "scenario"]].drop_duplicates("scenario")
    found = set()
    for suite, shown in zip(names["suite"].astype(str), names["scenario"], strict=True):
        if suite in known:
            reason = load_suite(suite).exclusions.get(shown.rpartition("/")[2], "")
            found.add((shown, reason.partition(":")[0]))
    return found


def _pairs(
    having: Mapping[str, Mapping[str, str]], factor: str, baseline: str, changed: str
) -> Iterator[tuple[str, str]]:
    for one, other in product(having, having):
        levels, others = having[one], having[other]
        rest = {key: level for key, level in levels.items() if key != factor}
        if levels[factor] == baseline and others == {**rest, factor: changed}:
            yield one, other


def _arms(zero: Cube, one: Cube) -> tuple[TwoArms, Sequence[str]]:
    # A cell that neither arm was meant to have is no stratum; one that an arm lacks is, and is named as left out.
    used = np.flatnonzero(zero.n + zero.missing + one.n + one.missing)
    arms = (Arm(*(counts.take(used) for counts in (side.x, side.n, side.missing))) for side in (one, zero))
    cells = [(f"{m} · {s} · {v}", s) for m, s, v in product(zero.models, zero.scenarios, zero.variants)]
    strata = [cells[place] for place in used.tolist()]
    return TwoArms(tuple(name for name, _ in strata), *arms), [scenario for _, scenario in strata]
