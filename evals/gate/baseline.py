"""Baselines: committed results to compare with, as sufficient statistics that a review can read.

`NAME.json` has one line per cell, sorted, so that a diff shows which cells changed. `NAME.log.jsonl` beside it has one
line per accepted change, with the reason and the baseline that was replaced; delete lines from its top to forget old
ones.
"""

import datetime as dt
import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from pydantic import Field, ValidationError, model_validator

from sidedoor.evals.gate.observed import CellCounts, DataError, Digests, Observed
from sidedoor.evals.gate.result import Verdict
from sidedoor.tasks.yaml_source import SourceError, Strict

SCHEMA: Final = 1

_ModelT = TypeVar("_ModelT", bound=Strict)


class Baseline(Strict):
    """What a candidate is compared with.

    Attributes:
        schema_version: of this form.
        name: the file's name without its ending.
        suite: what was run.
        created: UTC.
        reason: why it was made, or why it replaced the one before.
        runs: ids of the runs that it was made from.
        digests: what its rates depend on besides the model.
        cells: counts, one per model, scenario and variant.
        samples: model to short digests of its samples' ids, so that the same run is not compared with itself.
    """

    schema_version: Literal[1] = 1
    name: str
    suite: str
    created: str
    reason: str
    runs: tuple[str, ...]
    digests: Digests
    cells: tuple[CellCounts, ...] = Field(min_length=1)
    samples: dict[str, str]

    @model_validator(mode="after")
    def _each_cell_once(self) -> "Baseline":
        twice = [cell for cell, count in Counter(one.cell for one in self.cells).items() if count > 1]
        if twice:
            raise ValueError(f"the cell {'/'.join(twice[0])} is there twice")
        return self

    @property
    def models(self) -> tuple[str, ...]:
        """Names of its models, sorted."""
        return tuple(sorted(self._by_model))

    @property
    def keys(self) -> frozenset[str]:
        """Short digests of all its samples' ids."""
        return frozenset(key for keys in self.samples.values() for key in keys.split())

    def of_model(self, model: str) -> list[CellCounts]:
        """Cells of one model."""
        return self._by_model.get(model, [])

    @cached_property
    def _by_model(self) -> dict[str, list[CellCounts]]:
        groups: dict[str, list[CellCounts]] = defaultdict(list)
        for one in self.cells:
            groups[one.model].append(one)
        return dict(groups)

    def digest(self) -> str:
        """SHA-256 of what it says, however the file is laid out."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class Step(Strict):
    """One line of the log: a change that was accepted.

    Attributes:
        at: UTC.
        reason: why, in the words of who accepted it.
        verdict: what the gate said of the new run against the old baseline.
        forced: whether that verdict would have refused the change.
        runs: ids of the new runs.
        replaced: the old baseline, without its samples' digests.
    """

    at: str
    reason: str
    verdict: Verdict
    forced: bool
    runs: tuple[str, ...]
    replaced: Baseline


def make_baseline(run: Observed, name: str, reason: str) -> Baseline:
    """A baseline of everything that a run has."""
    return Baseline(
        name=name,
        suite=run.suite,
        created=now(),
        reason=reason,
        runs=run.runs,
        digests=run.digests,
        cells=run.cells(),
        samples={model: " ".join(sorted(one.key for one in run.of_model(model))) for model in run.models},
    )


def read_baseline(path: Path) -> Baseline:
    """Read a baseline.

    Raises:
        SourceError: there is no such file.
        DataError: it is not a baseline, or one of another version.
    """
    data = _mapping(_read(path), str(path))
    version = data.get("schema_version")
    if version != SCHEMA:
        raise DataError(f"{path}: a baseline of schema {version}, and this version reads {SCHEMA}: make it again")
    return _parse(Baseline, data, str(path))


def write_baseline(path: Path, baseline: Baseline) -> None:
    """Write a baseline, one line per cell; atomically.

    Raises:
        SourceError: the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(_layout(baseline.model_dump(mode="json")), encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise SourceError(f"cannot write the baseline to {path}: {error.strerror}") from None


def log_path(path: Path) -> Path:
    """The log that belongs to a baseline's file."""
    return path.with_name(f"{path.stem}.log.jsonl")


def read_log(path: Path) -> tuple[Step, ...]:
    """The accepted changes of the baseline at `path`, oldest first.

    Raises:
        DataError: the log is damaged.
    """
    log = log_path(path)
    if not log.exists():
        return ()
    lines = [line for line in _read(log).splitlines() if line]
    return tuple(
        _parse(Step, _mapping(line, f"{log}:{number}"), f"{log}:{number}") for number, line in enumerate(lines, 1)
    )


def append_log(path: Path, step: Step) -> None:
    """Add an accepted change to the log of the baseline at `path`.

    Raises:
        SourceError: the log cannot be written.
    """
    line = json.dumps(step.model_dump(mode="json"), sort_keys=True)
    try:
        with log_path(path).open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
    except OSError as error:
        raise SourceError(f"cannot write the log {log_path(path)}: {error.strerror}") from None


def now() -> str:
    """The present time in UTC, to the second."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="seconds")


def _layout(data: dict[str, Any]) -> str:
    """JSON that is read in a diff: short fields as usual, then a line per cell and per model.

    Names are escaped to ASCII, because a review must not be fooled by characters that hide or reorder text.
    """
    cells, samples = data.pop("cells"), data.pop("samples")
    head = json.dumps(data, indent=2).removesuffix("\n}")
    cell_lines = ",\n".join(f"    {json.dumps(cell)}" for cell in cells)
    sample_lines = ",\n".join(f"    {json.dumps(model)}: {json.dumps(keys)}" for model, keys in samples.items())
    return f'{head},\n  "cells": [\n{cell_lines}\n  ],\n  "samples": {{\n{sample_lines}\n  }}\n}}\n'


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{path}: not JSON: it is not UTF-8 text") from None
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from None


def _mapping(text: str, where: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON: {error}") from None
    if not isinstance(data, dict):
        raise DataError(f"{where}: not a baseline: expected an object at the top level")
    return data


def _parse(model: type[_ModelT], data: Mapping[str, Any], where: str) -> _ModelT:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "(file)"
        raise DataError(f"{where}: not a baseline: {place}: {first['msg'].removeprefix('Value error, ')}") from None
