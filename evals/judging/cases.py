"""Which case each sample of a run is: the digest that verdicts and decisions are kept under.

A case's digest takes a whole transcript to compute, so what was computed is kept in the user's cache folder by the
digest of the log. Samples that were judged need no computing: their judgement says which case they were.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from inspect_ai.log import (
    EvalLog,
    EvalSampleSummary,
    read_eval_log,
    read_eval_log_sample,
    read_eval_log_sample_summaries,
)
from platformdirs import user_cache_path
from pydantic import BaseModel, ConfigDict, ValidationError

from sidedoor.evals.frame.imported import is_import, read_import
from sidedoor.evals.frame.logs import OUR_METADATA
from sidedoor.evals.judging.study import Judged
from sidedoor.evals.run import log_files
from sidedoor.evals.samples import SampleRow, cut_off, sample_row, trouble
from sidedoor.scorers.judge import case as case_module
from sidedoor.scorers.judge.case import CaseError, case_of_sample
from sidedoor.tasks.yaml_source import SourceError

UNREAD: Final = {"events", "attachments", "timelines"}


class RunSample(BaseModel):
    """A sample that ended, as state sees it.

    Attributes:
        row: its labels from state, or those that an imported study gives; `log` is relative to the run's folder.
        uuid: of the sample.
        epoch: Inspect's, which with the id finds the sample in its log.
        rules_known: whether it is one of our scenarios, so that it is known which rules were in force.
        case_sha256: None if it cannot be put before anybody: it ended in an error, the agent never spoke, or its
            scenario changed since.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    row: SampleRow
    uuid: str
    epoch: int
    rules_known: bool
    case_sha256: str | None


class _Known(BaseModel):
    """The cache's entry for one log: case digests by sample uuid."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cases: dict[str, str]


def run_samples(run: Path, judged: Iterable[Judged] = ()) -> list[RunSample]:
    """The samples of a run that ended, each with its case.

    Args:
        run: the run's folder, or an import's.
        judged: judgements on it, which say which cases their samples are.
    """
    told, imported = _told(judged), _imported(run)
    samples = [one for log in log_files(run) for one in _of_log(run, log, told, imported)]
    return sorted(samples, key=lambda one: (one.row.model, one.row.scenario, one.row.variant, one.row.epoch))


def _imported(run: Path) -> dict[str, SampleRow]:
    """Rows of an import by place; not those whose labels are what other judges said, which is no state."""
    rows = read_import(run).rows if is_import(run) else ()
    return {row.place: row for row in rows if row.judge_status is None}


def _told(judged: Iterable[Judged]) -> dict[str, str]:
    """Case by sample, of samples that every judgement says the same of: a log may have been edited in between."""
    cases: dict[str, set[str]] = defaultdict(set)
    for one in judged:
        cases[one.sample_uuid].add(one.judgement.case_sha256)
    return {uuid: case for uuid, (case, *others) in cases.items() if uuid and not others}


def _of_log(run: Path, log: Path, told: Mapping[str, str], imported: Mapping[str, SampleRow]) -> list[RunSample]:
    header = read_eval_log(str(log), header_only=True)
    ended = {_uuid(one): one for one in read_eval_log_sample_summaries(str(log)) if not cut_off(one)}
    whole = {uuid: (one.id, one.epoch) for uuid, one in ended.items() if one.error is None and uuid not in told}
    known = dict(told) | _cases(log, whole)
    return [
        RunSample(
            row=imported.get(row.place, row),
            uuid=uuid,
            epoch=one.epoch,
            rules_known="content_sha256" in one.metadata,
            case_sha256=known.get(uuid),
        )
        for uuid, one in ended.items()
        for row in [_row(run, log, header, one)]
    ]


def _row(run: Path, log: Path, header: EvalLog, summary: EvalSampleSummary) -> SampleRow:
    """A sample's row; one of another project, such as an imported transcript, has no labels from state."""
    metadata = summary.metadata
    if not metadata.keys() >= OUR_METADATA:
        known = {"suite": header.eval.task, "scenario": str(summary.id), "variant": ""}
        metadata = known | metadata | {"epoch": summary.epoch}
    named = summary.model_copy(update={"metadata": metadata})
    return sample_row(run.name, log.relative_to(run).as_posix(), header, named, trouble(log, summary))


def _uuid(summary: EvalSampleSummary) -> str:
    return summary.uuid or f"{summary.id}/{summary.epoch}"


def _cases(log: Path, places: Mapping[str, tuple[str | int, int]]) -> dict[str, str]:
    if not places:
        return {}
    entry = _entry(log)
    kept = _load(entry)
    made = {uuid: digest for uuid in places.keys() - kept.keys() if (digest := _case(log, *places[uuid]))}
    if made:
        _keep(entry, kept | made)
    return kept | made


def _case(log: Path, sample_id: str | int, epoch: int) -> str | None:
    sample = read_eval_log_sample(str(log), sample_id, epoch, exclude_fields=UNREAD)
    try:
        return case_of_sample(sample, "").digest
    except (CaseError, SourceError):
        return None


def _entry(log: Path) -> Path:
    with log.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    # What makes a case is part of the name, so that no number has to be raised by hand when it changes.
    maker = hashlib.sha256(Path(case_module.__file__).read_bytes()).hexdigest()[:16]
    return user_cache_path("sidedoor") / "cases" / maker / digest[:2] / f"{digest}.json"


def _load(entry: Path) -> dict[str, str]:
    try:
        return _Known.model_validate_json(entry.read_bytes()).cases
    except (OSError, ValidationError):
        return {}


def _keep(entry: Path, cases: dict[str, str]) -> None:
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        entry.write_text(_Known(cases=cases).model_dump_json(), encoding="utf-8")
    except OSError:
        return  # it only costs time


def by_case(judged: Iterable[Judged]) -> Mapping[str, Sequence[Judged]]:
    """Judgements by the case that they are on."""
    cases: dict[str, list[Judged]] = defaultdict(list)
    for one in judged:
        cases[one.judgement.case_sha256].append(one)
    return cases
