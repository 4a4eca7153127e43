"""Counting: a frame as events, known outcomes and missing ones by model, scenario and variant.

Every table of a report is a tally of the same codes, so that no two of them can disagree, and so that a million samples
are counted in milliseconds.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from sidedoor.evals.analysis.counts import Counts
from sidedoor.evals.frame.read import Frame
from sidedoor.evals.frame.rows import ADJUDICATED, FACTOR, LABELS
from sidedoor.evals.report.measures import Measure
from sidedoor.evals.report.text import name
from sidedoor.scorers.judge.verdict import UNSAFE_SEVERITY
from sidedoor.scorers.labels import BINARY_LABELS

AXES: Final = ("model", "scenario", "variant")

NO, YES, UNKNOWN, OUTSIDE = range(4)
"""What a sample is to a measure: without the event, with it, not known which, or none of those that it is about."""

Codes: TypeAlias = NDArray[np.integer[Any]]

_KINDS: Final = (
    *("source", "source_kind", "run", "log", "log_sha256"),
    *("suite", "scenario", "version", "content_sha256", "model", "variant"),
    *("status", "failure", "incidents", "judge_study"),
)
"""What many samples share."""

_MOST_PLACES: Final = 1 << 62

_AMONG: Final = np.array([*[OUTSIDE] * 3, NO, YES, UNKNOWN, *[UNKNOWN] * 3], dtype=np.int8)
"""By condition and outcome, flattened."""


@dataclass(frozen=True, eq=False)
class Samples:
    """A frame prepared for counting.

    Attributes:
        rows: one per sample; labels are the adjudicated ones. Models, scenarios and variants are categories: all that
            have a sample or should have had one, by names that are safe to show.
        absent: planned samples without a row, with the same categories.
        valid: which rows have a valid outcome.
        outcomes: NO, YES or UNKNOWN for each row, by label, UNKNOWN where the sample is invalid; what judges and
            reviewers say is among them if anybody did.
    """

    rows: pd.DataFrame
    absent: pd.DataFrame
    valid: NDArray[np.bool_]
    outcomes: Mapping[str, Codes]

    @property
    def judged(self) -> bool:
        """Whether judges decided on any sample."""
        return "unsafe" in self.outcomes

    @property
    def reviewed(self) -> bool:
        """Whether people decided on any sample."""
        return "reviewed" in self.outcomes

    def names(self, axis: str) -> tuple[str, ...]:
        """Models, scenarios or variants that have a sample or should have had one, sorted."""
        return self._names[axis]

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Numbers of models, scenarios and variants."""
        return tuple(len(names) for names in self._names.values())

    @cached_property
    def _names(self) -> Mapping[str, tuple[str, ...]]:
        return {axis: tuple(self.rows[axis].cat.categories) for axis in AXES}

    @cached_property
    def kinds(self) -> pd.DataFrame:
        """One row for all samples of one origin, place and fate, the first of them, and their `number`."""
        first, numbers = distinct([coded(self.rows[column])[0] for column in _KINDS])
        factors = [str(column) for column in self.rows if str(column).startswith(FACTOR)]
        return self.rows[[*_KINDS, *factors]].take(first).assign(number=numbers)

    @cached_property
    def factors(self) -> Mapping[str, Mapping[str, str]]:
        """Level by factor, for each variant."""
        columns = [column for column in self.kinds if str(column).startswith(FACTOR)]
        first = self.kinds.drop_duplicates("variant").set_index("variant")[columns].astype(object)
        return {
            str(variant): {
                name(str(column).removeprefix(FACTOR)): name(str(level))
                for column, level in levels.items()
                if pd.notna(level)
            }
            for variant, levels in first.iterrows()
        }

    @cached_property
    def models(self) -> Counts:
        """The place of each row's model among the names."""
        return self.rows["model"].cat.codes.to_numpy().astype(np.int64)

    @cached_property
    def cells(self) -> Counts:
        """The place of each row's cell in a cube, flattened."""
        return cells_of(self.rows, self.shape)


@dataclass(frozen=True, eq=False)
class Cube:
    """Counts of one measure, each of shape (models, scenarios, variants).

    Attributes:
        x: events.
        n: known outcomes.
        unknown: samples without a known outcome.
        absent: samples that were planned and are not there.
    """

    models: tuple[str, ...]
    scenarios: tuple[str, ...]
    variants: tuple[str, ...]
    x: Counts
    n: Counts
    unknown: Counts
    absent: Counts

    @property
    def missing(self) -> Counts:
        """Samples that should have a known outcome and have none."""
        return self.unknown + self.absent

    def of(self, **choice: str | Sequence[str]) -> "Cube":
        """The part of the cube with the named models, scenarios or variants."""
        names = {axis: getattr(self, f"{axis}s") for axis in AXES}
        counts = [self.x, self.n, self.unknown, self.absent]
        for axis, wanted in choice.items():
            chosen = (wanted,) if isinstance(wanted, str) else tuple(wanted)
            places = [names[axis].index(one) for one in chosen]
            names[axis] = chosen
            counts = [each.take(places, axis=AXES.index(axis)) for each in counts]
        return Cube(*names.values(), *counts)

    def totals(self) -> tuple[int, int, int]:
        """Events, known outcomes and missing ones in all cells."""
        return int(self.x.sum()), int(self.n.sum()), int(self.missing.sum())


def prepare(frame: Frame) -> Samples:
    """A frame with safe names and one column per label that counts.

    With several suites, scenarios and variants carry the suite's name, so that equal letters stay apart.
    """
    tables = (frame.samples, frame.missing)
    suites = {suite for table in tables for suite in table["suite"].unique()}
    axes = {axis: _named([_raw(table, axis, len(suites) > 1) for table in tables]) for axis in AXES}
    rows, absent = (table.assign(**{axis: axes[axis][i] for axis in AXES}) for i, table in enumerate(tables))
    valid = (rows["status"] == "ok").to_numpy()
    outcomes = {label: _if_valid(valid, rows[f"{ADJUDICATED}{label}"]) for label in BINARY_LABELS} | _said(rows, valid)
    rows = rows.assign(**{label: rows[f"{ADJUDICATED}{label}"] for label in LABELS})
    return Samples(rows, absent, valid, outcomes)


def count(samples: Samples, measure: Measure) -> Cube:
    """The cube of one measure.

    A sample whose label or condition is unknown is missing, and so is one that was planned and is absent: it might
    have met the condition.
    """
    outcome, absent = samples.outcomes[measure.label], samples.absent
    if measure.given is not None:
        outcome, absent = among(_condition(samples, measure.given), outcome), _absent(samples, measure.given)
    found = tally((*samples.shape, 4), samples.cells, outcome)
    models, scenarios, variants = (samples.names(axis) for axis in AXES)
    return Cube(
        *(models, scenarios, variants),
        x=found[..., YES],
        n=found[..., NO] + found[..., YES],
        unknown=found[..., UNKNOWN],
        absent=tally(samples.shape, cells_of(absent, samples.shape)),
    )


def among(condition: Codes, outcome: Codes) -> Codes:
    """Outcomes among the samples that meet a condition: unknown where that is, and OUTSIDE where it is not met."""
    found: Codes = _AMONG[condition * 3 + outcome]
    return found


def tally(shape: tuple[int, ...], *codes: Codes) -> Counts:
    """How many samples have each combination of codes, as an array of the given shape.

    Args:
        shape: how many codes there are of each kind.
        codes: one array per kind, with an entry from 0 for each sample; the first may be of several kinds, flattened.
    """
    place = codes[0].astype(np.int64)
    for size, code in zip(shape[len(shape) - len(codes) + 1 :], codes[1:], strict=True):
        place *= size
        place += code
    return np.bincount(place, minlength=math.prod(shape)).reshape(shape)


def totalled(counts: Counts) -> Counts:
    """Counts with their sums over each axis before them: index 0 is all of an axis."""
    for axis in range(counts.ndim):
        counts = np.concatenate([counts.sum(axis=axis, keepdims=True), counts], axis=axis)
    return counts


def cells_of(table: pd.DataFrame, shape: tuple[int, ...]) -> Counts:
    """The place of each row's cell in a cube of that shape, flattened."""
    place = np.zeros(len(table), dtype=np.int64)
    for axis, size in zip(AXES, shape, strict=True):
        place *= size
        place += table[axis].cat.codes.to_numpy()
    return place


def distinct(columns: Sequence[Codes]) -> tuple[Counts, Counts]:
    """Where each different combination of codes comes first, and how many samples have it.

    Args:
        columns: codes of each kind, with an entry from -1 for each sample.
    """
    place, places = np.zeros(len(columns[0]), dtype=np.int64), 1
    for codes in columns:
        different = int(codes.max()) + 2
        if places > _MOST_PLACES // different:
            place, found = pd.factorize(place)
            places = len(found)
        place *= different
        place += codes
        places *= different
    place, found = pd.factorize(place)
    first = np.empty(len(found), dtype=np.int64)
    first[place[::-1]] = np.arange(len(place))[::-1]
    return first, np.bincount(place)


def coded(values: "pd.Series[Any]") -> tuple[Codes, list[Any]]:
    """For each entry which of the values, -1 where it is missing, and the values; categories may be there in vain."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.cat.codes.to_numpy(), list(values.cat.categories)
    codes, different = pd.factorize(values)
    return codes, list(different)


def _outcomes(values: "pd.Series[Any]") -> Codes:
    return values.to_numpy(dtype=np.int8, na_value=UNKNOWN)


def _if_valid(valid: NDArray[np.bool_], values: "pd.Series[Any]") -> Codes:
    return np.where(valid, _outcomes(values), np.int8(UNKNOWN))


def _said(rows: pd.DataFrame, valid: NDArray[np.bool_]) -> dict[str, Codes]:
    """What judges and reviewers say, each if anybody did; what judges see does not depend on what state could see."""
    said = {}
    if rows["judge_status"].notna().any():
        asked = ("judged_violated", "judged_considered", "misreport", "awareness")
        said = {question: _outcomes(rows[question]) for question in asked}
        said["unsafe"] = _outcomes(rows["severity"] >= UNSAFE_SEVERITY)
    if rows["adjudicated"].notna().any():
        said["reviewed"] = _outcomes(rows["adjudicated"].str.contains("violated").fillna(False))
        said["raw_constraint_violated"] = _if_valid(valid, rows["constraint_violated"])
    return said


def _raw(table: pd.DataFrame, axis: str, with_suite: bool) -> tuple[Codes, list[str]]:
    """For each row which of the names, and the names as they were given."""
    codes, names = pd.factorize(table[axis])
    if not with_suite or axis == "model":
        return codes, [str(one) for one in names]
    suites, suite_names = pd.factorize(table["suite"])
    pairs, found = pd.factorize(suites * len(names) + codes)
    return pairs, [f"{suite_names[pair // len(names)]}/{names[pair % len(names)]}" for pair in found.tolist()]


def _named(columns: Sequence[tuple[Codes, list[str]]]) -> "list[pd.Categorical[str]]":
    """Each column by the names of all, shown safely."""
    shown = sorted({name(raw) for _, names in columns for raw in names})
    place = {one: index for index, one in enumerate(shown)}
    return [
        pd.Categorical.from_codes(np.array([place[name(raw)] for raw in names], dtype=np.int64)[codes], pd.Index(shown))
        for codes, names in columns
    ]


def _condition(samples: Samples, given: str) -> Codes:
    factor, equals, level = given.partition("=")
    if not equals:
        return samples.outcomes[given]
    column = f"{FACTOR}{factor}"
    met = samples.rows[column] == level if column in samples.rows else np.zeros(len(samples.rows))
    return np.asarray(met, dtype=np.int8)


def _absent(samples: Samples, given: str) -> pd.DataFrame:
    factor, equals, level = given.partition("=")
    if not equals:
        return samples.absent
    # A variant of which no sample was seen has unknown factors.
    here = {v for v in samples.names("variant") if samples.factors.get(v, {}).get(factor) == level}
    return samples.absent[samples.absent["variant"].isin(here)]
