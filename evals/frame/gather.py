"""Reading any set of runs, logs and imports: what each sample came to, and what is not there."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final, TypeAlias

from pydantic import BaseModel, ConfigDict, ValidationError

from sidedoor.evals.frame import cache
from sidedoor.evals.frame.imported import LOGS, SAMPLES, read_import
from sidedoor.evals.frame.judged import with_judges
from sidedoor.evals.frame.logs import LogContent, read_log
from sidedoor.evals.frame.plan import missing_of_logs, missing_of_run, samples_present
from sidedoor.evals.frame.problems import MissingSample, Problem
from sidedoor.evals.frame.rows import FrameRow
from sidedoor.evals.frame.sift import Log, sift_logs, sift_rows
from sidedoor.evals.frame.sources import RUN_MANIFEST, Source, find_sources
from sidedoor.evals.interrupted import under_way
from sidedoor.evals.tally import kinds_in_words
from sidedoor.tasks.yaml_source import SourceError

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the number of logs read so far and in all."""

PARALLEL_FROM: Final = 64
"""From this many logs on, other processes pay for their start."""

SHOWN: Final = 3


class RunPlan(BaseModel):
    """What a reading needs of a run's manifest."""

    model_config = ConfigDict(frozen=True)

    class Request(BaseModel):
        """What a reading needs of a run's request."""

        model_config = ConfigDict(frozen=True)

        models: tuple[str, ...]

    id: str
    request: Request
    samples_planned: int


class NoSampleError(SourceError):
    """There is not one sample to count; `missing` are those that should have been there."""

    def __init__(self, message: str, missing: Sequence[MissingSample]) -> None:
        super().__init__(message)
        self.missing = missing


@dataclass(frozen=True)
class Gathered:
    """Samples, planned samples that are missing, and what was kept out.

    A sample that ended in an error is not missing: it is a row with status `invalid`.
    """

    rows: Sequence[FrameRow]
    missing: Sequence[MissingSample]
    problems: Sequence[Problem]


def gather(paths: Iterable[Path], progress: Progress | None = None) -> Gathered:
    """One row per sample from run folders, folders of `.eval` logs, single logs, and imported results.

    Rows of a run have what its judges and reviewers said beside the labels.

    Each log is read once: what it says is kept in the user's cache folder under the digest of its bytes. Memory grows
    with the number of samples and not with the length of their transcripts.

    Args:
        paths: any mixture; a folder is searched for runs, imports and logs.
        progress: told how many logs have been read.

    Raises:
        SourceError: no path, or one that does not exist or holds no log.
        NoSampleError: not a single sample to be had.
    """
    sources = find_sources(paths)
    contents = _read_all([path for source in sources for path in source.logs], progress)
    logs = [Log(source, path, *contents[path]) for source in sources for path in source.logs]
    counted, problems = sift_logs(logs)
    # A source that was given twice counts once; its logs are named as duplicates by then.
    parts = [_part(source, logs, counted) for source in dict.fromkeys(sources)]
    rows, doubtful = sift_rows([row for part in parts for row in part.rows])
    problems += doubtful + [problem for part in parts for problem in part.problems]
    missing = [one for part in parts for one in part.missing]
    if not rows:
        raise NoSampleError(f"not one sample to count: {_in_words(problems) or 'the logs are empty'}", missing)
    return Gathered(sorted(rows, key=_order), missing, problems)


def _part(source: Source, logs: Sequence[Log], counted: Sequence[Log]) -> Gathered:
    contents = [log.content for log in logs if log.source == source]
    kept = [log for log in counted if log.source == source]
    try:
        if source.kind == "import":
            return _import_part(source)
        if source.kind == "run":
            return _run_part(source, contents, kept)
    except SourceError as error:
        return Gathered([], [], [Problem(kind="broken_log", what=str(error), count=1, where=str(source.folder))])
    missing = missing_of_logs(contents)
    return Gathered(_rows(kept, None), missing, _missing_problem(source, missing, len(missing)))


def _import_part(source: Source) -> Gathered:
    imported = read_import(source.folder)
    files = (source.folder / SAMPLES, *sorted((source.folder / LOGS).glob("*.eval")))
    rows, problems = with_judges(source.folder, imported.rows, map(cache.digest_of, files))
    missing = _missing_problem(source, imported.missing, len(imported.missing))
    return Gathered(rows, imported.missing, [*imported.problems, *problems, *missing])


def _run_part(source: Source, contents: Sequence[LogContent], kept: Sequence[Log]) -> Gathered:
    plan = _plan(source.folder)
    short = max(plan.samples_planned - samples_present(contents), 0)
    killed = under_way(source.folder) if short else {}
    missing = missing_of_run(plan.id, plan.request.models, contents, killed)[:short]
    rows, problems = with_judges(source.folder, _rows(kept, plan.id), [log.digest for log in kept])
    return Gathered(rows, missing, [*problems, *_missing_problem(source, missing, short)])


def _rows(logs: Iterable[Log], run: str | None) -> list[FrameRow]:
    kept = []
    for log in logs:
        place: dict[str, Any] = {
            "source": str(log.source.folder),
            "source_kind": log.source.kind,
            "log": log.path.relative_to(log.source.folder).as_posix(),
        }
        kept += [row.model_copy(update=place | {"run": run or row.run}) for row in log.content.rows]
    return kept


def _plan(folder: Path) -> RunPlan:
    path = folder / RUN_MANIFEST
    try:
        return RunPlan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror}") from None
    except ValidationError as error:
        raise SourceError(f"{path}: not a run's manifest: {str(error).splitlines()[0]}") from None


def _missing_problem(source: Source, missing: Sequence[MissingSample], count: int) -> list[Problem]:
    """One problem for all samples that a source lacks, whether or not their cells are known."""
    if not count:
        return []
    cells = [f"{one.model} {one.scenario}-{one.variant}-{one.epoch}" for one in missing[:SHOWN]]
    named = f" ({', '.join(cells)}{', ...' if count > len(cells) else ''})" if cells else ""
    killed = Counter(one.killed for one in missing if one.killed)
    stopped = f"; under way when the run was stopped: {kinds_in_words(killed)}" if killed else ""
    what = f"planned and not there{named}{stopped}"
    return [Problem(kind="missing_samples", what=what, count=count, where=str(source.folder))]


def _in_words(problems: Sequence[Problem]) -> str:
    shown = "; ".join(f"{problem.where} {problem.what}" for problem in problems[:SHOWN])
    return shown + (f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else "")


def _order(row: FrameRow) -> tuple[str, str, str, str, int, str]:
    return row.model, row.suite, row.scenario, row.variant, row.epoch, row.run


def _read_all(paths: Sequence[Path], progress: Progress | None) -> dict[Path, tuple[str, LogContent]]:
    """Every log's digest and content, from the cache where it is known."""
    paths = list(dict.fromkeys(paths))
    with ThreadPoolExecutor() as threads:
        digests = dict(zip(paths, threads.map(cache.digest_of, paths), strict=True))
    known = cache.load(set(digests.values()))
    unknown = {digest: path for path, digest in digests.items() if digest not in known}
    done = len(paths) - len(unknown)
    for digest, content in _read_unknown(unknown):
        cache.keep(digest, content)
        known[digest] = content
        done += 1
        if progress:
            progress(done, len(paths))
    if progress and not unknown:
        progress(len(paths), len(paths))
    return {path: (digest, known[digest]) for path, digest in digests.items()}


def _read_unknown(logs: dict[str, Path]) -> Iterator[tuple[str, LogContent]]:
    if len(logs) < PARALLEL_FROM:
        for digest, path in logs.items():
            yield digest, read_log(path, digest)
        return
    # Not forked from this process: Inspect runs threads and event loops of its own, which do not survive a fork.
    context = get_context("forkserver")
    context.set_forkserver_preload([read_log.__module__])
    with ProcessPoolExecutor(os.cpu_count(), mp_context=context) as pool:
        futures: dict[Future[LogContent], str] = {
            pool.submit(read_log, path, digest): digest for digest, path in logs.items()
        }
        for future in as_completed(futures):
            yield futures[future], future.result()
