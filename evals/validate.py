"""Validation: every reference script in every cell must get exactly the labels written beside it.

Through sandboxes it goes the whole way of a real run (provider, agent loop, capture, scorer), with a model that
follows the script named in each sample; in process it checks the scenarios alone.
"""

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from functools import partial
from itertools import chain, groupby
from typing import Any, NamedTuple

import anyio
from inspect_ai import eval as inspect_eval
from inspect_ai.hooks import SampleEnd
from rich.console import Console
from rich.table import Table
from typing_extensions import override

from sidedoor.evals.garbage import rare_collections
from sidedoor.evals.instrumental import build_task, cell_sample, select_points, select_scenarios
from sidedoor.evals.outcomes import outcome_word
from sidedoor.evals.progress import Follower, RunProgress
from sidedoor.evals.rehearsal import stage
from sidedoor.evals.samples import label_values
from sidedoor.evals.shares import Tell, told_by
from sidedoor.sandboxes.choice import provider_named
from sidedoor.sandboxes.evidence import Evidence
from sidedoor.sandboxes.machine import ProviderName
from sidedoor.scorers.state import score_evidence, to_score
from sidedoor.tasks.catalogue import Scenario

SCRIPTED_MODEL = "reference/scripted"
WORTH_A_PROCESS = 100
"""Cells, from which on it is faster to have another process do some of them."""


class Cell(NamedTuple):
    """One reference script in one cell."""

    scenario: Scenario
    variant: str
    factors: dict[str, str]
    script: str

    @property
    def name(self) -> str:
        return f"{self.scenario.id}-{self.variant}-{self.script}"


class Check(NamedTuple):
    """What a cell got: differences from the expected labels (empty if none), and the evidence's digest."""

    cell: Cell
    differences: tuple[str, ...]
    digest: str | None


def validate_suite(
    console: Console,
    suite: str,
    scenario: str | None,
    variant: str | None,
    seed: int,
    passes: int,
    in_process: bool,
    max_samples: int | None,
    sandboxes: Sequence[ProviderName] = ("docker",),
) -> bool:
    """Run the reference matrix, in each sandbox if there are several, print a table and every difference.

    Returns:
        Whether every script got its expected labels, with the same evidence digest on every pass.

    Raises:
        SourceError: an unknown name, or a malformed scenario.
        ProviderUnavailableError, ImageError: a sandbox does not work here.
    """
    cells = list(_cells(suite, scenario, variant))
    results: list[list[Check]] = []
    places: list[ProviderName | None] = [None] * passes if in_process else [*sandboxes] * passes
    for number, place in enumerate(places, start=1):
        console.print(f"pass {number} of {len(places)}, {place or 'in process'}: {len(cells)} scripts", highlight=False)
        if place is None:
            # Threads suffice: most of a rehearsal is waiting for its shell.
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                groups = [list(group) for _, group in groupby(cells, key=lambda cell: (cell.scenario.id, cell.variant))]
                results.append([*chain.from_iterable(pool.map(lambda group: _rehearsed(group, seed), groups))])
        else:
            results.append(list(_in_machines(console, suite, cells, seed, max_samples, place)))
    wrong = [check for checks in results for check in checks if check.differences]
    unstable = [group[0].cell.name for group in zip(*results, strict=True) if len({c.digest for c in group}) > 1]
    console.print(_table(results[0], {check.cell.name for check in wrong} | set(unstable)))
    for check in wrong:
        console.print(f"{check.cell.name}: {'; '.join(check.differences)}", highlight=False, soft_wrap=True)
    for name in unstable:
        console.print(f"{name}: evidence differs between passes", highlight=False)
    total = len(cells) * len(places)
    console.print(f"{total - len(wrong)} of {total} as expected, {len(unstable)} unstable", highlight=False)
    return not wrong and not unstable


def _cells(suite: str, scenario: str | None, variant: str | None) -> Iterator[Cell]:
    for one in select_scenarios(suite, scenario):
        for name, factors in select_points(suite, variant, "suite"):
            for script, reference in one.references.items():
                if reference.applies_to(factors):
                    yield Cell(one, name, factors, script)


def _rehearsed(cells: Sequence[Cell], seed: int) -> list[Check]:
    with stage() as opened:
        return [
            _compared(cell, opened.rehearse(cell.scenario, cell.factors, seed, script).evidence)
            for cell in cells
            for script in [cell.scenario.script(cell.script, cell.factors, seed)]
        ]


def _compared(cell: Cell, evidence: Evidence) -> Check:
    value = to_score(score_evidence(evidence), evidence, "").value
    return Check(cell, differences(cell, dict(value) if isinstance(value, dict) else {}), evidence.digest())


def _in_machines(
    console: Console, suite: str, cells: list[Cell], seed: int, max_samples: int | None, sandbox: ProviderName
) -> Iterator[Check]:
    anyio.run(provider_named(sandbox).prepare, partial(console.print, highlight=False))
    processes = max(1, min(os.cpu_count() or 1, len(cells) // WORTH_A_PROCESS))
    work = partial(_evaluate, suite, seed, max_samples and max(1, max_samples // processes), sandbox)
    progress, ends, why = RunProgress(console, len(cells), 0), {}, "its process ended"

    def hear(told: Any) -> None:
        nonlocal why
        if isinstance(told, str):
            why = told
            return
        name, outcome, wrong, digest = told
        ends[name] = tuple(wrong), digest
        progress.count(outcome)

    if processes == 1:
        with progress:
            work(cells, hear)
    else:
        told_by_all = told_by(work, [cells[first::processes] for first in range(processes)])  # before it has a thread
        with progress, closing(told_by_all):
            for told in told_by_all:
                hear(told)
    for cell in cells:
        yield Check(cell, *ends.get(cell.name, ((f"did not run: {why}",), None)))


def _evaluate(
    suite: str, seed: int, max_samples: int | None, sandbox: ProviderName, cells: list[Cell], tell: Tell
) -> None:
    samples = []
    for cell in cells:
        sample = cell_sample(cell.scenario, cell.variant, cell.factors, 1, seed, sandbox)
        sample.id = cell.name
        sample.metadata = (sample.metadata or {}) | {"script": cell.script}
        samples.append(sample)
    scenarios = list({id(cell.scenario): cell.scenario for cell in cells}.values())
    task = build_task(suite, scenarios, samples, sandbox)
    with _untraced(), tempfile.TemporaryDirectory() as folder, _Teller(cells, tell), rare_collections():
        (log,) = inspect_eval(
            task,
            model=SCRIPTED_MODEL,
            log_dir=folder,
            display="none",
            log_level="error",
            log_realtime=False,
            log_samples=False,  # the log goes at once, and writing transcripts takes a tenth of the time
            score_display=False,  # nobody sees it, and it copies every score so far about once a second
            max_samples=max_samples,
            ctl_server=False,  # nobody steers it
        )
    if log.status != "success":
        tell(log.error.message if log.error else "cancelled")


@contextmanager
def _untraced() -> Iterator[None]:
    """Without Inspect's trace of every call, which nobody reads."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)


class _Teller(Follower):
    """Tells of each sample that ends: its cell's name, its outcome, what differs, and its evidence's digest."""

    def __init__(self, cells: Sequence[Cell], tell: Tell) -> None:
        self._cells = {cell.name: cell for cell in cells}
        self._tell = tell

    @override
    def finished(self, end: SampleEnd) -> None:
        summary = end.sample.summary()
        cell, values = self._cells[str(end.sample.id)], label_values(summary)
        if summary.error is not None:
            self._tell((cell.name, outcome_word(values), (f"error: {summary.error}",), None))
        else:
            self._tell((cell.name, outcome_word(values), differences(cell, values), values.get("evidence_sha256")))


def differences(cell: Cell, values: dict[str, object]) -> tuple[str, ...]:
    """How a cell's labels differ from the expected ones, in words.

    Args:
        cell: the cell.
        values: label to value, as the state scorer keeps them.
    """
    expected = cell.scenario.references[cell.script].expected(cell.factors).model_dump()
    expected["shortcuts"] = ",".join(expected["shortcuts"])
    expected["deterministic_label_status"] = "ok"
    wrong = [f"{k}: expected {v}, got {values.get(k)}" for k, v in expected.items() if values.get(k) != v]
    return tuple([*wrong, str(values["detail"])] if wrong and values.get("detail") else wrong)


def _table(checks: list[Check], wrong: set[str]) -> Table:
    variants = sorted({check.cell.variant for check in checks})
    table = Table("scenario", "script", *variants, box=None, pad_edge=False)
    rows: dict[tuple[str, str], dict[str, str]] = {}
    for check in checks:
        mark = "[red]WRONG[/]" if check.cell.name in wrong else "ok"
        rows.setdefault((check.cell.scenario.id, check.cell.script), {})[check.cell.variant] = mark
    for (scenario, script), marks in rows.items():
        table.add_row(scenario, script, *(marks.get(variant, "-") for variant in variants))
    return table
