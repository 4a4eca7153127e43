"""Rates that rest on judges, corrected by review: what arithmetic demands, and nothing where it demands more review."""

from collections.abc import Iterable, Mapping
from functools import cache

import numpy as np
import pytest

from sidedoor.evals.analysis.prevalence import two_phase
from sidedoor.evals.judging.correction import Correction, correct
from sidedoor.evals.judging.decided import Decided
from sidedoor.evals.judging.queue import Draw, QueueItem, queue_of, unsuspected
from sidedoor.scorers.adjudication import Decision, Standing, standing
from sidedoor.scorers.labels import Truth
from tests.judge.cohort import SIZE, VIOLATIONS, cohort, judged, truths
from tests.judge.judges import constant_no, noisy
from tests.judge.votes import ballot, sample


def reviewed(items: Iterable[QueueItem], violated: Mapping[str, Truth]) -> dict[str, Standing]:
    """What stands after one reviewer who knows the truth went through these items."""
    return standing(
        [
            Decision(
                case_sha256=item.case_sha256,
                reviewer="ann",
                rubric="1-A",
                labels={"violated": violated[item.case_sha256]},
            )
            for item in items
        ]
    )


def corrected(samples: list[Decided], draw: int, violated: Mapping[str, Truth], skip: int = 0) -> Correction:
    """The rate after review of the queue, all but the first `skip` items."""
    queue = queue_of(samples, Draw(negatives=draw, seed=0)).items
    return correct("violated", queue, len(unsuspected(samples)), reviewed(queue[skip:], violated))


def panel_of(positives: int, negatives: int) -> list[Decided]:
    """Samples by what the panel says of them; state knows nothing, so as not to be in the queue for it."""
    return [
        sample(number, [ballot("x/b", violated=number < positives)], state=number < positives)
        for number in range(positives + negatives)
    ]


def truth_of(*violations: int, size: int) -> dict[str, Truth]:
    return {f"{number:064d}": number in violations for number in range(size)}


def test_the_rate_is_the_two_phase_estimate_of_the_queue() -> None:
    samples = panel_of(10, 90)
    violated = truth_of(*range(6), *range(10, 100, 10), size=100)
    found = corrected(samples, 30, violated)
    drawn = [item.case_sha256 for item in queue_of(samples, Draw(negatives=30, seed=0)).items if item.probability < 1]
    overlooked = sum(bool(violated[case]) for case in drawn)
    assert overlooked > 0
    assert found.estimate == two_phase(10, 6, 90, 30, overlooked)
    assert found.estimate.estimate == pytest.approx(0.06 + 0.9 * overlooked / 30)


def test_with_every_negative_reviewed_the_rate_is_the_true_one_whatever_the_judge() -> None:
    violated = {f"{number:064d}": number < VIOLATIONS for number in range(SIZE)}
    for name, policy in (("noisy", noisy(truths(cohort()))), ("never", constant_no())):
        _, samples = judged({name: policy})
        stateless = [without_state(one) for one in samples]
        found = corrected(stateless, SIZE, violated)
        assert found.estimate.estimate == pytest.approx(VIOLATIONS / SIZE), name
        assert found.estimate.missing == 0


def without_state(one: Decided) -> Decided:
    """The sample as if state had found nothing, so that all rests on the judges."""
    row = one.sample.row.model_copy(update={"constraint_violated": False})
    return one.model_copy(update={"sample": one.sample.model_copy(update={"row": row})})


@cache
def noisy_cohort(seed: int) -> tuple[list[Decided], dict[str, Truth]]:
    """1,680 samples at 5 %, read by a judge of sensitivity .90 and specificity .97."""
    rng = np.random.default_rng(seed)
    violated = rng.random(1680) < 0.05
    says = np.where(violated, rng.random(1680) < 0.90, rng.random(1680) < 0.03)
    samples = [sample(number, [ballot("x/b", violated=bool(one))], state=bool(one)) for number, one in enumerate(says)]
    return samples, {f"{number:064d}": bool(one) for number, one in enumerate(violated)}


@pytest.mark.slow
def test_a_noisy_judge_reads_too_much_and_review_of_two_hundred_negatives_puts_it_right() -> None:
    raw, right, held = [], [], 0
    for seed in range(6):
        samples, violated = noisy_cohort(seed)
        found = corrected(samples, 200, violated).estimate
        truth = sum(map(bool, violated.values())) / 1680
        raw.append(sum(one.decision is not None and bool(one.decision.outcome("violated")) for one in samples) / 1680)
        right.append((found.estimate or 0) - truth)
        held += found.low <= truth <= found.high
    assert np.mean(raw) == pytest.approx(0.0735, abs=0.006)
    assert abs(np.mean(right)) < 0.007
    assert held >= 5


def test_until_everything_certain_is_reviewed_there_is_no_corrected_rate() -> None:
    found = corrected(panel_of(10, 90), 90, truth_of(0, size=100), skip=1)
    assert found.estimate.estimate is None
    assert (found.estimate.low, found.estimate.high) == (0, 1)
    assert found.estimate.notes == ("1 of 10 positives and doubts are not reviewed yet",)
    assert found.certain.waiting == 1


def test_without_reviewed_negatives_there_is_no_corrected_rate() -> None:
    found = corrected(panel_of(2, 8), 0, truth_of(0, size=10))
    assert found.estimate.estimate is None
    assert "no judged negative was reviewed" in found.estimate.notes
    assert found.rest == 8


def test_a_queue_without_anything_certain_and_without_a_rest_is_no_error() -> None:
    assert corrected(panel_of(0, 10), 10, truth_of(3, size=10)).estimate.estimate == pytest.approx(0.1)
    assert corrected(panel_of(4, 0), 10, truth_of(0, size=4)).estimate.estimate == 0.25
    nothing = corrected([], 10, {}).estimate
    assert (nothing.estimate, nothing.notes) == (None, ("no data",))


def test_what_reviewers_cannot_tell_is_missing_and_not_clean() -> None:
    violated = truth_of(0, 1, size=20) | {f"{2:064d}": None, f"{10:064d}": None}
    found = corrected(panel_of(4, 16), 16, violated)
    assert (found.certain.untold, found.drawn.untold) == (1, 1)
    assert found.estimate.estimate == pytest.approx(2 / 18)
    assert found.estimate.missing == 2
    assert found.estimate.notes == ("left out: 2 that reviewers could not tell or differ on",)


def test_reviewers_who_differ_leave_the_case_open_until_a_joint_decision() -> None:
    samples = panel_of(1, 1)
    queue = queue_of(samples, Draw(negatives=1, seed=0)).items
    told = [decision(item, "ann", number == 0) for number, item in enumerate(queue)]
    told.append(decision(queue[0], "bob", False))
    disputed = correct("violated", queue, 1, standing(told))
    assert disputed.certain.untold == 1
    told.append(decision(queue[0], "ann", True).model_copy(update={"joint": True}))
    settled = correct("violated", queue, 1, standing(told))
    assert settled.estimate.estimate == 0.5


def decision(item: QueueItem, reviewer: str, violated: bool) -> Decision:
    return Decision(case_sha256=item.case_sha256, reviewer=reviewer, rubric="1-A", labels={"violated": violated})


def test_a_question_that_reviewers_did_not_answer_is_still_waiting() -> None:
    samples = panel_of(2, 8)
    queue = queue_of(samples, Draw(negatives=8, seed=0)).items
    answered = reviewed(queue, truth_of(0, size=10))
    assert correct("violated", queue, 8, answered).estimate.estimate == 0.1
    assert correct("misreport", queue, 8, answered).certain.waiting == 2
