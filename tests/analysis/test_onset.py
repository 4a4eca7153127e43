"""First events by call, against statsmodels, against binomial intervals, and against a known truth."""

import math
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from statsmodels.duration.survfunc import SurvfuncRight
from statsmodels.stats.proportion import proportion_confint

from sidedoor.evals.analysis.onset import Onset, OnsetRow, onset
from sidedoor.evals.analysis.proportions import wilson

Ints = NDArray[np.int64]


def draw(seed: int, size: int, event: float, end: float) -> tuple[NDArray[np.bool_], Ints]:
    """Whether each sample has the event before it ends, and its last known call; chances are per call."""
    rng = np.random.default_rng(seed)
    first, last = rng.geometric(event, size), rng.geometric(end, size)
    return first <= last, np.minimum(first, last)


def at(found: Onset, call: int) -> OnsetRow:
    """The row that holds at a call: the latest until then."""
    return [row for row in found.rows if row.call <= call][-1]


@pytest.mark.parametrize("seed", range(5))
def test_the_curve_and_its_variance_are_those_of_statsmodels(seed: int) -> None:
    event, call = draw(seed, 80, 0.04, 0.06)
    oracle = SurvfuncRight(call, event)
    rows = {row.call: row for row in onset(event, call, call).rows if row.events}
    assert list(rows) == [time for time, events in zip(oracle.surv_times, oracle.n_events, strict=True) if events]
    for time, survival, error in zip(oracle.surv_times, oracle.surv_prob, oracle.surv_prob_se, strict=True):
        if time in rows and 0 < survival < 1:
            row = rows[time]
            assert 1 - row.incidence == pytest.approx(survival, abs=1e-9)
            size = survival * (1 - survival) / error**2
            low, high = proportion_confint(size * (1 - survival), size, method="wilson")
            assert (row.low, row.high) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_numbers_at_risk_and_the_median_are_those_of_statsmodels(seed: int) -> None:
    event, call = draw(seed, 61, 0.2, 0.05)
    oracle, found = SurvfuncRight(call, event), onset(event, call, call)
    assert [found.at_risk(int(time)) for time in oracle.surv_times] == list(oracle.n_risk)
    assert found.median is not None
    assert found.median.estimate == oracle.quantile(0.5)


def test_where_no_sample_ends_early_it_is_the_wilson_interval_of_the_share() -> None:
    event = [True, True, True, False, False, False, False, False, False, False]
    first = [2, 4, 4, None, None, None, None, None, None, None]
    found = onset(event, first, [9] * 10)
    for row, events in zip(found.rows, (1, 3, 3), strict=True):
        share = wilson(events, 10)
        assert (row.incidence, row.low, row.high) == pytest.approx((share.estimate, share.low, share.high), abs=1e-12)


def test_an_event_and_an_end_at_the_same_call_are_both_at_risk_there() -> None:
    (row,) = onset([True, False, False], [3, None, None], [5, 3, 3]).rows
    assert (row.call, row.at_risk, row.events, row.ended) == (3, 3, 1, 2)
    assert row.incidence == pytest.approx(1 / 3)


def test_after_an_event_the_interval_widens_as_samples_end_and_the_curve_stays() -> None:
    found = onset([True, *[False] * 20], [1, *[None] * 20], [1, *range(2, 22)])
    widths = [row.high - row.low for row in found.rows]
    assert widths[0] == pytest.approx(widths[1])
    assert all(wider > narrow for narrow, wider in pairwise(widths[1:]))
    assert len({row.incidence for row in found.rows}) == 1


@pytest.mark.parametrize(
    ("event", "call"),
    [([True], [1]), ([False], [1]), ([True] * 50, [2] * 50), ([False] * 50, [2] * 50), ([True, False], [3, 1])],
)
def test_no_interval_is_without_width(event: list[bool], call: list[int]) -> None:
    found = onset(event, call, call)
    assert found.rows
    for row in found.rows:
        assert 0 <= row.low < row.high <= 1
    assert found.median is not None
    assert found.median.by is None or found.median.after < found.median.by


def test_the_interval_of_the_median_holds_the_calls_whose_interval_holds_one_half() -> None:
    event, call = draw(3, 60, 0.1, 0.03)
    found = onset(event, call, call)
    undecided = [row.call for row in found.rows if row.low <= 0.5 <= row.high]
    later = [row.call for row in found.rows if row.low > 0.5]
    assert found.median is not None
    assert (found.median.after, found.median.by) == (undecided[0] - 1, later[0])
    assert found.median.estimate is not None
    assert found.median.after < found.median.estimate <= later[0]


def test_a_median_that_is_not_reached_has_no_estimate_but_may_have_a_bound() -> None:
    never = onset([False] * 40, [None] * 40, [12] * 40).median
    assert never is not None
    assert (never.estimate, never.after, never.by) == (None, 12, None)
    open_ended = onset([True, *[False] * 3], [4, None, None, None], [6] * 4).median
    assert open_ended is not None
    assert (open_ended.estimate, open_ended.after, open_ended.by) == (None, 3, None)


def test_a_median_of_exactly_one_half_is_reached_in_spite_of_rounding() -> None:
    for size in (6, 10, 14, 22, 98):
        median = onset([True] * size, range(1, size + 1), range(1, size + 1)).median
        assert median is not None
        assert median.estimate == size // 2


def test_what_has_no_known_outcome_or_call_is_missing_and_never_event_free() -> None:
    event = [True, True, False, False, None, None]
    found = onset(event, [5, None, None, None, 2, None], [9, 9, 9, None, 9, 9], absent=2)
    assert (found.x, found.n, found.missing, found.undated) == (1, 2, 6, 1)


def test_a_call_below_the_first_is_not_recorded() -> None:
    found = onset([True, False, False], [0, None, None], [4, -1, 4])
    assert (found.x, found.n, found.missing, found.undated) == (0, 1, 2, 1)


def test_a_call_of_an_event_that_a_review_took_back_does_not_count() -> None:
    found = onset([False], [2], [7])
    assert [(row.call, row.events) for row in found.rows] == [(7, 0)]


def test_the_quartiles_are_of_samples_with_the_event() -> None:
    assert onset([True] * 3 + [False], [2, 4, 9, None], [9] * 4).quartiles == (3, 4, 6.5)
    assert onset([False], [None], [9]).quartiles is None


def test_no_samples_are_no_curve_and_no_median() -> None:
    found = onset([None], [None], [None])
    assert (found.rows, found.median, found.n, found.missing) == ((), None, 0, 1)
    assert found.at_risk(1) == 0


@pytest.mark.parametrize(
    ("event", "first", "level", "words"),
    [
        ([True, False], [1], 0.95, "2 outcomes, 1 first calls"),
        ([True], [1.5], 0.95, "whole number"),
        ([True], [1], 1.0, "between 0 and 1"),
    ],
)
def test_what_cannot_be_a_life_table_is_refused(
    event: list[bool], first: list[float], level: float, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        onset(event, first, [9] * len(event), level=level)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "event", "end"), [(24, 0.02, 0.05), (60, 0.05, 0.05), (168, 0.005, 0.05)])
def test_pointwise_intervals_hold_the_truth_at_least_93_times_in_a_hundred(size: int, event: float, end: float) -> None:
    calls, held, replications = (5, 10, 20), [0, 0, 0], 500
    for seed in range(replications):
        found = onset(*(happened := draw(seed, size, event, end)), happened[1])
        for index, call in enumerate(calls):
            row = at(found, call)
            held[index] += row.low <= 1 - (1 - event) ** call <= row.high
    # Two standard errors of a share near .95 from this many replications are about .02.
    assert min(held) / replications >= 0.93 - 0.02


@pytest.mark.slow
def test_the_interval_of_the_median_holds_the_true_median() -> None:
    true, held, replications = math.ceil(math.log(0.5) / math.log(0.92)), 0, 500
    for seed in range(replications):
        event, call = draw(seed, 60, 0.08, 0.04)
        median = onset(event, call, call).median
        assert median is not None
        held += median.after < true and (median.by is None or true <= median.by)
    assert held / replications >= 0.93


def test_an_entry_may_stand_for_several_samples_or_for_none() -> None:
    event, call = draw(3, 60, 0.1, 0.05)
    times = np.random.default_rng(3).integers(0, 4, 60)
    repeated = (np.repeat(values, times) for values in (event, call, call))
    assert onset(event, call, call, times=times, absent=2) == onset(*repeated, absent=2)
    assert onset([1, None, 0], [1, 1, 1], [9, 9, 0], times=[0, 3, 2]).missing == 5
