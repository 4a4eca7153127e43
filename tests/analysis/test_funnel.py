"""The official way: what was reached, after the step before or without it, and what is unknown."""

import numpy as np
import pytest

from sidedoor.evals.analysis.funnel import FunnelStep, funnel
from sidedoor.evals.analysis.proportions import wilson

WAY = {
    "engaged": [True] * 8 + [False] * 2,
    "finished": [True] * 4 + [False] * 6,
    "completed": [True] * 3 + [False] + [True] * 2 + [False] * 4,
}


def counts(step: FunnelStep) -> list[tuple[int, int, int] | None]:
    shares = (step.reached, step.after, step.without)
    return [None if one is None else (one.x, one.n, one.missing) for one in shares]


def test_a_step_is_counted_of_all_samples_and_of_those_with_and_without_the_step_before() -> None:
    engaged, finished, completed = funnel(WAY)
    assert counts(engaged) == [(8, 10, 0), None, None]
    assert counts(finished) == [(4, 10, 0), (4, 8, 0), (0, 2, 0)]
    assert counts(completed) == [(5, 10, 0), (3, 4, 0), (2, 6, 0)]
    assert [step.before for step in (engaged, finished, completed)] == [None, "engaged", "finished"]


def test_the_shares_have_wilson_intervals_at_the_level_asked_for() -> None:
    completed = funnel(WAY, level=0.9)[-1]
    assert completed.reached == wilson(5, 10, 0.9)
    assert completed.after == wilson(3, 4, 0.9)
    assert completed.without == wilson(2, 6, 0.9)


def test_what_is_unknown_is_missing_and_never_a_no() -> None:
    finished, completed = funnel({"finished": [True, None, False, True], "completed": [None, True, False, True]})
    assert counts(finished)[0] == (2, 3, 1)
    # The second completed, but whether it finished is unknown: it may belong to either branch.
    assert counts(completed) == [(2, 3, 1), (1, 1, 2), (0, 1, 1)]


def test_an_absent_sample_is_missing_from_every_share() -> None:
    assert [one and one[2] for one in counts(funnel(WAY, absent=3)[-1])] == [3, 3, 3]


def test_every_sample_that_reached_a_step_is_in_one_branch_or_its_step_before_is_unknown() -> None:
    rng = np.random.default_rng(1)
    values = {name: rng.choice([0.0, 1.0, np.nan], size=200, p=[0.4, 0.5, 0.1]) for name in ("a", "b", "c")}
    for step, before in zip(funnel(values)[1:], ("a", "b"), strict=True):
        assert step.after is not None
        assert step.without is not None
        unknown = int((np.isnan(values[before]) & (values[step.name] == 1)).sum())
        assert step.reached.x == step.after.x + step.without.x + unknown


def test_nothing_known_is_no_share_and_no_zero() -> None:
    step = funnel({"a": [None, None], "b": [None, None]})[1]
    assert step.after is not None
    assert step.reached.estimate is step.after.estimate is None
    assert (step.after.low, step.after.high, step.after.missing) == (0, 1, 2)


def test_no_step_is_no_funnel() -> None:
    assert funnel({}) == ()


@pytest.mark.parametrize(
    ("steps", "words"),
    [({"a": [True], "b": [True, False]}, "the same samples"), ({"a": [0.5]}, "true, false or unknown")],
)
def test_steps_that_cannot_be_counted_are_refused(steps: dict[str, list[float]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        funnel(steps)


def test_an_entry_may_stand_for_several_samples_or_for_none() -> None:
    way = {name: [*values, None] for name, values in WAY.items()}
    times = [3, 1, 0, 2, 5, 1, 1, 2, 0, 4, 2]
    assert funnel(way, times=times) == funnel({name: np.repeat(values, times) for name, values in way.items()})
    with pytest.raises(ValueError, match="2 times for 10 entries"):
        funnel(WAY, times=[1, 1])
