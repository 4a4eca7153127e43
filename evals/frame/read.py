"""Reading any set of runs, logs and imports into one table."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import pandas as pd

ProblemKind: TypeAlias = Literal[
    "broken_log",
    "unfinished_log",
    "foreign_log",
    "superseded_log",
    "duplicate_log",
    "duplicate_sample",
    "mixed_content",
    "missing_samples",
]

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the number of logs read so far and in all."""


@dataclass(frozen=True)
class Problem:
    """Something that was kept out of the frame, or that should have been there and is not.

    `count` is how many samples (of a log that cannot be read: logs) it concerns; `what` is one sentence.
    """

    kind: ProblemKind
    what: str
    count: int
    where: str


@dataclass(frozen=True)
class Frame:
    """Samples (columns: `sidedoor.evals.frame.rows`), planned samples that are missing, and what was kept out.

    `missing` has columns run, model, suite, scenario, variant, epoch: samples that a run or an imported study had
    planned and that no finished log holds. A sample that ended in an error is not missing: it is a row of `samples`
    with status `invalid`.
    """

    samples: pd.DataFrame
    missing: pd.DataFrame
    problems: tuple[Problem, ...]


def read_frame(paths: Iterable[Path], *, progress: Progress | None = None) -> Frame:
    """One row per sample from run folders, folders of `.eval` logs, single logs, and imported results.

    Raises:
        SourceError: no path, one that does not exist or holds no log, or not a single sample to be had.
    """
    raise NotImplementedError
