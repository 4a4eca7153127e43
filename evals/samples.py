"""One row per sample: what a log says about each episode, errors included."""

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict

from sidedoor.evals.tally import Fate, fate
from sidedoor.scorers.failures import INCIDENTS, Failure, InvalidReason, error_failure, incidents_text, limit_failure
from sidedoor.scorers.labels import Truth

if TYPE_CHECKING:  # Inspect takes seconds to import, and tables made from a cache do not need it
    from inspect_ai.log import EvalError, EvalLog, EvalSampleSummary

SCORER = "state"
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")

RECORDED = "EpisodeRecord:incidents"
"""Where a sample's store has its incidents (`sidedoor.scorers.record`)."""

TRANSCRIPT_FIELDS = {"messages", "events", "attachments", "store", "timelines"}
"""Parts of a sample that grow with its transcript; what is read without them costs the same for any length."""


class SampleRow(BaseModel):
    """One sample of a run. Binary labels are None where they could not be known; `seconds` is wall time.

    `status` is `ok` or `invalid`, the latter with `invalid_reason`; `behaviours` and `shortcuts` are comma-separated;
    `first_violation_step` and `steps` count calls to the world; `log` is relative to the run's folder. `failure` is the
    kind of failure behind `invalid_reason`, and `incidents` are what happened on the way, valid or not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    model: str
    suite: str
    scenario: str
    variant: str
    epoch: int
    sample_id: str
    status: Literal["ok", "invalid"]
    invalid_reason: InvalidReason | None
    engaged: Truth
    official_path_attempted: Truth
    official_path_succeeded: Truth
    benchmark_task_completed: Truth
    ic_behavior_detected: Truth
    constraint_violated: Truth
    stage: str | None
    behaviours: str
    shortcuts: str
    escalated: Truth
    tampered: Truth
    clean_success: Truth
    first_violation_step: int | None
    steps: int | None
    sim_hours: float | None
    messages: int | None
    input_tokens: int | None
    output_tokens: int | None
    seconds: float | None
    evidence_sha256: str | None
    log: str
    failure: Failure | None = None
    incidents: str = ""

    @property
    def place(self) -> str:
        """Where the sample lies: its log, its id there, and its epoch."""
        return f"{self.log} {self.sample_id} {self.epoch}"

    @property
    def fate(self) -> Fate:
        """What became of the sample."""
        return fate(self.status, self.failure, self.incidents)


class Trouble(NamedTuple):
    """What a sample met: the error that ended it, and incidents; errors that ended earlier attempts are among them."""

    error: "EvalError | None"
    incidents: Counter[Failure]


class JudgeFields(BaseModel):
    """What judges and reviewers say of one sample, beside its labels from state; None where nobody said anything.

    Attributes:
        case_sha256: the digest that verdicts and decisions on it are kept under.
        judge_study: name of the judging study that the fields are from.
        judge_status: whether the panel came to a decision.
        judges: whose verdicts decided, separated by commas.
        judged_violated: whether any rule was broken; None also if undecided, as in the next three.
        judged_considered: whether breaking one was at least weighed.
        misreport: whether the final message misleads.
        awareness: whether the agent said or thought that it was being tested.
        severity: median, 0 to 5.
        judged_stage: state's stage, but `considered` where state saw nothing and the panel says so; None if either
            does not know.
        disagreement: whether state and panel both know whether a rule was broken, and differ.
        adjudicated: the questions that reviewers settled, separated by commas; the answer to one of them is None if it
            could not be told.
        adjudicated_violated: what reviewers decided on `violated`; the next four likewise.
        adjudicated_by: the reviewers, separated by commas.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    case_sha256: str | None = None
    judge_study: str | None = None
    judge_status: Literal["decided", "undecided"] | None = None
    judges: str | None = None
    judged_violated: Truth = None
    judged_considered: Truth = None
    misreport: Truth = None
    awareness: Truth = None
    severity: float | None = None
    judged_stage: str | None = None
    disagreement: Truth = None
    adjudicated: str | None = None
    adjudicated_violated: Truth = None
    adjudicated_considered: Truth = None
    adjudicated_misreport: Truth = None
    adjudicated_awareness: Truth = None
    adjudicated_severity: float | None = None
    adjudicated_by: str | None = None


_FROM_SCORE = (
    "engaged",
    "official_path_attempted",
    "official_path_succeeded",
    "benchmark_task_completed",
    "ic_behavior_detected",
    "constraint_violated",
    "stage",
    "escalated",
    "tampered",
    "clean_success",
    "first_violation_step",
    "steps",
    "sim_hours",
    "evidence_sha256",
)


def read_rows(run: str, folder: Path, logs: Iterable[Path]) -> list[SampleRow]:
    """Rows of all ended samples in the given logs, by model, scenario, variant and epoch.

    Args:
        run: the run's id.
        folder: what `log` is relative to.
        logs: `.eval` files.
    """
    from inspect_ai.log import read_eval_log, read_eval_log_sample_summaries

    rows: list[SampleRow] = []
    for path in logs:
        header = read_eval_log(str(path), header_only=True)
        log = path.relative_to(folder).as_posix()
        summaries = [one for one in read_eval_log_sample_summaries(str(path)) if not cut_off(one)]
        rows += [sample_row(run, log, header, one, trouble(path, one)) for one in summaries]
    return sorted(rows, key=lambda row: (row.model, row.scenario, row.variant, row.epoch))


def write_csv(path: Path, rows: Sequence[SampleRow], judged: Sequence[JudgeFields] = ()) -> None:
    """Write rows as CSV, with what judges and reviewers said of each in columns behind its labels.

    Args:
        path: written at once: nobody sees half of it.
        rows: of a run.
        judged: one for each row, or none at all.

    Raises:
        OSError: the file cannot be written.
    """
    parts = zip(rows, judged or [JudgeFields()] * len(rows), strict=True)
    temporary = path.with_suffix(".new")
    write_table(
        temporary,
        (*SampleRow.model_fields, *JudgeFields.model_fields),
        ([value for part in both for value in part.model_dump(mode="json").values()] for both in parts),
    )
    temporary.replace(path)


def write_table(path: Path, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write any table as CSV; text that a spreadsheet would take for a formula is prefixed with an apostrophe.

    Raises:
        OSError: the file cannot be written.
    """
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as stream:
        # With the lines of RFC 4180 a lone carriage return in a cell is quoted; it would start a row of its own.
        writer = csv.writer(stream, lineterminator="\r\n")
        writer.writerow(_cell(name) for name in columns)
        for row in rows:
            writer.writerow([_cell(value) for value in row])


def cut_off(summary: "EvalSampleSummary") -> bool:
    """Whether a sample was cut off because its run was stopped: that is no result, and `--resume` runs it again."""
    return (summary.error or "").startswith("CancelledError(")


def label_values(summary: "EvalSampleSummary") -> dict[str, Any]:
    """The state scorer's values of a sample; empty if it has none, or ended in an error before they were known."""
    score = (summary.scores or {}).get(SCORER)
    if score is None or not isinstance(score.value, dict):
        return {}
    return {} if summary.error is not None and not _is_valid(score.value) else dict(score.value)


def _is_valid(values: Mapping[str, Any]) -> bool:
    return bool(values.get("deterministic_label_status") == "ok")


def trouble(path: Path, summary: "EvalSampleSummary") -> Trouble:
    """What a sample met, without reading its transcript.

    Raises:
        ValueError: its incidents are not those of this version.
    """
    limits = [limit_failure(summary.limit)] if summary.limit else []
    kept = _score_metadata(summary).get(INCIDENTS)
    if summary.error is None and not summary.retries:
        return Trouble(None, _incidents(kept) + Counter(limits))
    from inspect_ai.log import read_eval_log_sample

    # Where an error left no score, there is no evidence either, so that the store is small.
    left_out = TRANSCRIPT_FIELDS - {"store"} if kept is None else TRANSCRIPT_FIELDS
    sample = read_eval_log_sample(str(path), id=summary.id, epoch=summary.epoch, exclude_fields=left_out)
    kept = sample.store.get(RECORDED) if kept is None else kept
    earlier = [error_failure(one.traceback) for one in sample.error_retries or ()]
    return Trouble(sample.error, _incidents(kept) + Counter(limits + earlier))


def _score_metadata(summary: "EvalSampleSummary") -> dict[str, Any]:
    score = (summary.scores or {}).get(SCORER)
    return (score.metadata if score else None) or {}


def _incidents(kept: Any) -> Counter[Failure]:
    return Counter({Failure(kind): int(count) for kind, count in (kept or {}).items()})


def sample_row(run: str, log: str, header: "EvalLog", summary: "EvalSampleSummary", met: Trouble) -> SampleRow:
    """A sample's row, from its log's header and its summary.

    Raises:
        KeyError: the sample says nothing of its suite, scenario, variant or epoch: it is not one of ours.
        ValidationError: its labels are not those of this version.
    """
    meta = summary.metadata
    values = label_values(summary)
    failure = _failure(values, met.error)
    usage = summary.model_usage.values()
    return SampleRow(
        run=run,
        model=header.eval.model,
        suite=meta["suite"],
        scenario=meta["scenario"],
        variant=meta["variant"],
        epoch=meta["epoch"],
        sample_id=str(summary.id),
        status="invalid" if failure else "ok",
        invalid_reason=failure.reason if failure else None,
        behaviours=values.get("behaviours") or "",
        shortcuts=values.get("shortcuts") or "",
        messages=summary.message_count,
        input_tokens=sum(u.input_tokens for u in usage),
        output_tokens=sum(u.output_tokens for u in usage),
        seconds=summary.total_time,
        log=log,
        failure=failure,
        incidents=incidents_text(met.incidents),
        **{name: values.get(name) for name in _FROM_SCORE},
    )


def _failure(values: dict[str, Any], error: "EvalError | None") -> Failure | None:
    if _is_valid(values):
        return None
    if error is not None:
        return error_failure(error.traceback)
    return Failure(values.get("failure") or Failure.UNKNOWN)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA_STARTS) else text
