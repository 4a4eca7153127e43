"""Two runs, or two models of one run, on the cells that both have.

Cells are paired by scenario, variant and the seed of their facts, so that both sides met the very same episode. What
cannot be paired is listed and never dropped silently, and sides with different scenarios by content are refused: their
rates are not rates of the same thing. Labels are those after a person's review, of valid samples.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sidedoor.evals.analysis.counts import Arm, TwoArms
from sidedoor.evals.analysis.differences import risk_difference
from sidedoor.evals.analysis.estimate import Difference, check_level
from sidedoor.evals.analysis.multiplicity import holm
from sidedoor.evals.analysis.new_scenarios import difference_in_new_scenarios
from sidedoor.evals.analysis.paired import PairedTable, mcnemar_exact, pair
from sidedoor.evals.frame.read import Frame, read_frame
from sidedoor.evals.frame.rows import ADJUDICATED
from sidedoor.evals.report.text import one_line
from sidedoor.scorers.labels import BINARY_LABELS
from sidedoor.tasks.yaml_source import SourceError

JSON: Final = "compare.json"
MARKDOWN: Final = "compare.md"
SHOWN: Final = 5
"""How many cells or scenarios a line names before it says how many more there are."""

_MARKDOWN: Final = str.maketrans({character: f"\\{character}" for character in "\\|*_<>[]`#"})


class Cell(NamedTuple):
    """What two sides are paired by. `model` is empty where a side is one model; `draw` is the seed, or the epoch."""

    model: str
    scenario: str
    variant: str
    draw: int

    def __str__(self) -> str:
        name = f"{self.scenario}-{self.variant}-{self.draw}"
        return f"{self.model} {name}" if self.model else name


Outcomes: TypeAlias = Mapping[Cell, bool | None]
Models: TypeAlias = tuple[str, ...]


class Side(BaseModel):
    """One side of a comparison: which models of which runs, and which of its cells the other side lacks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    models: tuple[str, ...]
    runs: tuple[str, ...]
    samples: int
    invalid: int
    unmatched: tuple[str, ...]
    problems: tuple[str, ...]


class LabelComparison(BaseModel):
    """One label on the shared cells; differences are candidate minus baseline, fractions of 1.

    `unknown` names the shared cells that a side has no valid outcome for. `new_scenarios` is None where there are
    fewer than two scenarios to generalise from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    label: str
    both: int
    only_candidate: int
    only_baseline: int
    neither: int
    unknown: tuple[str, ...]
    these_scenarios: Difference
    new_scenarios: Difference | None
    p_value: float
    adjusted_p_value: float

    @property
    def pairs(self) -> int:
        """Shared cells with two known outcomes."""
        return self.both + self.only_candidate + self.only_baseline + self.neither


class Comparison(BaseModel):
    """`compare.json`: a candidate against a baseline. `family` is how many labels Holm's adjustment was made for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    baseline: Side
    candidate: Side
    level: float
    family: int
    shared_cells: int
    labels: tuple[LabelComparison, ...]

    def verdict(self, one: LabelComparison) -> str:
        """Whether the candidate's rate is higher or lower, claimed only where the adjusted p-value supports it."""
        if one.adjusted_p_value > 1 - self.level:
            return "not told apart"
        return "higher" if one.only_candidate > one.only_baseline else "lower"


@dataclass(frozen=True)
class _Chosen:
    """The samples of a side, before it is known what they can be paired with."""

    name: str
    models: tuple[str, ...]
    samples: pd.DataFrame
    problems: tuple[str, ...]

    def cells(self, by_model: bool) -> list[Cell]:
        draws = self.samples["seed"].fillna(self.samples["epoch"])
        models = self.samples["model"] if by_model else [""] * len(self.samples)
        rows = zip(models, self.samples["scenario"], self.samples["variant"], draws, strict=True)
        cells = [Cell(str(model), str(scenario), str(variant), int(draw)) for model, scenario, variant, draw in rows]
        twice = [cell for cell, count in Counter(cells).items() if count > 1]
        if twice:
            raise SourceError(f"{self.name}: {_listed(twice)} more than once; compare one run at a time")
        return cells

    def contents(self) -> dict[tuple[str, str], str]:
        """Version and content of every scenario, in words."""
        columns = self.samples[["suite", "scenario", "version", "content_sha256"]].drop_duplicates()
        rows = columns.astype(object).where(columns.notna(), "").itertuples(index=False, name=None)
        return {
            (str(suite), str(scenario)): f"{version or 'of unknown version'} ({digest[:12] or 'unknown content'})"
            for suite, scenario, version, digest in rows
        }


def compare_runs(paths: Sequence[Path], models: Sequence[str] = (), level: float = 0.95) -> Comparison:
    """Compare a candidate with a baseline, label by label, on the cells that both have.

    Args:
        paths: the baseline's run and the candidate's, or one run that holds both.
        models: the baseline's model and the candidate's, or one name for the same model on both sides. May be left
            out for two runs of one model each or of the same models, and for one run of two models.
        level: two-sided confidence level of the differences, and of the verdicts after Holm.

    Raises:
        SourceError: a path holds no samples, it is not clear which models are meant, the sides have other scenarios
            by content, no shared cell, or the same cell twice.
        ValueError: impossible level.
    """
    check_level(level)
    baseline, candidate = _sides(paths, models)
    _check_contents(baseline, candidate)
    by_model = len(baseline.models) > 1 or len(candidate.models) > 1
    cells1, cells0 = candidate.cells(by_model), baseline.cells(by_model)
    shared = set(cells1) & set(cells0)
    if not shared:
        raise SourceError(
            f"{baseline.name} and {candidate.name} share no cell: "
            f"{_listed(cells0)} against {_listed(cells1)}; run both with the same variants, epochs and seed"
        )
    labels = _compare_labels(_outcomes(candidate, cells1), _outcomes(baseline, cells0), level)
    return Comparison(
        baseline=_side(baseline, [cell for cell in cells0 if cell not in shared]),
        candidate=_side(candidate, [cell for cell in cells1 if cell not in shared]),
        level=level,
        family=len(labels),
        shared_cells=len(shared),
        labels=labels,
    )


def write_comparison(folder: Path, comparison: Comparison) -> None:
    """Write `compare.json` and `compare.md` into `folder`.

    Raises:
        SourceError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / JSON).write_text(comparison.model_dump_json(indent=2) + "\n", encoding="utf-8")
        (folder / MARKDOWN).write_text(to_markdown(comparison), encoding="utf-8")
    except OSError as error:
        raise SourceError(f"cannot write the comparison to {folder}: {error.strerror}") from None


def print_comparison(console: Console, comparison: Comparison) -> None:
    """Print a comparison as two tables and the lines that a reader must know beside them."""
    console.print(Text(_title(comparison)), soft_wrap=True)
    for title, rows in (("candidate minus baseline", _rates(comparison)), ("pairs", _pairs(comparison))):
        header, *body = rows
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for column in header:
            table.add_column(column, justify="left" if column in ("label", "verdict") else "right")
        for row in body:
            table.add_row(*(Text(value) for value in row))
        console.print(table)
    for line in _remarks(comparison):
        console.print(Text(line), soft_wrap=True)


def to_markdown(comparison: Comparison) -> str:
    """A comparison as Markdown; names that a model or file controls cannot break out of it."""
    blocks = [f"# {_title(comparison).translate(_MARKDOWN)}"]
    for rows in (_rates(comparison), _pairs(comparison)):
        header, *body = [[value.translate(_MARKDOWN) for value in row] for row in rows]
        lines = [header, ["---"] * len(header), *body]
        blocks.append("\n".join(f"| {' | '.join(line)} |" for line in lines))
    blocks.append("\n".join(f"* {line.translate(_MARKDOWN)}" for line in _remarks(comparison)))
    return "\n\n".join(blocks) + "\n"


def _sides(paths: Sequence[Path], models: Sequence[str]) -> tuple[_Chosen, _Chosen]:
    frames = [read_frame([path]) for path in paths]
    found = [tuple(sorted(frame.samples["model"].unique())) for frame in frames]
    chosen0, chosen1 = _named(paths, found, models) if models else _implied(paths, found)
    baseline = _choose(frames[0], chosen0)
    candidate = _choose(frames[-1], chosen1)
    if baseline.samples.equals(candidate.samples):
        raise SourceError(f"{baseline.name} is given twice: there is nothing to compare")
    return baseline, candidate


def _named(paths: Sequence[Path], found: Sequence[Models], models: Sequence[str]) -> tuple[Models, Models]:
    if len(models) > 2:
        raise SourceError(f"two models are compared, the baseline's first; got {len(models)}")
    for model, there, path in zip((models[0], models[-1]), (found[0], found[-1]), (paths[0], paths[-1]), strict=True):
        if model not in there:
            raise SourceError(f"{path}: no samples of {model}; it has {', '.join(there)}")
    return (models[0],), (models[-1],)


def _implied(paths: Sequence[Path], found: Sequence[Models]) -> tuple[Models, Models]:
    if len(paths) == 1:
        if len(found[0]) == 2:
            return found[0][:1], found[0][1:]
        raise SourceError(f"{paths[0]}: name two models with --models; it has {', '.join(found[0])}")
    if len(found[0]) == len(found[1]) == 1 or set(found[0]) & set(found[1]):
        return found[0], found[1]
    raise SourceError(f"name one model of each run with --models: {', '.join(found[0])} against {', '.join(found[1])}")


def _choose(frame: Frame, models: Models) -> _Chosen:
    samples = frame.samples[frame.samples["model"].isin(models)]
    runs = ", ".join(sorted(samples["run"].unique()))
    name = f"{models[0] if len(models) == 1 else f'{len(models)} models'} ({runs})"
    problems = tuple(one_line(f"{problem.where} {problem.what}") for problem in frame.problems)
    return _Chosen(one_line(name), models, samples, problems)


def _check_contents(baseline: _Chosen, candidate: _Chosen) -> None:
    old, new = baseline.contents(), candidate.contents()
    changed = [f"{key[1]} {old[key]} and {new[key]}" for key in old if key in new and old[key] != new[key]]
    if changed:
        raise SourceError(
            f"{baseline.name} and {candidate.name} are not comparable, their scenarios differ: {_listed(changed)}"
        )
    if not old.keys() & new.keys():
        raise SourceError(f"{baseline.name} and {candidate.name} have no scenario of one suite in common")


def _outcomes(side: _Chosen, cells: Sequence[Cell]) -> dict[str, Outcomes]:
    valid = side.samples["status"] == "ok"
    outcomes: dict[str, Outcomes] = {}
    for label in BINARY_LABELS:
        column = side.samples[f"{ADJUDICATED}{label}"].where(valid)
        values = (None if pd.isna(value) else bool(value) for value in column)
        outcomes[label] = dict(zip(cells, values, strict=True))
    return outcomes


def _compare_labels(
    candidate: Mapping[str, Outcomes], baseline: Mapping[str, Outcomes], level: float
) -> tuple[LabelComparison, ...]:
    """Labels with at least one pair; they are the family that the p-values are adjusted for."""
    tables = {label: pair(candidate[label], baseline[label]) for label in BINARY_LABELS}
    tables = {label: table for label, table in tables.items() if table.pairs}
    adjusted = holm([mcnemar_exact(table.only1, table.only0) for table in tables.values()])
    return tuple(
        _compare_label(label, table, _arms(table, candidate[label], baseline[label]), p_value, holm_p, level)
        for (label, table), p_value, holm_p in zip(tables.items(), adjusted.p_values, adjusted.adjusted, strict=True)
    )


def _compare_label(
    label: str, table: PairedTable[Cell], arms: TwoArms, p_value: float, adjusted: float, level: float
) -> LabelComparison:
    return LabelComparison(
        label=label,
        both=table.both,
        only_candidate=table.only1,
        only_baseline=table.only0,
        neither=table.neither,
        unknown=tuple(str(cell) for cell in table.unknown),
        these_scenarios=risk_difference(arms, level),
        new_scenarios=difference_in_new_scenarios(arms, arms.strata, level),
        p_value=p_value,
        adjusted_p_value=adjusted,
    )


def _arms(table: PairedTable[Cell], candidate: Outcomes, baseline: Outcomes) -> TwoArms:
    """Counts of the pairs by scenario; what a side lacks is missing from it, an unknown pair from both."""
    left_out = {*table.unmatched1, *table.unmatched0, *table.unknown}
    paired = [cell for cell in candidate if cell not in left_out]
    scenarios = tuple(dict.fromkeys(cell.scenario for cell in [*candidate, *baseline]))

    def by_scenario(cells: Iterable[Cell]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        counts = Counter(cell.scenario for cell in cells)
        return np.array([counts[scenario] for scenario in scenarios], dtype=np.int64)

    def arm(outcomes: Outcomes, lacks: Sequence[Cell]) -> Arm:
        events = by_scenario(cell for cell in paired if outcomes[cell])
        return Arm(events, by_scenario(paired), by_scenario([*lacks, *table.unknown]))

    return TwoArms(scenarios, arm(candidate, table.unmatched0), arm(baseline, table.unmatched1))


def _side(side: _Chosen, unmatched: Sequence[Cell]) -> Side:
    return Side(
        name=side.name,
        models=side.models,
        runs=tuple(sorted(side.samples["run"].unique())),
        samples=len(side.samples),
        invalid=int((side.samples["status"] != "ok").sum()),
        unmatched=tuple(str(cell) for cell in unmatched),
        problems=side.problems,
    )


def _title(comparison: Comparison) -> str:
    return f"{comparison.candidate.name} against {comparison.baseline.name}"


def _rates(comparison: Comparison) -> list[list[str]]:
    header = ["label", "baseline", "candidate", "these scenarios", "new scenarios", "McNemar p", "Holm p", "verdict"]
    return [header] + [
        [
            one.label,
            f"{one.these_scenarios.x0}/{one.these_scenarios.n0}",
            f"{one.these_scenarios.x1}/{one.these_scenarios.n1}",
            _points(one.these_scenarios),
            _points(one.new_scenarios),
            _p(one.p_value),
            _p(one.adjusted_p_value),
            comparison.verdict(one),
        ]
        for one in comparison.labels
    ]


def _pairs(comparison: Comparison) -> list[list[str]]:
    header = ["label", "both", "only candidate", "only baseline", "neither", "unknown"]
    return [header] + [
        [one.label, *map(str, (one.both, one.only_candidate, one.only_baseline, one.neither, len(one.unknown)))]
        for one in comparison.labels
    ]


def _remarks(comparison: Comparison) -> list[str]:
    remarks = [
        f"differences are candidate minus baseline in percentage points, with {100 * comparison.level:g} % intervals",
        f"{comparison.shared_cells} shared cells; exact McNemar, Holm over a family of {comparison.family} labels",
    ]
    for role, side in (("baseline", comparison.baseline), ("candidate", comparison.candidate)):
        remarks.append(f"{role}: {side.name}, {side.samples} samples, {side.invalid} invalid")
        if side.unmatched:
            remarks.append(f"{role} only, not compared: {_listed(side.unmatched)}")
        remarks += [f"{role}: {problem}" for problem in side.problems]
    unknown = dict.fromkeys(cell for one in comparison.labels for cell in one.unknown)
    return remarks + ([f"shared, outcome unknown: {_listed(list(unknown))}"] if unknown else [])


def _points(difference: Difference | None) -> str:
    if difference is None or difference.estimate is None:
        return "no claim"
    return f"{100 * difference.estimate:+.1f} [{100 * difference.low:+.1f}, {100 * difference.high:+.1f}]"


def _p(value: float) -> str:
    return "<0.0001" if value < 0.0001 else f"{value:.4f}"


def _listed(items: Sequence[object]) -> str:
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return one_line(", ".join(str(item) for item in items[:SHOWN]) + more)
