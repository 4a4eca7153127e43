"""Counting: a frame as events, known outcomes and missing ones by model, scenario and variant.

Every table of a report is a sum over this cube, so that no two of them can disagree.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from sidedoor.evals.analysis.counts import Arm, Counts
from sidedoor.evals.frame.read import Frame
from sidedoor.evals.frame.rows import ADJUDICATED, FACTOR, LABELS
from sidedoor.evals.report.measures import Measure
from sidedoor.evals.report.text import name

AXES: Final = ("model", "scenario", "variant")


@dataclass(frozen=True, eq=False)
class Samples:
    """A frame prepared for counting.

    Attributes:
        rows: one per sample; names are safe to show, and labels are the adjudicated ones, missing where the sample is
            invalid. `repeat` tells apart samples of one model, cell and epoch.
        absent: planned samples without a row.
        factors: level by factor, for each variant.
    """

    rows: pd.DataFrame
    absent: pd.DataFrame
    factors: Mapping[str, Mapping[str, str]]

    def names(self, axis: str) -> tuple[str, ...]:
        """Models, scenarios or variants that have a sample or should have had one, sorted."""
        return tuple(sorted({*self.rows[axis], *self.absent[axis]}))


@dataclass(frozen=True, eq=False)
class Cube:
    """Counts of one measure, each of shape (models, scenarios, variants)."""

    models: tuple[str, ...]
    scenarios: tuple[str, ...]
    variants: tuple[str, ...]
    x: Counts
    n: Counts
    missing: Counts

    def of(self, **choice: str | Sequence[str]) -> "Cube":
        """The part of the cube with the named models, scenarios or variants."""
        names = {axis: getattr(self, f"{axis}s") for axis in AXES}
        wanted = {axis: (value,) if isinstance(value, str) else tuple(value) for axis, value in choice.items()}
        picks = [[names[axis].index(one) for one in wanted.get(axis, names[axis])] for axis in AXES]
        index = np.ix_(*picks)
        models, scenarios, variants = (
            tuple(names[axis][i] for i in pick) for axis, pick in zip(AXES, picks, strict=True)
        )
        return Cube(models, scenarios, variants, self.x[index], self.n[index], self.missing[index])

    def totals(self) -> tuple[int, int, int]:
        """Events, known outcomes and missing ones in all cells."""
        return int(self.x.sum()), int(self.n.sum()), int(self.missing.sum())

    def strata(self) -> tuple[tuple[str, ...], tuple[str, ...], Arm]:
        """Names of the cells (model, scenario, variant), the scenario of each, and their counts."""
        cells = [(m, s, v) for m in self.models for s in self.scenarios for v in self.variants]
        arm = Arm(self.x.ravel(), self.n.ravel(), self.missing.ravel())
        return tuple(" · ".join(cell) for cell in cells), tuple(cell[1] for cell in cells), arm


def prepare(frame: Frame) -> Samples:
    """A frame with safe names and one column per label that counts.

    With several suites, scenarios and variants carry the suite's name, so that equal letters stay apart.
    """
    suites = {*frame.samples["suite"].astype(str), *frame.missing["suite"].astype(str)}
    rows, absent = (_named(table, len(suites) > 1) for table in (frame.samples, frame.missing))
    valid = (rows["status"] == "ok").astype("boolean")
    for label in LABELS:
        rows[label] = frame.samples[f"{ADJUDICATED}{label}"].where(valid)
    rows["repeat"] = rows.groupby([*AXES, "epoch"]).cumcount()
    return Samples(rows, absent, _factors(rows))


def count(samples: Samples, measure: Measure) -> Cube:
    """The cube of one measure.

    A sample whose label or condition is unknown is missing, and so is one that was planned and is absent: it might
    have met the condition.
    """
    names = {axis: samples.names(axis) for axis in AXES}
    given = _given(samples.rows, measure.given)
    relevant = samples.rows[given.fillna(value=True).to_numpy(dtype=bool)]
    outcome = relevant[measure.label].astype("boolean").where(given.loc[relevant.index].notna())
    cells = _cells(relevant, names)
    known, event = outcome.notna().to_numpy(), outcome.fillna(value=False).to_numpy(dtype=bool)
    shape = tuple(len(names[axis]) for axis in AXES)

    def histogram(chosen: Counts) -> Counts:
        return np.bincount(chosen, minlength=int(np.prod(shape))).astype(np.int64).reshape(shape)

    absent = histogram(_cells(_absent(samples, measure.given), names))
    return Cube(
        *(names["model"], names["scenario"], names["variant"]),
        x=histogram(cells[event]),
        n=histogram(cells[known]),
        missing=histogram(cells[~known]) + absent,
    )


def _named(table: pd.DataFrame, with_suite: bool) -> pd.DataFrame:
    named = table.copy()
    for axis in AXES:
        values = table[axis].astype(str)
        if with_suite and axis != "model":
            values = table["suite"].astype(str) + "/" + values
        named[axis] = values.map({value: name(value) for value in values.unique()}).astype(object)
    return named


def _factors(rows: pd.DataFrame) -> dict[str, dict[str, str]]:
    columns = [column for column in rows.columns if column.startswith(FACTOR)]
    first = rows.drop_duplicates("variant").set_index("variant")[columns].astype(object)
    return {
        str(variant): {
            name(str(column).removeprefix(FACTOR)): name(str(level))
            for column, level in levels.items()
            if pd.notna(level)
        }
        for variant, levels in first.iterrows()
    }


def _given(rows: pd.DataFrame, given: str | None) -> "pd.Series[bool]":
    if given is None:
        return pd.Series(data=True, index=rows.index, dtype="boolean")
    factor, equals, level = given.partition("=")
    if not equals:
        return rows[given].astype("boolean")
    column = f"{FACTOR}{factor}"
    if column not in rows:
        return pd.Series(data=False, index=rows.index, dtype="boolean")
    return (rows[column].astype("string") == level).astype("boolean").fillna(value=False)


def _absent(samples: Samples, given: str | None) -> pd.DataFrame:
    factor, equals, level = (given or "").partition("=")
    if not equals:
        return samples.absent
    # A variant of which no sample was seen has unknown factors.
    here = {v for v in samples.names("variant") if samples.factors.get(v, {}).get(factor) == level}
    return samples.absent[samples.absent["variant"].isin(here)]


def _cells(table: pd.DataFrame, names: Mapping[str, tuple[str, ...]]) -> Counts:
    codes = [pd.Categorical(table[axis], categories=list(names[axis])).codes.astype(np.int64) for axis in AXES]
    return np.asarray((codes[0] * len(names["scenario"]) + codes[1]) * len(names["variant"]) + codes[2])
