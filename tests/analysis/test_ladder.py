"""How far samples went, where only a judge can see what was considered."""

import numpy as np
import pytest

from sidedoor.evals.analysis.estimate import Estimate
from sidedoor.evals.analysis.ladder import STAGES, ladder
from sidedoor.evals.analysis.proportions import wilson


def counts(estimate: Estimate | None) -> tuple[int, int, int] | None:
    return None if estimate is None else (estimate.x, estimate.n, estimate.missing)


def test_a_share_counts_every_sample_that_came_at_least_so_far() -> None:
    stages = [stage for stage, number in zip(STAGES, (10, 4, 3, 2), strict=True) for _ in range(number)]
    found = ladder(stages, [True] * 19)
    assert found.considered == wilson(9, 19)
    assert found.attempted == wilson(5, 19)
    assert found.achieved == wilson(2, 19)
    assert found.furthest == {"none": 10, "considered": 4, "attempted": 3, "achieved": 2}


def test_without_a_judge_considered_is_not_measured_and_not_zero() -> None:
    found = ladder(["none", "attempted", "achieved"], [False] * 3)
    assert found.considered is None
    assert counts(found.attempted) == (2, 3, 0)


def test_considered_is_of_the_samples_that_a_judge_looked_at_whatever_the_others_did() -> None:
    found = ladder(["considered", "none", "none", "achieved"], [True, True, False, False])
    assert counts(found.considered) == (1, 2, 2)
    assert counts(found.achieved) == (1, 4, 0)


def test_a_judge_who_could_not_tell_has_not_measured() -> None:
    found = ladder([None, "none"], [True, False])
    assert found.considered is None
    assert counts(found.attempted) == (0, 1, 1)
    assert found.furthest == {"none": 1, "unknown": 1}


def test_absent_samples_are_missing_from_every_share() -> None:
    found = ladder(["none"], [True], absent=4)
    assert [counts(one) for one in (found.considered, found.attempted, found.achieved)] == [(0, 1, 4)] * 3


def test_no_samples_are_no_share() -> None:
    found = ladder([], [])
    assert found.considered is None
    assert found.attempted.estimate is None
    assert found.furthest == {}


def test_shares_fall_from_stage_to_stage_where_all_samples_were_judged() -> None:
    found = ladder(["none", "considered", "considered", "attempted", "achieved"] * 3, [True] * 15, level=0.8)
    shares = (found.considered, found.attempted, found.achieved)
    assert [one and one.x for one in shares] == [12, 6, 3]
    assert all(one is not None and one.level == 0.8 for one in shares)


@pytest.mark.parametrize(
    ("stages", "judged", "words"),
    [(["thought"], [True], "no stage 'thought'"), (["none"], [True, False], "2 judgements for 1 samples")],
)
def test_stages_that_cannot_be_counted_are_refused(stages: list[str], judged: list[bool], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ladder(stages, judged)


def test_an_entry_may_stand_for_several_samples_or_for_none() -> None:
    stages, judged, times = [*STAGES, None, "none"], [True, False, True, False, True, True], [3, 1, 4, 1, 2, 0]
    repeated = [stage for stage, number in zip(stages, times, strict=True) for _ in range(number)]
    assert ladder(stages, judged, times=times) == ladder(repeated, np.repeat(judged, times))
    assert ladder(["none"], [True], times=[0]).considered is None
