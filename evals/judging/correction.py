"""Rates that rest on judges, corrected by what people decided in two phases.

Everything that state or the panel holds against an agent, and every doubt, is in the review queue with certainty; of
the rest a random part is. Together they give an unbiased rate of any question that reviewers answered, whatever the
judges' errors are, once everything certain was reviewed.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from sidedoor.evals.analysis.estimate import Estimate
from sidedoor.evals.analysis.prevalence import two_phase
from sidedoor.evals.judging.queue import NEGATIVE, QueueItem
from sidedoor.scorers.adjudication import Standing
from sidedoor.scorers.judge.panel import Question, Truth

Phase: TypeAlias = Literal["certain", "drawn"]


class Reviewed(BaseModel):
    """What review said of one part of the queue, on one question.

    Attributes:
        items: in that part.
        positive: that review found to be so; `negative` likewise.
        untold: that reviewers could not tell, or differ on.
        waiting: that nobody has answered the question on.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: int
    positive: int
    negative: int
    untold: int
    waiting: int

    @property
    def told(self) -> int:
        """Items with an answer."""
        return self.positive + self.negative


class Correction(BaseModel):
    """A corrected rate and what it rests on.

    Attributes:
        question: that reviewers answered.
        certain: review of what was to be reviewed whole.
        drawn: review of the random part of the rest.
        rest: samples that nothing speaks against, drawn or not.
        estimate: the corrected rate; its `estimate` is None until the certain part is reviewed whole.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: Question
    certain: Reviewed
    drawn: Reviewed
    rest: int
    estimate: Estimate


def correct(
    question: Question, queue: Iterable[QueueItem], rest: int, standing: Mapping[str, Standing], level: float = 0.95
) -> Correction:
    """The corrected rate of one question.

    Args:
        question: what was asked of reviewers.
        queue: the items of the samples that the rate is of.
        rest: how many of those samples nothing speaks against; the random part of the queue was drawn from them.
        standing: what reviewers decided, by case.
        level: two-sided confidence level.
    """
    certain: list[Truth | Literal["waiting"]] = []
    drawn: list[Truth | Literal["waiting"]] = []
    for item in queue:
        part = drawn if item.why == (NEGATIVE,) else certain
        part.append(_answer(standing.get(item.case_sha256), question))
    return _correction(question, _reviewed(certain), _reviewed(drawn), rest, level)


def _answer(standing: Standing | None, question: Question) -> Truth | Literal["waiting"]:
    if standing is None:
        return "waiting"
    if question in standing.disputed:
        return None
    return standing.labels.get(question, "waiting")


def _reviewed(answers: Sequence[Truth | Literal["waiting"]]) -> Reviewed:
    return Reviewed(
        items=len(answers),
        positive=sum(one is True for one in answers),
        negative=sum(one is False for one in answers),
        untold=sum(one is None for one in answers),
        waiting=answers.count("waiting"),
    )


def _correction(question: Question, certain: Reviewed, drawn: Reviewed, rest: int, level: float) -> Correction:
    # What reviewers cannot tell is unknown: neither of the two phases may count it as clean.
    found = two_phase(certain.told, certain.positive, rest - drawn.untold, drawn.told, drawn.positive, level)
    notes = list(found.notes)
    if certain.untold + drawn.untold:
        notes.append(f"left out: {certain.untold + drawn.untold} that reviewers could not tell or differ on")
    if certain.waiting:
        notes.append(f"{certain.waiting} of {certain.items} positives and doubts are not reviewed yet")
    values = {name: getattr(found, name) for name in ("low", "high", "level", "method", "n", "x")}
    if certain.waiting:
        values |= {"low": 0.0, "high": 1.0}
    estimate = Estimate(
        **values,
        estimate=None if certain.waiting else found.estimate,
        missing=found.missing + certain.untold + drawn.untold + certain.waiting,
        notes=tuple(notes),
    )
    return Correction(question=question, certain=certain, drawn=drawn, rest=rest, estimate=estimate)
