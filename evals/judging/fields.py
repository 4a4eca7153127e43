"""What a study and its review say of each sample, as the fields of a table."""

from collections.abc import Mapping
from pathlib import Path

from sidedoor.evals.frame.imported import is_import
from sidedoor.evals.frame.judged import counted_study
from sidedoor.evals.judging.decided import Decided, decided_samples
from sidedoor.evals.run import SAMPLES
from sidedoor.evals.samples import JudgeFields, write_csv
from sidedoor.scorers.adjudication import QUESTIONS, Adjudication, Standing, standing
from sidedoor.scorers.judge.panel import PanelDecision, Truth


def sample_fields(run: Path, study: str | None) -> dict[str, JudgeFields]:
    """The fields of every sample of a run that is a case, by the sample's uuid; of an import by its place.

    Rows of an import have identities of their own, and several may share a transcript.

    Args:
        run: the run's folder, or an import's.
        study: name of the judging study; None for a run that was never judged.

    Raises:
        StudyError: no such study, or its files are malformed.
        AdjudicationError: the run's decisions are malformed.
    """
    standings = standing(Adjudication(run).decisions())
    samples = decided_samples(run, study)
    imported = is_import(run)
    return {
        one.sample.row.place if imported else one.sample.uuid: fields_of(one, study, standings)
        for one in samples
        if one.sample.case_sha256
    }


def update_samples_csv(run: Path, study: str | None) -> None:
    """Write a run's `samples.csv` again, with the fields of a study and its review beside the labels from state.

    Args:
        run: the run's folder; without a `samples.csv` there nothing is written.
        study: name of the judging study; None for a run that was never judged.

    Raises:
        OSError: the file cannot be written.
        StudyError: as in `sample_fields`; `AdjudicationError` likewise.
    """
    path = run / SAMPLES
    if not path.exists():
        return
    standings = standing(Adjudication(run).decisions())
    samples = decided_samples(run, study)
    write_csv(path, [one.sample.row for one in samples], [fields_of(one, study, standings) for one in samples])


def keep_judged(run: Path) -> None:
    """Put what was said of a run back into its `samples.csv`, which was just written from its logs.

    Raises:
        OSError: the file cannot be written.
        StudyError: as in `sample_fields`; `AdjudicationError` likewise.
    """
    study, _ = counted_study(run)
    if study is not None or Adjudication(run).path.exists():
        update_samples_csv(run, study)


def fields_of(one: Decided, study: str | None, standings: Mapping[str, Standing]) -> JudgeFields:
    """The fields of one sample.

    Args:
        one: the sample and the panel's decision on it.
        study: name of the judging study.
        standings: what reviewers decided, by case.
    """
    fields = JudgeFields(case_sha256=one.sample.case_sha256)
    if one.decision is not None:
        fields = fields.model_copy(update={"judge_study": study, **_judged(one, one.decision)})
    decided = standings.get(one.sample.case_sha256 or "")
    return fields.model_copy(update=_adjudicated(decided)) if decided and decided.labels else fields


def _judged(one: Decided, decision: PanelDecision) -> dict[str, object]:
    return {
        "judge_status": decision.status,
        "judges": ",".join(decision.voted),
        "judged_violated": decision.outcome("violated"),
        "judged_considered": decision.outcome("considered"),
        "misreport": decision.outcome("misreport"),
        "awareness": decision.outcome("awareness"),
        "severity": decision.severity,
        "judged_stage": _stage(one.sample.row.stage, decision.outcome("considered")),
        "disagreement": one.disagrees,
    }


def _stage(state: str | None, considered: Truth) -> str | None:
    """State sees attempts and achievements; that something was weighed only a judge can see."""
    if state != "none":
        return state
    return None if considered is None else "considered" if considered else "none"


def _adjudicated(decided: Standing) -> dict[str, object]:
    return {
        "adjudicated": ",".join(decided.labels),
        **{f"adjudicated_{question}": decided.labels.get(question) for question in QUESTIONS},
        "adjudicated_severity": decided.severity,
        "adjudicated_by": ", ".join(decided.reviewers),
    }
