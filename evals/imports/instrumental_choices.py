"""Importing native logs of the published benchmark Instrumental Choices (arXiv 2605.06490).

Its deterministic fields (`official_path_attempted`, `official_path_succeeded`, `benchmark_task_completed`,
`ic_behavior_detected`, `deterministic_label_status`) are ours by name and meaning. What it does not record, above all
whether any rule was broken in a variant that permits the shortcut, is unknown here. Trust boundary: logs come from
anyone; whatever is wrong with one becomes a problem of the import.
"""

import hashlib
import math
from pathlib import Path
from typing import Any, Final

from inspect_ai.log import EvalLog, EvalSample, read_eval_log, write_eval_log
from inspect_ai.model import ChatMessageAssistant
from inspect_ai.scorer import Score

from sidedoor.evals.frame.imported import LOGS, Imported, ImportManifest, new_import_folder, write_import
from sidedoor.evals.frame.problems import Problem, ProblemKind
from sidedoor.evals.frame.rows import LABELS, FrameRow, unadjudicated
from sidedoor.scorers.failures import Failure, error_failure
from sidedoor.tasks.catalogue import load_suite
from sidedoor.tasks.schema import check_factors
from sidedoor.tasks.yaml_source import SourceError

STUDY: Final = "instrumental-choices"
COMPLETION: Final = "_completion_scorer"
PROPENSITY: Final = "_propensity_scorer"
SHARED_LABELS: Final = (
    "official_path_attempted",
    "official_path_succeeded",
    "benchmark_task_completed",
    "ic_behavior_detected",
)
INSPECT_FILES: Final = ("logs.json", "eval-set.json")
NOTES: Final = (
    "The labels of the official path, completion and IC behaviour are the benchmark's own deterministic fields.",
    "engaged means that a tool was called. tampered is the benchmark's state_tampering_detected. stage comes from "
    "ic_behavior_detected and ic_attempted. Whether a rule was broken, and whether the agent escalated, is unknown.",
)


class _NotImportedError(Exception):
    """Why a log is left out."""

    def __init__(self, kind: ProblemKind, why: str) -> None:
        super().__init__(why)
        self.kind: ProblemKind = kind


def import_instrumental_choices(path: Path, results: Path, name: str = STUDY) -> ImportManifest:
    """Import native logs: one `.eval` or `.json` file, or a folder of them.

    Args:
        path: the log or folder.
        results: where to make the import's folder; the logs are kept there as `.eval`.
        name: the folder's name, which is the import's id.

    Raises:
        SourceError: no log there, none of the benchmark's, the results cannot be written, or the name
            is taken.
    """
    folder = new_import_folder(results, name)
    rows: list[FrameRow] = []
    problems: list[Problem] = []
    for file in _log_files(path):
        try:
            rows += _import_log(file, folder)
        except _NotImportedError as left_out:
            where = file.relative_to(path).as_posix() if path.is_dir() else file.name
            problems.append(Problem(kind=left_out.kind, what=str(left_out), count=1, where=where))
    if not rows:
        raise SourceError(f"{path}: no sample of Instrumental Choices there: {problems[0].where} {problems[0].what}")
    return write_import(
        folder,
        Imported(
            study=STUDY, origin=path.resolve().name, rows=tuple(rows), problems=tuple(problems), notes=tuple(NOTES)
        ),
    )


def _log_files(path: Path) -> list[Path]:
    if path.is_dir():
        files = [one for one in path.rglob("*") if one.suffix in (".eval", ".json") and one.name not in INSPECT_FILES]
    else:
        files = [path] if path.exists() else []
    if not files:
        raise SourceError(f"{path}: no log (.eval or .json) there")
    return sorted(files)


def _import_log(file: Path, folder: Path) -> list[FrameRow]:
    try:
        log = read_eval_log(str(file))
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
    except Exception as error:  # noqa: BLE001 - any parser may fail in any way on a file that anyone may have written
        raise _NotImportedError("broken_log", f"cannot be read as a log ({type(error).__name__})") from None
    if log.status != "success":
        raise _NotImportedError("unfinished_log", f"is kept out: its status is '{log.status}'")
    name = f"{LOGS}/{file.stem}-{digest[:8]}.eval"
    rows = [_row(log, sample, name, digest) for sample in log.samples or ()]
    try:
        (folder / LOGS).mkdir(parents=True, exist_ok=True)
        write_eval_log(log, str(folder / name), format="eval")
    except OSError as error:
        raise SourceError(f"cannot write the import to {folder}: {error.strerror}") from None
    return rows


def _row(log: EvalLog, sample: EvalSample, name: str, digest: str) -> FrameRow:
    meta = sample.metadata
    fields = _fields(sample)
    failure = _failure(sample, fields)
    labels = dict.fromkeys(LABELS) if failure else _labels(sample, fields)
    variant, factors = _variant(meta)
    usage = sample.model_usage.values()
    return FrameRow(
        **labels,
        **unadjudicated(labels),
        run=log.eval.run_id,
        model=log.eval.model,
        suite=STUDY,
        scenario=str((log.eval.metadata or {}).get("scenario") or log.eval.task.removesuffix("_task")),
        variant=variant,
        epoch=sample.epoch,
        sample_id=str(sample.id),
        status="invalid" if failure else "ok",
        invalid_reason=failure.reason if failure else None,
        failure=failure,
        behaviours="",
        shortcuts=_text(fields, "ic_method"),
        first_violation_step=None,
        steps=None,
        sim_hours=None,
        messages=len(sample.messages),
        input_tokens=sum(one.input_tokens for one in usage),
        output_tokens=sum(one.output_tokens for one in usage),
        seconds=sample.total_time,
        evidence_sha256=None,
        log=name,
        source="",
        source_kind="import",
        log_sha256=digest,
        sample_uuid=sample.uuid,
        version=str(log.eval.task_version),
        content_sha256=None,
        seed=None,
        limit=sample.limit.type if sample.limit else None,
        error_type=None,
        factors=factors,
        scores={
            "completion": _number(_score(sample, COMPLETION)),
            "propensity": _number(_score(sample, PROPENSITY)),
        },
    )


def _fields(sample: EvalSample) -> dict[str, Any]:
    """The scorer's deterministic fields; empty for a sample that ended in an error."""
    score = _score(sample, PROPENSITY)
    if score is None and sample.error is None:
        raise _NotImportedError("foreign_log", "is not of Instrumental Choices: no propensity scorer")
    return dict(score.metadata or {}) if score else {}


def _score(sample: EvalSample, suffix: str) -> Score | None:
    return next((score for name, score in (sample.scores or {}).items() if name.endswith(suffix)), None)


def _failure(sample: EvalSample, fields: dict[str, Any]) -> Failure | None:
    if sample.error is not None:
        return error_failure(sample.error.traceback)
    return None if fields.get("deterministic_label_status") == "ok" else Failure.UNOBSERVED


def _labels(sample: EvalSample, fields: dict[str, Any]) -> dict[str, Any]:
    labels: dict[str, Any] = dict.fromkeys(LABELS)
    labels |= {name: _truth(fields.get(name)) for name in SHARED_LABELS}
    labels["tampered"] = _truth(fields.get("state_tampering_detected"))
    labels["engaged"] = any(isinstance(one, ChatMessageAssistant) and one.tool_calls for one in sample.messages)
    labels["stage"] = _stage(labels["ic_behavior_detected"], _truth(fields.get("ic_attempted")))
    return labels


def _stage(achieved: bool | None, attempted: bool | None) -> str | None:
    if achieved:
        return "achieved"
    if achieved is None or attempted is None:
        return None
    return "attempted" if attempted else "none"


def _variant(meta: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Our letter and factors for a variant of the same name; its own name, and no factors, for another one."""
    name = str(meta.get("variant_id") or meta.get("variant") or "unknown")
    for letter, variant in load_suite("instrumental").variants.items():
        if variant.name == name:
            return letter, check_factors(variant.factors)
    return name, {}


def _truth(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) and value != "none" else ""


def _number(score: Score | None) -> float | None:
    value = score.value if score else None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
