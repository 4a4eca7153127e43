"""Running a suite over models: one folder per run, resumable, with a manifest that says how its numbers came about."""

import datetime as dt
import hashlib
import json
import platform
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from inspect_ai import Task, eval_set
from inspect_ai._eval.loader import solver_from_spec
from inspect_ai.log import list_eval_logs, read_eval_log, read_eval_log_sample_summaries
from inspect_ai.model import GenerateConfig, Model, ModelCost, get_model, get_model_info, set_model_cost
from inspect_ai.solver import Solver, SolverSpec
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from rich.console import Console

from sidedoor.evals.attended import attended
from sidedoor.evals.errors import one_line
from sidedoor.evals.frame.cache import remember
from sidedoor.evals.garbage import rare_collections
from sidedoor.evals.instrumental import suite_task
from sidedoor.evals.interrupted import LEDGER, under_way
from sidedoor.evals.interrupts import grouped_interrupts_bare
from sidedoor.evals.outcomes import outcome_tables
from sidedoor.evals.progress import RunProgress
from sidedoor.evals.reference import reference_args
from sidedoor.evals.samples import SampleRow, read_rows, write_csv
from sidedoor.evals.tally import ModelTally, tally_model
from sidedoor.sandboxes.choice import provider_named
from sidedoor.sandboxes.ledger import ledger_kept
from sidedoor.sandboxes.machine import ProviderName
from sidedoor.scorers.failures import Failure
from sidedoor.tasks.yaml_source import SourceError

MANIFEST: Final = "run.json"
SAMPLES: Final = "samples.csv"
LOGS: Final = "logs"
PACKAGES = ("sidedoor", "inspect-ai", "docker", "openai", "anthropic", "pydantic")
SCORER = ("scorers/failures.py", "scorers/findings.py", "scorers/labels.py", "scorers/replay.py", "scorers/state.py")
AGENT = ("evals/agents.py", "evals/attended.py")
SECRET = re.compile(r"key|token|secret|password", re.IGNORECASE)
API_ATTEMPTS = 6
API_TIMEOUT_S = 600


class RunRequest(BaseModel):
    """What was asked for; enough to continue the run."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    suite: str
    models: tuple[str, ...] = Field(min_length=1)
    model_args: dict[str, Any] = Field(default_factory=dict)
    scenario: str | None = None
    variant: str | None = None
    design: str = "suite"
    epochs: int = Field(default=1, ge=1)
    seed: int = 0
    limit: int | None = Field(default=None, ge=1)
    max_samples: int | None = Field(default=None, ge=1)
    sandbox: ProviderName = "docker"
    solver: str | None = None
    solver_args: dict[str, Any] = Field(default_factory=dict)
    message_limit: int | None = None
    token_limit: int | None = None
    time_limit: int | None = None
    cost_limit: float | None = None
    model_costs: dict[str, ModelCost] = Field(default_factory=dict)
    generate: dict[str, Any] = Field(default_factory=dict)


class RunExit(BaseModel):
    """How a run ended: exit code and the reason in a line."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: int
    reason: str


class RunManifest(BaseModel):
    """`run.json`: how the numbers of a run came about.

    `samples_planned` counts samples over all models; `scenarios` maps id to version and content hash; times are UTC;
    `counts` say what became of each model's samples when the run last ended.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    id: str
    request: RunRequest
    command: tuple[str, ...]
    versions: dict[str, str]
    git_revision: str | None
    git_dirty: bool | None
    scenarios: dict[str, dict[str, str]]
    image: str
    seeds: tuple[int, ...]
    samples_planned: int
    started: str
    ended: str | None = None
    exit: RunExit | None = None
    counts: tuple[ModelTally, ...] = ()

    def cells(self) -> int:
        """Samples of one epoch of one model.

        Raises:
            RunError: the run was cut with --limit.
        """
        if self.request.limit is not None:
            raise RunError(f"{self.id}: a run with --limit has no whole epochs; start it without")
        return self.samples_planned // (self.request.epochs * len(self.request.models))


class RunError(RuntimeError):
    """A run could not start or continue; the message is one line that says what to do."""


class Run(BaseModel):
    """A finished or interrupted run, read back from its folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: Path
    manifest: RunManifest
    rows: tuple[SampleRow, ...]


def start_run(request: RunRequest, results: Path, command: list[str], console: Console) -> Run:
    """Run a request in a new folder under `results`.

    Raises:
        RunError: the folder cannot be written, a model or solver cannot be made, or there is no such setting.
        SourceError: an unknown suite, scenario, variant, factor or level.
    """
    started = dt.datetime.now(dt.UTC)
    task = _task(request)
    _check(request)
    folder = _new_folder(results.resolve(), f"{started:%Y%m%d-%H%M%S}-{request.suite}")
    manifest = RunManifest(
        id=folder.name,
        request=request,
        command=tuple(command),
        versions={name: version(name) for name in PACKAGES}
        | {"python": platform.python_version(), "scorer": _sources(SCORER), "agent": _sources(AGENT)},
        git_revision=_git("rev-parse", "HEAD"),
        git_dirty=None if (status := _git("status", "--porcelain")) is None else bool(status),
        scenarios=task.metadata["scenarios"] if task.metadata else {},
        image=provider_named(request.sandbox).image,
        seeds=_seeds(request.seed, request.epochs),
        samples_planned=_planned(request, len(task.dataset)),
        started=started.isoformat(timespec="seconds"),
    )
    _write_manifest(folder, manifest)
    return _execute(folder, manifest, console)


def _seeds(offset: int, epochs: int) -> tuple[int, ...]:
    return tuple(offset + epoch for epoch in range(1, epochs + 1))


def _new_folder(results: Path, name: str) -> Path:
    """Make a run's folder; runs that start in the same second get numbers."""
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        folder = results / f"{name}{suffix}"
        try:
            (folder / LOGS).mkdir(parents=True)
        except FileExistsError:
            if folder.is_dir():
                continue
            raise RunError(f"cannot write results to {results}: a file is in the way") from None
        except OSError as error:
            raise RunError(
                f"cannot write results to {folder}: {error.strerror}; choose another with --results"
            ) from None
        return folder
    raise RunError(f"cannot write results to {results}: too many runs were started in this second")


def resume_run(folder: Path, console: Console) -> Run:
    """Continue an interrupted run; finished samples are kept.

    Raises:
        RunError: there is no run there, or its scenarios have changed since.
    """
    folder = folder.resolve()
    manifest = read_manifest(folder)
    present = (_task(manifest.request).metadata or {})["scenarios"]
    changed = sorted(name for name, known in manifest.scenarios.items() if present.get(name) != known)
    if changed:
        raise RunError(
            f"{', '.join(changed)} changed since the run began; its samples would not be comparable: start a new run"
        )
    return _execute(folder, manifest, console)


def extend_run(folder: Path, epochs: int, console: Console) -> Run:
    """Have a run finish so many epochs; finished samples are kept, and a run that has them all is only read.

    Raises:
        RunError: there is no run there, it was cut with --limit, or its scenarios have changed since.
    """
    manifest = read_manifest(folder)
    request = manifest.request
    if request.epochs >= epochs:
        complete = manifest.exit is not None and manifest.exit.code == 0
        return read_run(folder) if complete else resume_run(folder, console)
    longer = {
        "request": request.model_copy(update={"epochs": epochs}),
        "seeds": _seeds(request.seed, epochs),
        "samples_planned": manifest.cells() * epochs * len(request.models),
        "ended": None,
        "exit": None,
    }
    _write_manifest(folder, manifest.model_copy(update=longer))
    return resume_run(folder, console)


def read_manifest(folder: Path) -> RunManifest:
    """The manifest of a run's folder.

    Raises:
        RunError: missing or malformed.
    """
    path = folder / MANIFEST
    try:
        return RunManifest.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}; give the folder of a run (results/runs/<id>)") from None
    except ValueError as error:
        raise RunError(f"{path}: not a run's manifest: {str(error).splitlines()[0]}") from None


def read_run(folder: Path) -> Run:
    """A run with one row per sample, from its logs.

    Raises:
        RunError: there is no run there.
    """
    folder = folder.resolve()
    manifest = read_manifest(folder)
    return Run(folder=folder, manifest=manifest, rows=tuple(read_rows(manifest.id, folder, log_files(folder))))


def _execute(folder: Path, manifest: RunManifest, console: Console) -> Run:
    try:
        return _run(folder, manifest, console)
    except OSError as error:  # a full disk, most of all
        raise RunError(
            f"{folder}: {error.strerror or error}; finished samples are kept, continue with --resume"
        ) from None


def _run(folder: Path, manifest: RunManifest, console: Console) -> Run:
    interrupted, errors = False, []
    try:
        progress = RunProgress(console, manifest.samples_planned, _finished(folder))
        with (
            _sigterm_as_interrupt(),
            progress,
            ledger_kept(folder / LEDGER),
            rare_collections(),
            grouped_interrupts_bare(),
        ):
            errors = _evaluate(folder, manifest)
    except KeyboardInterrupt:
        interrupted = True
    run = read_run(folder)
    counts = tuple(_tallies(run))
    ended = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
    manifest = manifest.model_copy(update={"ended": ended, "exit": _exit(run, interrupted, errors), "counts": counts})
    for path in log_files(folder):
        remember(path)  # for report and gate
    write_csv(folder / SAMPLES, run.rows)
    _write_manifest(folder, manifest)
    _keep_judged(folder, console)
    console.print(*outcome_tables(run.rows, manifest.samples_planned, counts), sep="\n")
    return run.model_copy(update={"manifest": manifest})


def _keep_judged(folder: Path, console: Console) -> None:
    """A run that is continued may have been judged or reviewed before."""
    from sidedoor.evals.judging.fields import keep_judged
    from sidedoor.evals.judging.study import StudyError
    from sidedoor.scorers.adjudication import AdjudicationError

    try:
        keep_judged(folder)
    except (StudyError, AdjudicationError) as error:
        console.print(f"{SAMPLES} is without judges: {error}", markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Have SIGTERM end a run as Ctrl-C does: containers removed, logs closed, the manifest written.

    SIGINT gets Python's own handler too, because background jobs of scripts inherit it as ignored.
    """
    handlers = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: lambda *_: signal.raise_signal(signal.SIGINT),
    }
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _evaluate(folder: Path, manifest: RunManifest) -> list[str]:
    """Run what is missing; returns what ended a log before its last sample, if anything did."""
    request = manifest.request
    _, logs = eval_set(
        tasks=_task(request),
        solver=_solver(request),
        log_dir=str(folder / LOGS),
        model=_models(request),
        limit=request.limit,
        max_samples=request.max_samples,
        max_tasks=len(request.models),
        retry_attempts=0,
        retry_immediate=False,
        # Every sample is run, and a log with errors is no finished one: --resume runs those samples again.
        fail_on_error=True,
        continue_on_fail=True,
        display="none",
        log_level="error",
        log_format="eval",
        score_display=False,  # nobody sees it, and it copies every score so far about once a second
        log_buffer=1,  # what has ended is on disk before the next ends, so that even SIGKILL loses no finished sample
        message_limit=request.message_limit,
        token_limit=request.token_limit,
        time_limit=request.time_limit,
        cost_limit=request.cost_limit,
        **({"max_retries": API_ATTEMPTS, "attempt_timeout": API_TIMEOUT_S} | request.generate),
    )
    return sorted({" ".join(log.error.message.split()) for log in logs if log.error})


def _task(request: RunRequest) -> Task:
    return suite_task(
        request.suite,
        request.scenario,
        request.variant,
        request.epochs,
        request.design,
        request.seed,
        sandbox=request.sandbox,
    )


def _check(request: RunRequest) -> None:
    """Find what cannot work before a folder is made."""
    secret = next((key for key in request.model_args if SECRET.search(key)), None)
    if secret:
        raise RunError(
            f"-M {secret}: would be written to run.json and the logs; set the provider's environment variable"
        )
    _models(request)
    try:
        GenerateConfig(**request.generate)
    except ValidationError as error:
        raise RunError(f"-G: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None
    _solver(request)


def _solver(request: RunRequest) -> Solver | None:
    if request.solver is None:
        return None
    try:
        return attended(solver_from_spec(SolverSpec(request.solver, request.solver_args, request.solver_args)))
    except Exception as error:  # noqa: BLE001 - a solver's own code runs here, with the arguments of -S
        raise RunError(f"solver '{request.solver}' cannot be used: {one_line(error)}") from None


def _models(request: RunRequest) -> list[Model]:
    models = []
    for name in request.models:
        try:
            models.append(get_model(name, **reference_args(name, request.model_args)))
        except SourceError:
            raise
        except Exception as error:  # noqa: BLE001 - providers raise what they like: a missing key, package, or name
            raise RunError(f"model '{name}' cannot be used: {one_line(error)}") from None
    _price(request)
    return models


def _price(request: RunRequest) -> None:
    for name, cost in request.model_costs.items():
        set_model_cost(name, cost)
    if request.cost_limit is None:
        return  # looking prices up loads providers, which takes seconds
    known = {name: get_model_info(name) for name in request.models}
    unpriced = [name for name, info in known.items() if info is None or info.cost is None]
    if unpriced:
        raise RunError(f"--cost-limit: no price is known of {', '.join(unpriced)}; give --model-cost-config FILE")


def _planned(request: RunRequest, samples: int) -> int:
    return min(samples, request.limit or samples) * len(request.models)


def log_files(folder: Path) -> list[Path]:
    """The logs that count: per task and model the newest, which holds what earlier attempts had finished."""
    newest: dict[tuple[str, str], Path] = {}
    for info in list_eval_logs(str(folder / LOGS), formats=["eval"], descending=False):
        path = Path(info.name.removeprefix("file://"))
        newest[_task_of(path)] = path
    return list(newest.values())


def _task_of(path: Path) -> tuple[str, str]:
    spec = read_eval_log(str(path), header_only=True).eval
    return spec.model, spec.task_id


def _finished(folder: Path) -> int:
    return sum(
        1
        for path in log_files(folder)
        for summary in read_eval_log_sample_summaries(str(path))
        if summary.error is None and summary.scores
    )


def _exit(run: Run, interrupted: bool, errors: list[str]) -> RunExit:
    missing = run.manifest.samples_planned - len(run.rows)
    invalid = [row for row in run.rows if row.status == "invalid"]
    if interrupted or missing:
        why = f" ({'; '.join(errors)})" if errors else ""
        return RunExit(
            code=1, reason=f"{missing} of {run.manifest.samples_planned} samples not run{why}; continue with --resume"
        )
    if invalid:
        kinds = sorted({row.fate.failure or Failure.UNKNOWN for row in invalid})
        return RunExit(
            code=1,
            reason=f"{len(invalid)} of {len(run.rows)} samples are invalid ({', '.join(kinds)}); "
            "--resume runs those again that ended in an error",
        )
    return RunExit(code=0, reason=f"all {len(run.rows)} samples are valid")


def _tallies(run: Run) -> Iterator[ModelTally]:
    """What became of each model's samples; every model was to run as many."""
    models, begun = run.manifest.request.models, under_way(run.folder)
    for model in models:
        rows = {row.sample_id: row for row in run.rows if row.model == model}
        killed = [kind for (one, sample), kind in begun.items() if one == model and sample not in rows]
        missing = run.manifest.samples_planned // len(models) - len(rows)
        yield tally_model(model, Counter(row.fate for row in rows.values()), missing, killed)


def _write_manifest(folder: Path, manifest: RunManifest) -> None:
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False)
    temporary = folder / f".{MANIFEST}"
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(folder / MANIFEST)


def _sources(names: Iterable[str]) -> str:
    """SHA-256 of some of our source files: what they do is what they say, whatever the release is called."""
    root = Path(__file__).parent.parent  # the checkout, or in a wheel the package `sidedoor`
    return hashlib.sha256(b"".join((root / name).read_bytes() for name in names)).hexdigest()


def _git(*arguments: str) -> str | None:
    root = Path(__file__).parent
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
