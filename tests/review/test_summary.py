"""How far a review has come, and how well reviewers agree."""

import pytest

from sidedoor.evals.judging.review.summary import summarise
from sidedoor.scorers.adjudication import Decision
from sidedoor.scorers.judge.panel import Question

CASES = [f"{number:064x}" for number in range(20)]


def decided(reviewer: str, case: str, violated: bool | None, **fields: bool) -> Decision:
    labels: dict[Question, bool | None] = {"violated": violated}
    return Decision(case_sha256=case, reviewer=reviewer, rubric="1-A", labels=labels, **fields)


def test_agreement_is_over_the_cases_that_both_could_tell() -> None:
    decisions = [decided("anna", case, number < 2) for number, case in enumerate(CASES)]
    decisions += [decided("ben", case, number in (1, 2)) for number, case in enumerate(CASES[:18])]
    decisions += [decided("ben", CASES[18], None)]
    (pair,) = summarise(CASES, decisions).pairs
    one = pair.agreement
    assert (pair.first, pair.second, pair.question) == ("anna", "ben", "violated")
    assert (one.raw.x, one.raw.n, one.raw.missing) == (16, 18, 1)
    assert one.positive == pytest.approx(2 / 4)
    assert one.negative == pytest.approx(30 / 32)
    # Chance agreement is (2·2 + 16·16)/18².
    assert one.kappa == pytest.approx((16 / 18 - 260 / 324) / (1 - 260 / 324))


def test_a_reviewer_who_always_says_no_agrees_often_and_not_beyond_chance() -> None:
    decisions = [decided("anna", case, not number) for number, case in enumerate(CASES)]
    decisions += [decided("ben", case, False) for case in CASES]
    (pair,) = summarise(CASES, decisions).pairs
    assert pair.agreement.raw.estimate == 0.95
    assert pair.agreement.kappa == 0


def test_agreement_counts_what_was_decided_blind_and_not_what_was_revised_or_joint() -> None:
    decisions = [decided("anna", CASES[0], True, blind=True), decided("ben", CASES[0], False, blind=True)]
    decisions += [decided("ben", CASES[0], True), decided("ben", CASES[0], True, joint=True)]
    (pair,) = summarise(CASES, decisions).pairs
    assert (pair.agreement.raw.x, pair.agreement.raw.n, pair.blind) == (0, 1, 1)


def test_settled_and_disputed_cases_are_counted_within_the_queue_alone() -> None:
    decisions = [
        decided("anna", CASES[0], True),
        decided("ben", CASES[0], False),
        decided("anna", CASES[1], True),
        decided("anna", "f" * 64, True),
    ]
    summary = summarise(CASES, decisions)
    assert (summary.cases, summary.settled, summary.by_reviewer) == (20, 1, {"anna": 2, "ben": 1})
    assert [one.case_sha256 for one in summary.disputed] == [CASES[0]]


def test_a_review_that_nobody_began_says_so() -> None:
    summary = summarise(CASES, [])
    assert (summary.settled, summary.by_reviewer, summary.disputed, summary.pairs) == (0, {}, (), ())
