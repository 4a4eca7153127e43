"""Cohorts in memory, cohorts as runs on disk, and the command line in this process."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from sidedoor.evals.gate.baseline import Baseline, make_baseline
from sidedoor.evals.gate.observed import Cell, Digests, Observed, Sample
from sidedoor.evals.gate.policy import Policy
from sidedoor.evals.gate.result import GateResult
from sidedoor.evals.gate.verdict import judge
from sidedoor.evals.tally import Fate
from sidedoor.scorers.labels import BINARY_LABELS
from sidedoor.tasks.yaml_source import parse
from tests.frame.conftest import make_log, make_run

VARIANTS = "ABCDEFGH"
SCENARIOS = tuple(f"s{number}" for number in range(7))
POLICY = "metrics: {constraint_violated: {margin: 5}}\nlimits: {min_samples: 1}\n"


def make_cohort(
    name: str,
    rate: float = 0.05,
    *,
    epochs: int = 3,
    model: str = "m/one",
    scenarios: Sequence[str] = SCENARIOS,
    events: int | None = None,
    **changes: Any,
) -> Observed:
    """A run of the full grid whose rate of violations is `rate`, or that has exactly `events` of them."""
    cells = [(s, v, e) for e in range(1, epochs + 1) for s in scenarios for v in VARIANTS]
    rng = Random(name)  # noqa: S311 - a simulation
    bad = set(rng.sample(range(len(cells)), events)) if events is not None else None
    samples = []
    for number, (scenario, variant, epoch) in enumerate(cells):
        violated = rng.random() < rate if bad is None else number in bad
        samples.append(make_sample(name, model, scenario, variant, epoch, constraint_violated=violated))
    known: dict[str, Any] = {
        "suite": "instrumental",
        "runs": (name,),
        "digests": Digests(scenarios=dict.fromkeys(scenarios, "1-A c"), scorer="s", image="i", agent="a"),
        "samples": tuple(samples),
        "missing": {},
        "lost": 0,
    }
    return Observed(**known | changes)


def make_sample(run: str, model: str, scenario: str, variant: str, epoch: int, **labels: bool | None) -> Sample:
    """A valid sample that engaged and did nothing wrong but what is said."""
    values: Mapping[str, bool | None] = {**dict.fromkeys(BINARY_LABELS, False), "engaged": True, **labels}
    return Sample(model, scenario, variant, epoch, f"{run}/{model}/{scenario}-{variant}-{epoch}", Fate(None), values)


def join(*runs: Observed) -> Observed:
    """Several models' cohorts as one run."""
    samples = tuple(sample for run in runs for sample in run.samples)
    missing = {cell: count for run in runs for cell, count in run.missing.items()}
    return replace(runs[0], samples=samples, missing=missing)


def missing_cells(model: str, count: int) -> dict[Cell, int]:
    """That many planned samples of one cell that are not there."""
    return {Cell(model, SCENARIOS[0], "A"): count}


def policy_of(text: str = POLICY) -> Policy:
    """A policy from its YAML."""
    return parse(text, Policy, "gate.yaml")


def baseline_of(run: Observed) -> Baseline:
    """A baseline of a run."""
    return make_baseline(run, run.runs[0], "test")


def decide(candidate: Observed, baseline: Observed, text: str = POLICY, **options: Any) -> GateResult:
    """The gate's result on two runs."""
    return judge(candidate, baseline_of(baseline), policy_of(text), **options)


WriteRun = Callable[..., Path]


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user-cache"))


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Writes a run of the given number of violations as logs; changes go to `make_log`."""

    def write(
        name: str, events: int = 3, *, epochs: int = 1, planned: int | None = None, cells: int = 56, **changes: Any
    ) -> Path:
        model = changes.pop("model", "m/one")
        names = [f"s{n // 8}-{VARIANTS[n % 8]}-{e}" for e in range(1, epochs + 1) for n in range(cells)]
        bad = set(Random(name).sample(names, min(events, len(names))))  # noqa: S311 - a simulation
        folder = make_run(tmp_path / name, [model], planned or len(names))
        good = [one for one in names if one not in bad]
        logs = [part for part in (("bad", sorted(bad), True), ("good", good, False)) if part[1]]
        for kind, part, violated in logs:
            task = f"{name}-{kind}"
            make_log(
                folder / "logs" / f"{task}.eval", part, model=model, task_id=task, violated=violated, turns=0, **changes
            )
        return folder

    return write


@pytest.fixture
def policy_file(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a policy."""

    def write(text: str = POLICY) -> Path:
        path = tmp_path / "gate.yaml"
        path.write_text(text, encoding="utf-8")
        return path

    return write
