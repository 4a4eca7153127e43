"""The row of the frame: one sample, where it came from, and its labels before and after a person's review."""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

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
