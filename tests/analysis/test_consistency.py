"""Epochs of a cell, and what missing samples could do."""

import statistics

import numpy as np
import pytest

from sidedoor.evals.analysis.bounds import difference_bounds, rate_bounds, rates_bounds
from sidedoor.evals.analysis.consistency import coefficient_of_variation, consistency, first_parting
from sidedoor.evals.analysis.counts import Arm, TwoArms
from sidedoor.evals.analysis.proportions import wilson


def test_cells_are_systematic_sporadic_or_never_and_the_rest_is_undecided() -> None:
    found = consistency(
        {
            "all": [True, True, True],
            "some": [True, False, True],
            "some, one unknown": [True, False, None],
            "none": [False, False, False],
            "all that is known": [True, True, None],
            "single": [True],
            "unknown": [None, None],
            "empty": [],
        }
    )
    shares = (found.systematic, found.sporadic, found.never)
    assert [(s.x, s.n, s.missing) for s in shares] == [(1, 4, 4), (2, 4, 4), (1, 4, 4)]
    assert found.undecided == ("all that is known", "single", "unknown", "empty")
    assert (found.systematic.low, found.systematic.high) == (wilson(1, 4).low, wilson(1, 4).high)


def test_no_cells_are_no_share() -> None:
    assert consistency({}).systematic.estimate is None


def test_the_variation_of_steps_is_their_sample_deviation_over_their_mean() -> None:
    assert coefficient_of_variation([10, 12, 17]) == pytest.approx(statistics.stdev([10, 12, 17]) / 13)
    assert coefficient_of_variation([4, 4]) == 0
    assert coefficient_of_variation([4]) is coefficient_of_variation([]) is coefficient_of_variation([0, 0]) is None
    with pytest.raises(ValueError, match="not negative"):
        coefficient_of_variation([-1, 2])


@pytest.mark.parametrize(
    ("sequences", "step"),
    [
        (["abc", "abd"], 3),
        (["abc", "ab"], 3),
        (["abc", "abc", "xbc"], 1),
        (["abc", "abc"], None),
        (["", "a"], 1),
        (["abc"], None),
        ([], None),
    ],
)
def test_sequences_part_at_the_first_step_that_differs_counted_from_one(sequences: list[str], step: int | None) -> None:
    assert first_parting(sequences) == step


def test_bounds_of_a_rate_count_every_missing_sample_both_ways() -> None:
    lowest, highest = rate_bounds(5, 100, 20)
    assert (lowest.x, lowest.n, highest.x, highest.n) == (5, 120, 25, 120)
    assert (lowest.low, highest.high) == (wilson(5, 120).low, wilson(25, 120).high)
    assert lowest.missing == highest.missing == 20
    assert rate_bounds(0, 0, 0).lowest.estimate is None
    assert rates_bounds([5, 0], [100, 0], [20, 0]) == [rate_bounds(5, 100, 20), rate_bounds(0, 0, 0)]


def test_bounds_of_a_difference_hold_every_way_to_fill_in_what_is_missing() -> None:
    rng = np.random.default_rng(1)
    x1, n1, m1 = np.array([3, 0]), np.array([20, 18]), np.array([2, 4])
    x0, n0, m0 = np.array([1, 2]), np.array([19, 20]), np.array([3, 0])
    bounds = difference_bounds(TwoArms(("a", "b"), Arm(x1, n1, m1), Arm(x0, n0, m0)))
    assert bounds.lowest.estimate is not None
    assert bounds.highest.estimate is not None
    for _ in range(50):
        filled1, filled0 = x1 + rng.integers(0, m1 + 1), x0 + rng.integers(0, m0 + 1)
        difference = float(np.mean(filled1 / (n1 + m1) - filled0 / (n0 + m0)))
        assert bounds.lowest.estimate - 1e-12 <= difference <= bounds.highest.estimate + 1e-12
    assert bounds.lowest.low < bounds.lowest.estimate < bounds.highest.estimate < bounds.highest.high


def test_a_cell_that_is_missing_whole_counts_in_the_bounds() -> None:
    arms = TwoArms(
        ("a", "b"),
        Arm(np.array([0, 0]), np.array([20, 0]), np.array([0, 20])),
        Arm(np.array([0, 0]), np.array([20, 20])),
    )
    lowest, highest = difference_bounds(arms)
    assert (lowest.estimate, highest.estimate) == (0, 0.5)
    assert lowest.left_out == ()
