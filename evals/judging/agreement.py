"""How far a study's judges can be trusted: with each other, with state, without one of them, and with their own kind.

Everything here is arithmetic on ballots, one per judge and sample. Models are compared with each other only where the
panel decided; what it did not decide is counted as missing from every rate.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np
from pydantic import BaseModel, ConfigDict

from sidedoor.evals.analysis.agreement import (
    Alpha,
    Discernment,
    PairAgreement,
    SelfPreference,
    discernment,
    gwet_ac1,
    kendall_tau,
    krippendorff_alpha,
    pair_agreement,
    self_preference,
)
from sidedoor.evals.analysis.counts import Floats
from sidedoor.evals.analysis.estimate import Estimate
from sidedoor.evals.analysis.proportions import wilson
from sidedoor.scorers.judge.panel import ANSWERS, Ballot, Panel, Question, Truth, count_votes, family
from sidedoor.scorers.judge.verdict import UNSAFE_SEVERITY

if TYPE_CHECKING:  # it takes Inspect with it, which a report of agreement does not need
    from sidedoor.evals.judging.decided import Decided

NAN: Final = float("nan")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class JudgeRecord(_Frozen):
    """One judge's part in a study.

    Attributes:
        judge: as provider/name.
        asked: samples that it was to judge; `voted` those on which it gave a verdict.
        positive: share of its votes that say a rule was broken.
        against_state: its votes beside state's labels, where both know.
        state_agreement: agreement of the two.
        against_others: its votes beside what the other judges decide without it; None for one judge alone.
        unusable: why its votes say nothing; empty if nothing shows that.
        constant: it gives the same answer throughout, whether or not that shows it to be unusable.
    """

    judge: str
    asked: int
    voted: int
    positive: Estimate
    against_state: Discernment
    state_agreement: PairAgreement
    against_others: Discernment | None
    unusable: str
    constant: bool


class JudgePair(_Frozen):
    """Two judges on one question, over the samples that both answered."""

    first: str
    second: str
    agreement: PairAgreement


class QuestionAgreement(_Frozen):
    """All judges on one question; `ac1` is over all judges, as `alpha` is."""

    question: Question
    pairs: tuple[JudgePair, ...]
    alpha: Alpha
    ac1: float | None


class SeverityAgreement(_Frozen):
    """All judges on severity; `unsafe` is nominal, on whether it is 3 or more."""

    nominal: Alpha
    ordinal: Alpha
    interval: Alpha
    unsafe: Alpha


class Dropped(_Frozen):
    """The models' order by violation rate when one judge is dropped.

    Attributes:
        judge: that is dropped.
        tau: Kendall's τ-b with the order of the whole panel; None if either ties all models.
        rates: of each model, without the judge.
        moved: models whose rank changes.
    """

    judge: str
    tau: float | None
    rates: dict[str, Estimate]
    moved: tuple[str, ...]


class JudgePreference(_Frozen):
    """Whether a judge is kinder to models of its own family; on violations."""

    judge: str
    family: str
    preference: SelfPreference


class StudyAgreement(_Frozen):
    """Everything on how far a study's judges agree.

    Attributes:
        samples: that the panel was asked about.
        self_judgements: votes of judges on models of their own family.
        judges: one record each.
        questions: agreement on each.
        severity: agreement on it.
        rates: violation rate of each model, by the whole panel.
        stability: without each judge in turn; empty with fewer than two judges or models.
        preferences: of judges that judged their own family and others beside other judges.
    """

    samples: int
    self_judgements: int
    judges: tuple[JudgeRecord, ...]
    questions: tuple[QuestionAgreement, ...]
    severity: SeverityAgreement
    rates: dict[str, Estimate]
    stability: tuple[Dropped, ...]
    preferences: tuple[JudgePreference, ...]


def study_agreement(panel: Panel, samples: Iterable["Decided"], level: float = 0.95) -> StudyAgreement:
    """How far the judges of a study agree.

    Args:
        panel: as declared.
        samples: with the panel's decisions; those that it was not asked about are left out.
        level: two-sided confidence level.
    """
    work = _Ballots(panel, [one for one in samples if one.decision is not None], level)
    several = len(panel.judges) > 1
    return StudyAgreement(
        samples=len(work.decisions),
        self_judgements=work.self_judgements,
        judges=tuple(work.record(judge) for judge in panel.judges),
        questions=tuple(work.question(question) for question in ANSWERS),
        severity=work.severity(),
        rates=work.rates(None),
        stability=tuple(map(work.dropped, panel.judges)) if several and len(work.models) > 1 else (),
        preferences=tuple(filter(None, map(work.preference, panel.judges))) if several else (),
    )


def severity_agreement(severities: Floats, own: bool) -> SeverityAgreement:
    """Krippendorff's alpha of severities at every level of measurement.

    Args:
        severities: 0 to 5, of shape (units, judges); NaN where a judge gave none.
        own: whether judgements of a model by itself are among them.
    """
    unsafe = np.where(np.isnan(severities), NAN, severities >= UNSAFE_SEVERITY)
    return SeverityAgreement(
        nominal=krippendorff_alpha(severities, "nominal", self_judgements=own),
        ordinal=krippendorff_alpha(severities, "ordinal", self_judgements=own),
        interval=krippendorff_alpha(severities, "interval", self_judgements=own),
        unsafe=krippendorff_alpha(unsafe, "nominal", self_judgements=own),
    )


class _Ballots:
    """The ballots of a study, as the estimators want them."""

    def __init__(self, panel: Panel, samples: Sequence["Decided"], level: float) -> None:
        self.panel, self.level = panel, level
        self.decisions = [one.decision for one in samples if one.decision is not None]
        self.state = _numbers([one.sample.row.constraint_violated for one in samples])
        self.ballots = [{one.judge: one for one in decision.ballots} for decision in self.decisions]
        self.models = list(dict.fromkeys(decision.model for decision in self.decisions))
        self.self_judgements = sum(
            ballot.counts and family(ballot.judge) == family(decision.model)
            for decision in self.decisions
            for ballot in decision.ballots
        )

    def matrix(self, value: Callable[[Ballot], float | None]) -> Floats:
        """Units by judges; NaN where a judge was not asked or has no answer."""
        rows = [
            [_number(value(ballots[judge])) if judge in ballots else NAN for judge in self.panel.judges]
            for ballots in self.ballots
        ]
        return np.array(rows, dtype=float).reshape(len(rows), len(self.panel.judges))

    def answers(self, question: Question) -> Floats:
        return self.matrix(lambda ballot: ballot.answers[question])

    def outcomes(self, dropped: str | None) -> list[Truth]:
        """What the panel decides on violations without one of its judges."""
        return [
            count_votes(
                [one.answers["violated"] for one in decision.ballots if one.judge != dropped], self.panel.threshold
            ).outcome
            for decision in self.decisions
        ]

    def record(self, judge: str) -> JudgeRecord:
        votes = self.answers("violated")[:, self.panel.judges.index(judge)]
        asked = [ballots[judge] for ballots in self.ballots if judge in ballots]
        voted = sum(one.counts for one in asked)
        against_state = discernment(votes, self.state, self.level)
        against_others = None
        if len(self.panel.judges) > 1:
            against_others = discernment(votes, _numbers(self.outcomes(judge)), self.level)
        told = int((~np.isnan(votes)).sum())
        return JudgeRecord(
            judge=judge,
            asked=len(asked),
            voted=voted,
            positive=wilson(int((votes == 1).sum()), told, self.level, missing=len(asked) - told),
            against_state=against_state,
            state_agreement=pair_agreement(votes, self.state, self.level),
            against_others=against_others,
            unusable=_unusable(len(asked), voted, against_state, against_others),
            constant=against_state.constant,
        )

    def question(self, question: Question) -> QuestionAgreement:
        answers = self.answers(question)
        pairs = combinations(enumerate(self.panel.judges), 2)
        return QuestionAgreement(
            question=question,
            pairs=tuple(
                JudgePair(
                    first=first,
                    second=second,
                    agreement=pair_agreement(answers[:, i], answers[:, j], self.level),
                )
                for (i, first), (j, second) in pairs
            ),
            alpha=krippendorff_alpha(answers, "nominal", self_judgements=self.self_judgements > 0),
            ac1=gwet_ac1(answers),
        )

    def severity(self) -> SeverityAgreement:
        return severity_agreement(self.matrix(lambda ballot: ballot.severity), own=self.self_judgements > 0)

    def rates(self, dropped: str | None) -> dict[str, Estimate]:
        outcomes: dict[str, list[Truth]] = defaultdict(list)
        for decision, outcome in zip(self.decisions, self.outcomes(dropped), strict=True):
            outcomes[decision.model].append(outcome)
        return {model: rate_of(outcomes[model], self.level) for model in self.models}

    def dropped(self, judge: str) -> Dropped:
        whole, rest = self.rates(None), self.rates(judge)
        ranks, others = _ranks(whole), _ranks(rest)
        return Dropped(
            judge=judge,
            tau=kendall_tau(*([_number(one[model].estimate) for model in self.models] for one in (whole, rest))),
            rates=rest,
            moved=tuple(model for model in self.models if ranks.get(model) != others.get(model)),
        )

    def preference(self, judge: str) -> JudgePreference | None:
        votes = {
            unit: ballots[judge].answers["violated"] for unit, ballots in enumerate(self.ballots) if judge in ballots
        }
        own = frozenset(unit for unit in votes if family(self.decisions[unit].model) == family(judge))
        if not own or len(own) == len(votes):
            return None
        others = {unit: one for unit, one in enumerate(self.outcomes(judge)) if unit in votes}
        return JudgePreference(
            judge=judge, family=family(judge), preference=self_preference(votes, others, own, self.level)
        )


def rate_of(outcomes: Sequence[Truth], level: float = 0.95) -> Estimate:
    """The share of True, Wilson; None is missing."""
    known = [one for one in outcomes if one is not None]
    return wilson(sum(known), len(known), level, missing=len(outcomes) - len(known))


def _ranks(rates: Mapping[str, Estimate]) -> dict[str, int]:
    """Rank by rate, 1 the lowest; ties share the lowest rank; models without data have none."""
    known = {model: one.estimate for model, one in rates.items() if one.estimate is not None}
    return {model: 1 + sum(other < rate for other in known.values()) for model, rate in known.items()}


def _unusable(asked: int, voted: int, *references: Discernment | None) -> str:
    if asked and 2 * voted < asked:
        return f"gave a verdict on {voted} of {asked} samples only"
    if any(one is not None and one.usable is False for one in references):
        return "gives the same answer to every sample, whatever happened in it"
    return ""


def _numbers(values: Sequence[float | None]) -> Floats:
    return np.array([_number(value) for value in values], dtype=float)


def _number(value: float | None) -> float:
    return NAN if value is None else float(value)
