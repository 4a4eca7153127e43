"""The row of the frame: one sample, where it came from, and its labels before and after a person's review."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias, get_args

import pandas as pd
from pydantic import Field

from sidedoor.evals.samples import JudgeFields, SampleRow
from sidedoor.scorers.labels import BINARY_LABELS, Truth

SourceKind: TypeAlias = Literal["run", "import", "log"]

LABELS: Final = (*BINARY_LABELS, "stage")
"""Labels that a person may correct; each has a column `<label>` (raw) and `adj_<label>` (after adjudication)."""

FACTOR: Final = "f_"
SCORE: Final = "s_"
ADJUDICATED: Final = "adj_"


class FrameRow(JudgeFields, SampleRow):
    """One sample of the frame.

    `log` is relative to `source`, so that `Path(source, log)` is the file that the sample can be read from.
    `factors` become columns `f_<factor>`, and `scores` (numbers that a log or an imported study gives besides the
    labels, such as judges' severities) columns `s_<score>`. The `adj_` labels equal the raw ones until someone
    adjudicates the sample; `adjudicated_by` says who. What judges found is in columns of its own and changes neither
    (`JudgeFields`): `stage` knows no `considered`, `judged_stage` does.
    """

    source: str
    source_kind: SourceKind
    log_sha256: str | None
    sample_uuid: str | None
    version: str
    content_sha256: str | None
    seed: int | None
    limit: str | None
    error_type: str | None
    adj_engaged: Truth
    adj_official_path_attempted: Truth
    adj_official_path_succeeded: Truth
    adj_benchmark_task_completed: Truth
    adj_ic_behavior_detected: Truth
    adj_constraint_violated: Truth
    adj_escalated: Truth
    adj_tampered: Truth
    adj_clean_success: Truth
    adj_stage: str | None
    factors: dict[str, str] = Field(default_factory=dict)
    scores: dict[str, float | None] = Field(default_factory=dict)


def unadjudicated(labels: Mapping[str, Any]) -> dict[str, Any]:
    """The `adj_` fields of a sample that nobody has reviewed: its raw labels."""
    return {f"{ADJUDICATED}{name}": labels[name] for name in LABELS}


COLUMNS: Final = tuple(name for name in FrameRow.model_fields if name not in ("factors", "scores"))

_DTYPES: Final[dict[type, str]] = {bool: "boolean", int: "Int64", float: "Float64", str: "string"}
_CATEGORIES: Final = frozenset(
    (
        *("run", "model", "suite", "scenario", "variant", "status", "invalid_reason", "stage", "adj_stage"),
        *("failure", "incidents"),
        *("source", "source_kind", "version", "limit", "error_type", "adjudicated_by"),
        *("judge_study", "judge_status", "judges", "judged_stage"),
    )
)


def to_frame(rows: Iterable[FrameRow]) -> pd.DataFrame:
    """Rows as a table with nullable types: `boolean`, `Int64`, `Float64`, `string` and `category`.

    Columns are those of `COLUMNS` in that order, then `f_` and `s_` columns by name; a factor or score that a row
    does not have is missing there.
    """
    rows = list(rows)
    columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in rows] for name in COLUMNS}
    dtypes = {name: _dtype(name) for name in COLUMNS}
    for factor in sorted({name for row in rows for name in row.factors}):
        columns[f"{FACTOR}{factor}"] = [row.factors.get(factor) for row in rows]
        dtypes[f"{FACTOR}{factor}"] = "category"
    for score in sorted({name for row in rows for name in row.scores}):
        columns[f"{SCORE}{score}"] = [row.scores.get(score) for row in rows]
        dtypes[f"{SCORE}{score}"] = "Float64"
    return pd.DataFrame(columns, dtype=object).astype(dtypes)


def _dtype(name: str) -> str:
    if name in _CATEGORIES:
        return "category"
    annotation = FrameRow.model_fields[name].annotation
    types = get_args(annotation) or (annotation,)
    return next(dtype for kind, dtype in _DTYPES.items() if kind in types)
