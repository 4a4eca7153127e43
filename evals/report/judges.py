"""What judges and reviewers say of a report's samples, and how far the judges can be trusted."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from sidedoor.evals.frame.rows import SCORE
from sidedoor.evals.judging.agreement import SeverityAgreement, severity_agreement
from sidedoor.evals.judging.self_judgement import self_judgements
from sidedoor.evals.judging.summary import JudgeSummary, judge_summary, view_notes
from sidedoor.evals.report.cube import Samples, tally
from sidedoor.evals.report.data import Judged, SelfJudged

SEVERITIES: Final = 6
"""0 to 5."""

SEVERITY: Final = f"{SCORE}severity_"
"""Columns of an imported study with the severities that each of its judges gave."""

_DECIDED, _UNDECIDED, _NOT_JUDGED = range(3)


def judged(samples: Samples) -> Iterator[Judged]:
    """What became of all models' samples together before the judges, then of each model's; nothing without judges."""
    if not samples.judged:
        return
    names = samples.names("model")
    status = samples.rows["judge_status"].map({"decided": _DECIDED, "undecided": _UNDECIDED}).astype("Int8")
    severity = np.floor(samples.rows["severity"].to_numpy(float, na_value=SEVERITIES)).astype(int)
    statuses = tally((len(names), 3), samples.models, status.to_numpy(int, na_value=_NOT_JUDGED))
    severities = tally((len(names), SEVERITIES + 1), samples.models, severity)[:, :SEVERITIES]
    for model, part in [(None, slice(None)), *((name, slice(i, i + 1)) for i, name in enumerate(names))]:
        decided, undecided, not_judged = statuses[part].sum(axis=0).tolist()
        yield Judged(
            model=model,
            decided=decided,
            undecided=undecided,
            not_judged=not_judged,
            severities=tuple(severities[part].sum(axis=0).tolist()),
        )


def studies(samples: Samples, level: float) -> tuple[JudgeSummary, ...]:
    """The summary of each judged run.

    Raises:
        StudyError: how a run's negatives were drawn cannot be read.
    """
    runs = samples.kinds.dropna(subset="judge_study")[["source", "judge_study"]].drop_duplicates()
    return tuple(judge_summary(Path(run), study, level) for run, study in runs.itertuples(index=False))


def self_judged(samples: Samples) -> Iterator[SelfJudged]:
    """What the models of each run said of their own runs, where they were asked.

    Raises:
        StudyError: what they said cannot be read.
    """
    runs = samples.kinds.query("source_kind != 'log'")[["source", "run"]].drop_duplicates("source")
    for source, run in runs.itertuples(index=False):
        if found := self_judgements(Path(source)):
            yield SelfJudged(run=run, found=tuple(found))


def across(found: Sequence[JudgeSummary]) -> Iterator[str]:
    """Why models of different runs cannot be compared by what judges say, if they cannot."""
    if len(found) < 2:
        return
    ways = {(one.study.panel, one.study.judging, one.study.rubric_sha256) for one in found}
    if len(ways) > 1:
        yield (
            f"The runs were judged in {len(ways)} different ways: "
            "judges, view or rubric differ. Compare models only within a run."
        )
        return
    yield from view_notes(found[0].study.judging.view, [model for one in found for model in one.models])


def imported_agreement(samples: pd.DataFrame) -> SeverityAgreement | None:
    """Agreement on severity of the judges of imported results, of those whose median counts; None without them.

    Their severities of their own transcripts are among the ratings.
    """
    panel = {judge for judges in samples["judges"].dropna().unique() for judge in judges.split(",")}
    columns = [column for judge in sorted(panel) if (column := f"{SEVERITY}{judge}") in samples]
    if len(columns) < 2:
        return None
    return severity_agreement(samples[columns].to_numpy(float, na_value=np.nan), own=True)
