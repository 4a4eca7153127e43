"""What a judging study says of a run, in numbers: by model, beside state, beside people, and how far to trust it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from sidedoor.evals.analysis.estimate import Estimate
from sidedoor.evals.judging.agreement import StudyAgreement, rate_of, study_agreement
from sidedoor.evals.judging.correction import Correction, correct
from sidedoor.evals.judging.queue import Draw, QueueItem, queue_of, recorded_draw, unsuspected
from sidedoor.evals.judging.study import Study, StudyFolder
from sidedoor.scorers.adjudication import Adjudication, Standing, standing
from sidedoor.scorers.judge.judgement import View
from sidedoor.scorers.judge.panel import ANSWERS, Question, Truth
from sidedoor.scorers.judge.verdict import UNSAFE_SEVERITY

if TYPE_CHECKING:  # it takes Inspect with it, which a report of a summary does not need
    from sidedoor.evals.judging.decided import Decided


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class QuestionRates(_Frozen):
    """One question, over the samples of one model or of all.

    Attributes:
        panel: share that the panel says yes to; undecided and unjudged samples are missing.
        corrected: by review, in two phases.
    """

    question: Question
    panel: Estimate
    corrected: Correction


class Crossed(_Frozen):
    """State and panel on whether a rule was broken: samples by what both say.

    Attributes:
        both: violations by both; `neither` clean by both.
        only_state: violations by state alone; `only_panel` by the panel alone.
        unknown: samples of which either does not know.
    """

    both: int
    only_state: int
    only_panel: int
    neither: int
    unknown: int


class ModelJudged(_Frozen):
    """What was judged of one model, or of all models together.

    Attributes:
        model: None for all.
        samples: that ended, errors included; planned ones that never ran are the report's to count.
        decided: on which the panel came to a decision; `undecided` on which it did not.
        not_judged: on which it was not asked.
        alone: decided by a single judge.
        reasoning: judged samples with reasoning that can be read.
        state: violation rate by state, of valid samples; the others are missing.
        adjudicated: violation rate by state where nobody reviewed, and by people where they did.
        unsafe: share with a median severity of 3 or more.
        questions: rates of each.
        crossed: state beside panel.
    """

    model: str | None
    samples: int
    decided: int
    undecided: int
    not_judged: int
    alone: int
    reasoning: int
    state: Estimate
    adjudicated: Estimate
    unsafe: Estimate
    questions: tuple[QuestionRates, ...]
    crossed: Crossed


class JudgeSummary(_Frozen):
    """Everything that a judging study says of a run.

    Attributes:
        run: id; `name` is the study's.
        study: as declared.
        whole: all models together; `models` each of them.
        agreement: how far the judges agree.
        draw: how negatives were drawn for review; None if they were not yet.
        queue: samples in the review queue; `reviewed` those of them with a standing decision.
        reasons: samples of the queue by reason; one may have several.
        no_case: samples that cannot be put before anybody, by why.
        checks: what kept checks (`sidedoor judge-check`) say against its judges: unfit, or not checked as asked here.
        notes: what a reader must know beside the numbers.
    """

    run: str
    name: str
    study: Study
    whole: ModelJudged
    models: tuple[ModelJudged, ...]
    agreement: StudyAgreement
    draw: Draw | None
    queue: int
    reviewed: int
    reasons: dict[str, int]
    no_case: dict[str, int]
    checks: tuple[str, ...]
    notes: tuple[str, ...]


def judge_summary(run: Path, name: str, level: float = 0.95) -> JudgeSummary:
    """The summary of a study.

    Args:
        run: the run's folder.
        name: of the study.
        level: two-sided confidence level.

    Raises:
        StudyError: no such study, or its files are malformed.
        AdjudicationError: the run's decisions are malformed.
    """
    from sidedoor.evals.judging.check.report import standing as checked
    from sidedoor.evals.judging.decided import decided_samples

    study = StudyFolder(run, name).read()
    samples = decided_samples(run, name)
    draw = recorded_draw(run, name)
    standings = standing(Adjudication(run).decisions())
    found = queue_of(samples, draw or Draw(negatives=0, seed=0))
    queue = found.items
    work = _Summary(samples, queue, standings, level)
    models = tuple(work.judged(model) for model in dict.fromkeys(one.sample.row.model for one in samples))
    agreement = study_agreement(study.panel, samples, level)
    return JudgeSummary(
        run=run.name,
        name=name,
        study=study,
        whole=work.judged(None),
        models=models,
        agreement=agreement,
        draw=draw,
        queue=len(queue),
        reviewed=sum("violated" in standings[one.case_sha256].labels for one in queue if one.case_sha256 in standings),
        reasons=_reasons(queue),
        no_case=found.no_case,
        checks=tuple(checked(run, study)),
        notes=tuple(_notes(study, models, agreement)),
    )


class _Summary:
    def __init__(
        self,
        samples: Sequence["Decided"],
        queue: Sequence[QueueItem],
        standings: Mapping[str, Standing],
        level: float,
    ) -> None:
        self.samples, self.queue, self.standings, self.level = samples, queue, standings, level
        self.rest = unsuspected(samples)

    def judged(self, model: str | None) -> ModelJudged:
        samples = _of_model(self.samples, model)
        decisions = [one.decision for one in samples if one.decision is not None]
        decided = [one for one in decisions if one.status == "decided"]
        return ModelJudged(
            model=model,
            samples=len(samples),
            decided=len(decided),
            undecided=len(decisions) - len(decided),
            not_judged=len(samples) - len(decisions),
            alone=sum(one.alone for one in decided),
            reasoning=sum(bool(one.reasoning) for one in samples),
            state=rate_of([_state(one) for one in samples], self.level),
            adjudicated=rate_of([self._adjudicated(one) for one in samples], self.level),
            unsafe=rate_of([_unsafe(one) for one in samples], self.level),
            questions=tuple(self._question(question, model, samples) for question in ANSWERS),
            crossed=_crossed(samples),
        )

    def _question(self, question: Question, model: str | None, samples: Sequence["Decided"]) -> QuestionRates:
        outcomes = [one.decision.outcome(question) if one.decision else None for one in samples]
        queue = [one for one in self.queue if model in (None, one.model)]
        rest = len(_of_model(self.rest, model))
        return QuestionRates(
            question=question,
            panel=rate_of(outcomes, self.level),
            corrected=correct(question, queue, rest, self.standings, self.level),
        )

    def _adjudicated(self, one: "Decided") -> Truth:
        decided = self.standings.get(one.sample.case_sha256 or "")
        if decided is not None and "violated" in decided.labels:
            return decided.labels["violated"]
        return _state(one)


def _of_model(samples: Iterable["Decided"], model: str | None) -> list["Decided"]:
    return [one for one in samples if model in (None, one.sample.row.model)]


def _state(one: "Decided") -> Truth:
    row = one.sample.row
    return row.constraint_violated if row.status == "ok" else None


def _unsafe(one: "Decided") -> Truth:
    severity = one.decision.severity if one.decision else None
    return None if severity is None else severity >= UNSAFE_SEVERITY


def _crossed(samples: Iterable["Decided"]) -> Crossed:
    cells: dict[tuple[Truth, Truth], int] = defaultdict(int)
    for one in samples:
        panel = one.decision.outcome("violated") if one.decision else None
        cells[one.sample.row.constraint_violated, panel] += 1
    return Crossed(
        both=cells[True, True],
        only_state=cells[True, False],
        only_panel=cells[False, True],
        neither=cells[False, False],
        unknown=sum(count for pair, count in cells.items() if None in pair),
    )


def _reasons(queue: Iterable[QueueItem]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for item in queue:
        for reason in item.why:
            counts[reason] += 1
    return dict(counts)


def _notes(study: Study, models: Sequence[ModelJudged], agreement: StudyAgreement) -> Iterator[str]:
    """What a reader must know beside the numbers."""
    if len(study.panel.judges) == 1:
        yield "One judge alone: its errors cannot be told from the agents' behaviour."
    elif alone := sum(one.alone for one in models):
        yield f"{alone} samples were decided by a single judge's verdict."
    yield from view_notes(study.judging.view, models)
    if study.panel.exclude_self and len({one.asked for one in agreement.judges}) > 1:
        yield "Judges do not judge models of their own family, so that not every model has the same panel."
    if agreement.self_judgements:
        yield f"{agreement.self_judgements} votes are of judges on models of their own family."
    for one in agreement.judges:
        if one.unusable:
            yield f"Judge {one.judge} is unusable: it {one.unusable}."
        elif one.constant:
            yield f"Judge {one.judge} gives the same answer to every sample; too few contradict it to say more."


def view_notes(view: View, models: Sequence[ModelJudged]) -> Iterator[str]:
    """Whether a view exists for all models that were judged in it, which a comparison of them needs."""
    if view is View.ACTIONS:
        return
    judged = [one for one in models if one.decided + one.undecided]
    blind = [one.model or "" for one in judged if not one.reasoning]
    if blind and len(blind) < len(judged):
        yield (
            f"The view {view.value} does not exist for {', '.join(blind)}, of which no reasoning can be read: "
            "compare models in a study with --view actions."
        )
    elif blind:
        yield f"No reasoning can be read in any transcript: the view {view.value} shows none."
