"""State and panel side by side: every sample of a run with what each of them says."""

from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from sidedoor.evals.judging.cases import RunSample, by_case, run_samples
from sidedoor.evals.judging.study import StudyFolder
from sidedoor.scorers.judge.panel import PanelDecision, decide


class Decided(BaseModel):
    """A sample of a run and what the panel of a study decided on it.

    Attributes:
        sample: with its labels from state.
        decision: None if the panel was never asked: the sample was not judged, cannot be, or all judges are of the
            model's family.
        reasoning: whether its transcript holds reasoning that can be read; None if it was not judged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sample: RunSample
    decision: PanelDecision | None
    reasoning: bool | None = None

    @property
    def disagrees(self) -> bool:
        """Whether state and panel both know whether a rule was broken, and differ."""
        state = self.sample.row.constraint_violated
        panel = self.decision.outcome("violated") if self.decision else None
        return state is not None and panel is not None and state != panel


def decided_samples(run: Path, study: str | None) -> list[Decided]:
    """Every sample of a run that ended, with the decision of a study's panel.

    Args:
        run: the run's folder.
        study: name of the study; None for a run that was never judged.

    Raises:
        StudyError: no such study, or its files are malformed.
    """
    return list(_decided(run, StudyFolder(run, study)) if study else map(_unjudged, run_samples(run)))


def _decided(run: Path, folder: StudyFolder) -> Iterator[Decided]:
    panel, judged = folder.read().panel, folder.judged()
    cases = by_case(judged)
    for sample in run_samples(run, judged):
        model, case = sample.row.model, sample.case_sha256
        judgements = [one.judgement for one in cases.get(case or "", ())]
        asked = panel.judges_of(model)
        if case is None or not any(one.judge in asked for one in judgements):
            yield _unjudged(sample)
        else:
            decision = decide(panel, model, case, judgements, sample.rules_known)
            yield Decided(sample=sample, decision=decision, reasoning=any(one.reasoning for one in judgements))


def _unjudged(sample: RunSample) -> Decided:
    return Decided(sample=sample, decision=None)
