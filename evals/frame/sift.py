"""Deciding which logs and samples count: each once, of one content per scenario, and nothing dropped without a word."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidedoor.evals.frame.logs import LogContent
from sidedoor.evals.frame.problems import Problem, ProblemKind
from sidedoor.evals.frame.rows import FrameRow
from sidedoor.evals.frame.sources import Source

_KEPT_OUT: Final[dict[str, ProblemKind]] = {
    "broken": "broken_log",
    "foreign": "foreign_log",
    "unfinished": "unfinished_log",
}


@dataclass(frozen=True)
class Log:
    """A log file of a source, its digest, and what it says."""

    source: Source
    path: Path
    digest: str
    content: LogContent


def sift_logs(logs: Iterable[Log]) -> tuple[list[Log], list[Problem]]:
    """The logs that count: finished ones, each once, and of several attempts at one task the newest.

    The newest attempt holds what earlier ones had finished, so that only it counts when a run was resumed.
    """
    unique, problems = _each_log_once(logs)
    newest: dict[str, Log] = {}
    for log in sorted(unique, key=lambda one: (one.content.created, str(one.path))):
        if log.content.state == "finished":
            newest[log.content.task_id] = log
    for log in unique:
        content, counted = log.content, newest.get(log.content.task_id)
        if counted is not None and counted is not log:
            what = f"is another attempt at the task that {counted.path.name} finished"
            problems.append(_problem("superseded_log", what, log))
        elif counted is None:
            problems.append(_problem(_KEPT_OUT[content.state], f"is kept out: {content.why}", log))
    return [log for log in unique if newest.get(log.content.task_id) is log], problems


def _each_log_once(logs: Iterable[Log]) -> tuple[list[Log], list[Problem]]:
    first: dict[str, Log] = {}
    again = [log for log in logs if first.setdefault(log.digest, log) is not log]
    what = "is the same log as {}"
    return list(first.values()), [_problem("duplicate_log", what.format(first[log.digest].path), log) for log in again]


def sift_rows(rows: Sequence[FrameRow]) -> tuple[list[FrameRow], list[Problem]]:
    """Rows of samples, each once, and of one content per scenario.

    Of several contents of a scenario the one with most samples stays (of equals, the one that comes last): its rates
    and those of another content are not rates of the same thing.
    """
    unique, problems = _once_each(rows)
    kept, mixed = _one_content(unique)
    return kept, problems + mixed


def _once_each(rows: Iterable[FrameRow]) -> tuple[list[FrameRow], list[Problem]]:
    first: dict[str, FrameRow] = {}
    again: list[FrameRow] = []
    unique: list[FrameRow] = []
    for row in rows:
        if row.sample_uuid is not None and first.setdefault(row.sample_uuid, row) is not row:
            again.append(row)
        else:
            unique.append(row)
    return unique, _grouped("duplicate_sample", again, lambda row: f"also in {_file(first[row.sample_uuid or ''])}")


def _one_content(rows: Sequence[FrameRow]) -> tuple[list[FrameRow], list[Problem]]:
    contents: dict[tuple[str, str], Counter[tuple[str, str | None]]] = defaultdict(Counter)
    for row in rows:
        contents[row.suite, row.scenario][row.version, row.content_sha256] += 1
    # max() takes the first of equals, and a Counter keeps the order of appearance.
    chosen = {scenario: max(reversed(counts), key=counts.__getitem__) for scenario, counts in contents.items()}

    def differs(row: FrameRow) -> bool:
        return (row.version, row.content_sha256) != chosen[row.suite, row.scenario]

    def what(row: FrameRow) -> str:
        version, digest = chosen[row.suite, row.scenario]
        return (
            f"{row.scenario} {_content(row.version, row.content_sha256)} is not comparable with the "
            f"{_content(version, digest)} of most samples"
        )

    return [row for row in rows if not differs(row)], _grouped("mixed_content", filter(differs, rows), what)


def _content(version: str, digest: str | None) -> str:
    return f"version {version or 'unknown'} ({digest[:12] if digest else 'content unknown'})"


def _grouped(kind: ProblemKind, rows: Iterable[FrameRow], what: Callable[[FrameRow], str]) -> list[Problem]:
    counts = Counter((what(row), _file(row)) for row in rows)
    return [Problem(kind=kind, what=text, count=count, where=where) for (text, where), count in counts.items()]


def _file(row: FrameRow) -> str:
    return str(Path(row.source, row.log))


def _problem(kind: ProblemKind, what: str, log: Log) -> Problem:
    return Problem(kind=kind, what=what, count=max(log.content.samples, 1), where=str(log.path))
