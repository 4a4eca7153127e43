"""Reading one `.eval` log: its header and summaries, never its transcripts.

Trust boundary: a log may come from anyone. Whatever is wrong with it becomes a sentence in a `LogContent`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from sidedoor.evals.frame.rows import FrameRow, unadjudicated
from sidedoor.evals.samples import Trouble, cut_off, sample_row, trouble
from sidedoor.scorers.failures import error_name

if TYPE_CHECKING:  # Inspect takes seconds to import, and a log that is in the cache does not need it
    from inspect_ai.log import EvalLog, EvalSampleSummary

OUR_METADATA: Final = frozenset(("suite", "scenario", "variant", "epoch"))


class LogContent(BaseModel):
    """What a log says, without where it lies: the same for every copy of the file.

    `why` says in a sentence what is wrong with a log whose `state` is not `finished`; `samples` is how many samples
    it holds; `planned` are the ids of those that it was to hold. Rows have no `source` and no `log` yet.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: Literal["finished", "unfinished", "foreign", "broken"]
    why: str = ""
    samples: int = 0
    task_id: str = ""
    run: str = ""
    suite: str = ""
    model: str = ""
    created: str = ""
    planned: tuple[str, ...] = ()
    rows: tuple[FrameRow, ...] = ()


def read_log(path: Path, digest: str) -> LogContent:
    """The content of the log at `path`, whose bytes have the SHA-256 `digest`."""
    try:
        return _read(path, digest)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return _broken(f"it does not have the form that this version reads ({where}: {first['msg']})")
    except KeyError as error:
        return _broken(f"it does not have the form that this version reads (no {error})")
    except Exception as error:  # noqa: BLE001 - any parser may fail in any way on a file that anyone may have written
        return _broken(f"it cannot be read as a log ({type(error).__name__}); it may be truncated or not a log at all")


def _read(path: Path, digest: str) -> LogContent:
    from inspect_ai.log import read_eval_log, read_eval_log_sample_summaries

    header = read_eval_log(str(path), header_only=True)
    summaries = [one for one in read_eval_log_sample_summaries(str(path)) if not cut_off(one)]
    known: dict[str, Any] = {
        "samples": len(summaries),
        "task_id": header.eval.task_id,
        "run": header.eval.run_id,
        "suite": header.eval.task.rpartition("/")[2],
        "model": header.eval.model,
        "created": header.eval.created,
        "planned": tuple(str(one) for one in header.eval.dataset.sample_ids or ()),
    }
    if any(not summary.metadata.keys() >= OUR_METADATA for summary in summaries):
        why = "its samples are of another project; see sidedoor import"
        return LogContent(state="foreign", why=why, samples=len(summaries))
    if not _is_finished(header, summaries):
        return LogContent(state="unfinished", why=f"its status is '{header.status}'", **known)
    rows = tuple(_row(header, summary, digest, trouble(path, summary)) for summary in summaries)
    return LogContent(state="finished", rows=rows, **known)


def _is_finished(header: "EvalLog", summaries: "Sequence[EvalSampleSummary]") -> bool:
    """Whether every planned sample has ended; if some of them in errors, the status is `error` all the same."""
    planned = {str(one) for one in header.eval.dataset.sample_ids or ()}
    ended = {str(summary.id) for summary in summaries}
    return header.status == "success" or (header.status == "error" and ended >= planned > set())


def _row(header: "EvalLog", summary: "EvalSampleSummary", digest: str, met: Trouble) -> FrameRow:
    meta = summary.metadata
    row = sample_row(header.eval.run_id, "", header, summary, met).model_dump()
    return FrameRow(
        **row,
        **unadjudicated(row),
        source="",
        source_kind="log",
        log_sha256=digest,
        sample_uuid=summary.uuid,
        version=meta.get("version") or "",
        content_sha256=meta.get("content_sha256"),
        seed=meta.get("seed"),
        limit=summary.limit,
        error_type=error_name(met.error.traceback) if met.error else None,
        factors=meta.get("factors") or {},
    )


def _broken(why: str) -> LogContent:
    return LogContent(state="broken", why=why)
