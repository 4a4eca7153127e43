"""What judges and reviewers say of a run's samples, joined to their rows; raw labels are never changed.

Working it out takes the verdicts of every judge and Inspect; so it is kept in the user's cache folder under the digest
of all that it follows from: the logs, the study's files, the decisions, and the code.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from platformdirs import user_cache_path
from pydantic import BaseModel, ConfigDict, ValidationError

from sidedoor.evals.frame.problems import Problem
from sidedoor.evals.frame.rows import FrameRow
from sidedoor.evals.samples import JudgeFields
from sidedoor.scorers.labels import all_of, negate

JUDGING: Final = "judging"
STUDY: Final = "study.json"
VERDICTS: Final = "verdicts.jsonl"
ADJUDICATION: Final = "adjudication.jsonl"
PANEL: Final = "panel"
"""The study that counts where a run has several."""


class _Kept(BaseModel):
    """The cache's entry for one run or import: the fields of its samples, as `sample_fields` gives them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fields: dict[str, JudgeFields]


def with_judges(folder: Path, rows: Sequence[FrameRow], digests: Iterable[str]) -> tuple[list[FrameRow], list[Problem]]:
    """The rows of a run or an import with what its judges and reviewers say, and what was kept out.

    Where a study of this project counts, the columns of judges are its own: what an imported study's judges said
    stays in that study's scores and in the labels that follow from them.

    Args:
        folder: the run's or the import's.
        rows: of its samples.
        digests: of the files that they come from.
    """
    study, problems = counted_study(folder)
    if study is None and not (folder / ADJUDICATION).exists():
        return list(rows), problems
    entry = _entry(folder, study, digests)
    fields = _load(entry)
    if fields is None:
        fields, broken = _made(folder, study)
        problems += broken
        if not broken:
            _keep(entry, fields)
    before = JudgeFields().model_dump() if study else {}
    return [_joined(row, before, fields) for row in rows], problems


def counted_study(folder: Path) -> tuple[str | None, list[Problem]]:
    """The study of a run whose decisions count, by name; None if there is none, or none of several is the usual one."""
    names = sorted(path.parent.name for path in (folder / JUDGING).glob(f"*/{STUDY}"))
    if PANEL in names or len(names) == 1:
        return (PANEL if PANEL in names else names[0]), []
    if not names:
        return None, []
    what = f"judged in {len(names)} studies ({', '.join(names)}), of which none is called {PANEL}: none is shown"
    return None, [Problem(kind="several_studies", what=what, count=1, where=str(folder))]


def _made(folder: Path, study: str | None) -> tuple[dict[str, JudgeFields], list[Problem]]:
    from sidedoor.evals.judging.fields import sample_fields
    from sidedoor.evals.judging.study import StudyError
    from sidedoor.scorers.adjudication import AdjudicationError

    try:
        return sample_fields(folder, study), []
    except (StudyError, AdjudicationError) as error:
        return {}, [Problem(kind="broken_judging", what=str(error), count=1, where=str(folder))]


def _joined(row: FrameRow, before: Mapping[str, Any], fields: Mapping[str, JudgeFields]) -> FrameRow:
    said = fields.get(row.place if row.source_kind == "import" else row.sample_uuid or "", JudgeFields())
    return row.model_copy(update={**before, **said.model_dump(exclude_none=True), **_after_review(row, said)})


def _after_review(row: FrameRow, fields: JudgeFields) -> dict[str, Any]:
    """The `adj_` labels that a review settled."""
    settled = (fields.adjudicated or "").split(",")
    changed: dict[str, Any] = {}
    if "violated" in settled:
        violated = fields.adjudicated_violated
        completed = row.adj_benchmark_task_completed
        changed = {"adj_constraint_violated": violated, "adj_clean_success": all_of(completed, negate(violated))}
    if fields.adjudicated_considered and row.adj_stage == "none":
        changed["adj_stage"] = "considered"
    return changed


def _entry(folder: Path, study: str | None, digests: Iterable[str]) -> Path:
    key = hashlib.sha256(_code().encode())
    paths = [folder / JUDGING / study / name for name in (STUDY, VERDICTS)] if study else []
    for path in (*paths, folder / ADJUDICATION):
        key.update(hashlib.sha256(path.read_bytes() if path.exists() else b"").digest())
    key.update(f"{study} {sorted(digests)}".encode())
    name = key.hexdigest()
    return user_cache_path("sidedoor") / JUDGING / name[:2] / f"{name}.json"


@cache
def _code() -> str:
    """What makes the fields, by its source text: no number has to be raised by hand when it changes."""
    evals, scorers = Path(__file__).parents[1], Path(__file__).parents[2] / "scorers"
    makers = [
        Path(__file__),
        scorers / "adjudication.py",
        *sorted((scorers / "judge").glob("*.py")),
        *sorted((evals / JUDGING).glob("*.py")),
    ]
    return hashlib.sha256(b"".join(path.read_bytes() for path in makers)).hexdigest()


def _load(entry: Path) -> dict[str, JudgeFields] | None:
    try:
        return _Kept.model_validate_json(entry.read_bytes()).fields
    except (OSError, ValidationError):
        return None


def _keep(entry: Path, fields: dict[str, JudgeFields]) -> None:
    temporary = entry.with_suffix(f".{os.getpid()}")
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(_Kept(fields=fields).model_dump_json(), encoding="utf-8")
        temporary.replace(entry)
    except OSError:
        return  # it only costs time
