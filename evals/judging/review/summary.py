"""How far a review has come: cases decided by each reviewer, cases in dispute, and how well reviewers agree."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from sidedoor.evals.analysis.agreement import PairAgreement, pair_agreement
from sidedoor.scorers.adjudication import QUESTIONS, Decision, Standing, in_force, independent, standing
from sidedoor.scorers.judge.panel import Question


@dataclass(frozen=True)
class ReviewerPair:
    """Two reviewers on one question.

    Attributes:
        first: a reviewer; `second` likewise.
        question: that both answered.
        agreement: over the cases that both could tell; `raw.missing` counts those that one of them could not.
        blind: cases that both answered before they saw what others said.
    """

    first: str
    second: str
    question: Question
    agreement: PairAgreement
    blind: int


@dataclass(frozen=True)
class ReviewSummary:
    """The state of a review.

    Attributes:
        cases: in the queue.
        settled: cases of the queue on which it stands whether a rule was broken.
        by_reviewer: cases of the queue that each reviewer decided, by name.
        disputed: cases on which reviewers differ about anything.
        pairs: agreement, of every two reviewers with a case in common.
    """

    cases: int
    settled: int
    by_reviewer: dict[str, int]
    disputed: tuple[Standing, ...]
    pairs: tuple[ReviewerPair, ...]


def summarise(cases: Collection[str], decisions: Sequence[Decision]) -> ReviewSummary:
    """The state of a review.

    Args:
        cases: digests of the cases in the queue; decisions on others are left out.
        decisions: in the order in which they were made.
    """
    known = set(cases)
    decisions = [one for one in decisions if one.case_sha256 in known]
    holds = standing(decisions)
    settled = [one for one in in_force(decisions) if one.settles and not one.joint]
    names = sorted({one.reviewer for one in settled})
    return ReviewSummary(
        cases=len(cases),
        settled=sum("violated" in one.labels for one in holds.values()),
        by_reviewer={name: sum(one.reviewer == name for one in settled) for name in names},
        disputed=tuple(one for one in holds.values() if one.disputed),
        pairs=tuple(_pairs(decisions)),
    )


def _pairs(decisions: Sequence[Decision]) -> Iterator[ReviewerPair]:
    own = independent(decisions)
    reviewers = sorted({reviewer for _, reviewer in own})
    for first, second in combinations(reviewers, 2):
        shared = [case for case, reviewer in own if reviewer == first and (case, second) in own]
        both = [(own[case, first], own[case, second]) for case in shared]
        for question in QUESTIONS:
            if pair := _pair(first, second, question, both):
                yield pair


def _pair(
    first: str, second: str, question: Question, both: Sequence[tuple[Decision, Decision]]
) -> ReviewerPair | None:
    answered = [(one, other) for one, other in both if question in one.labels and question in other.labels]
    if not answered:
        return None
    ratings, others = ([_rating(pair[side], question) for pair in answered] for side in (0, 1))
    blind = sum(one.blind and other.blind for one, other in answered)
    return ReviewerPair(first, second, question, pair_agreement(ratings, others), blind)


def _rating(decision: Decision, question: Question) -> float:
    answer = decision.labels[question]
    return float("nan") if answer is None else float(answer)
