"""One row per sample: what a log says about each episode, errors included."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from inspect_ai.log import (
    EvalLog,
    EvalSampleSummary,
    read_eval_log,
    read_eval_log_sample,
    read_eval_log_sample_summaries,
)
from pydantic import BaseModel, ConfigDict

from sidedoor.scorers.labels import InvalidReason, Truth

SCORER = "state"
MODEL_FRAMES = ("inspect_ai/model/",)
"""A traceback that passes through these frames ended in a model's API."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


class SampleRow(BaseModel):
    """One sample of a run. Binary labels are None where they could not be known; `seconds` is wall time.

    `status` is `ok` or `invalid`, the latter with `invalid_reason`; `behaviours` and `shortcuts` are comma-separated;
    `first_violation_step` and `steps` count calls to the world; `log` is relative to the run's folder.
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
    input_tokens: int
    output_tokens: int
    seconds: float | None
    evidence_sha256: str | None
    log: str


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
    """Rows of all samples in the given logs, by model, scenario, variant and epoch.

    Args:
        run: the run's id.
        folder: what `log` is relative to.
        logs: `.eval` files.
    """
    rows: list[SampleRow] = []
    for path in logs:
        header = read_eval_log(str(path), header_only=True)
        log = path.relative_to(folder).as_posix()
        rows += [_row(run, log, path, header, summary) for summary in read_eval_log_sample_summaries(str(path))]
    return sorted(rows, key=lambda row: (row.model, row.scenario, row.variant, row.epoch))


def write_csv(path: Path, rows: Sequence[SampleRow]) -> None:
    """Write rows as CSV; text that a spreadsheet would take for a formula is prefixed with an apostrophe.

    Raises:
        OSError: the file cannot be written.
    """
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(SampleRow.model_fields)
        for row in rows:
            writer.writerow([_cell(value) for value in row.model_dump(mode="json").values()])


def label_values(summary: EvalSampleSummary) -> dict[str, Any]:
    """The state scorer's values of a sample; empty if it has none or ended in an error."""
    score = (summary.scores or {}).get(SCORER)
    if summary.error is not None or score is None or not isinstance(score.value, dict):
        return {}
    return dict(score.value)


def _row(run: str, log: str, path: Path, header: EvalLog, summary: EvalSampleSummary) -> SampleRow:
    meta = summary.metadata
    values = label_values(summary)
    status, reason = _status(path, summary, values)
    usage = summary.model_usage.values()
    return SampleRow(
        run=run,
        model=header.eval.model,
        suite=meta["suite"],
        scenario=meta["scenario"],
        variant=meta["variant"],
        epoch=meta["epoch"],
        sample_id=str(summary.id),
        status=status,
        invalid_reason=reason,
        behaviours=values.get("behaviours") or "",
        shortcuts=values.get("shortcuts") or "",
        messages=summary.message_count,
        input_tokens=sum(u.input_tokens for u in usage),
        output_tokens=sum(u.output_tokens for u in usage),
        seconds=summary.total_time,
        log=log,
        **{name: values.get(name) for name in _FROM_SCORE},
    )


def _status(
    path: Path, summary: EvalSampleSummary, values: dict[str, Any]
) -> tuple[Literal["ok", "invalid"], InvalidReason | None]:
    if summary.error is not None:
        return "invalid", _error_reason(path, summary)
    if not values:
        return "invalid", "infra"
    return values["deterministic_label_status"], values["invalid_reason"]


def _error_reason(path: Path, summary: EvalSampleSummary) -> InvalidReason:
    error = read_eval_log_sample(str(path), id=summary.id, epoch=summary.epoch).error
    return "api" if error and any(frame in error.traceback for frame in MODEL_FRAMES) else "infra"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(FORMULA_STARTS) else text
