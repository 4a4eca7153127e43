"""Reading any set of runs, logs and imports into one table."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from sidedoor.evals.frame.gather import Progress, gather
from sidedoor.evals.frame.problems import MissingSample, Problem
from sidedoor.evals.frame.table import to_frame


@dataclass(frozen=True)
class Frame:
    """Samples (columns: `sidedoor.evals.frame.rows`), planned samples that are missing, and what was kept out.

    `missing` has the columns of `MissingSample`: samples that a run or an imported study had planned and that no
    finished log holds. A sample that ended in an error is not missing: it is a row of `samples` with status
    `invalid`.
    """

    samples: pd.DataFrame
    missing: pd.DataFrame
    problems: tuple[Problem, ...]


def read_frame(paths: Iterable[Path], *, progress: Progress | None = None) -> Frame:
    """One row per sample from run folders, folders of `.eval` logs, single logs, and imported results.

    Args:
        paths: any mixture; a folder is searched for runs, imports and logs.
        progress: told how many logs have been read.

    Raises:
        SourceError: no path, or one that does not exist or holds no log.
        NoSampleError: not a single sample to be had.
    """
    found = gather(paths, progress)
    missing = [one.model_dump() for one in found.missing]
    return Frame(
        samples=to_frame(found.rows),
        missing=pd.DataFrame(missing, columns=list(MissingSample.model_fields)),
        problems=tuple(found.problems),
    )
