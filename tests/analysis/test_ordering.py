"""An order that claims no more than the data, and concentration beside chance."""

import itertools
from collections import Counter
from math import comb
from typing import Any

import numpy as np
import pytest

from sidedoor.evals.analysis.concentration import leave_one_out, top_share
from sidedoor.evals.analysis.counts import Arm
from sidedoor.evals.analysis.ordering import order_models, score_p_values
from sidedoor.evals.analysis.proportions import wilson


def arms_of(events: dict[str, int], n: int) -> dict[str, Arm]:
    return {model: Arm(np.array([x]), np.array([n])) for model, x in events.items()}


def test_29_and_28_of_168_are_not_ordered_and_29_and_0_are(published: dict[str, Any]) -> None:
    events = published["ic"]["by_model"]
    rates = {model: x / 168 for model, x in events.items()}
    order = order_models(rates, score_p_values(("all",), arms_of(events, 168)))
    assert order.family == 45
    assert ("Gemini 3.1 Pro", "Gemini 3 Flash") in order.unordered
    assert ("GPT-5.5", "Gemini 3 Flash") in order.ordered
    assert ("GPT-5.5", "GPT-5.4") in order.unordered
    ranks = {r.model: (r.best_rank, r.worst_rank) for r in order.ranked}
    assert ranks["Gemini 3 Flash"] == ranks["Gemini 3.1 Pro"]
    assert ranks["Gemini 3 Flash"][1] == 10
    assert ranks["GPT-5.5"][0] == ranks["GPT-5.4"][0] == 1


def test_equal_models_are_ordered_in_at_most_one_of_twenty_families() -> None:
    rng = np.random.default_rng(2)
    claims = 0
    for _ in range(200):
        events = {f"m{i}": int(x) for i, x in enumerate(rng.binomial(168, 0.1, 6))}
        rates = {model: x / 168 for model, x in events.items()}
        claims += bool(order_models(rates, score_p_values(("all",), arms_of(events, 168))).ordered)
    assert claims <= 20


def test_pairs_may_come_in_either_order_but_must_all_come() -> None:
    rates = {"a": 0.1, "b": 0.5, "c": 0.5}
    p_values = {("b", "a"): 0.001, ("a", "c"): 0.001, ("b", "c"): 0.0}
    order = order_models(rates, p_values)
    assert order.ordered == (("a", "b"), ("a", "c"))
    # Equal rates have no order whatever the p-value.
    assert order.unordered == (("b", "c"),)
    with pytest.raises(ValueError, match="3 pairs"):
        order_models(rates, {("b", "a"): 0.001})
    with pytest.raises(ValueError, match="fraction"):
        order_models({"a": 17.3}, {})


def test_one_model_is_in_order() -> None:
    order = order_models({"a": 0.1}, {})
    assert (order.ranked[0].best_rank, order.ranked[0].worst_rank, order.family) == (1, 1, 0)


def test_the_published_concentrations_stand_beside_their_null(published: dict[str, Any]) -> None:
    events = published["ic"]["by_model"]
    found = top_share(events, dict.fromkeys(events, 168), k=2)
    assert found.top == ("Gemini 3 Flash", "Gemini 3.1 Pro")
    assert found.events == 86
    assert found.share is not None
    assert round(100 * found.share, 1) == 66.3
    assert found.null_quantile is not None
    assert found.null_quantile < 0.4
    assert found.p_value is not None
    assert found.p_value < 0.001
    assert round(100 * published["ic"]["top_three_scenarios"] / 86, 1) == 84.9


def test_with_ten_events_ten_equal_models_already_give_a_top_two_share_of_048() -> None:
    models = [f"m{i}" for i in range(10)]
    found = top_share(dict.fromkeys(models, 1), dict.fromkeys(models, 168), k=2)
    assert found.null_mean is not None
    assert round(found.null_mean, 2) == 0.48
    assert found.p_value == 1


def test_the_null_is_the_exact_distribution() -> None:
    # 3 events over three groups of 4 samples: enumerate the multivariate hypergeometric distribution.
    exact: Counter[int] = Counter()
    for x in itertools.product(range(4), repeat=3):
        if sum(x) == 3:
            exact[max(x)] += comb(4, x[0]) * comb(4, x[1]) * comb(4, x[2])
    total = sum(exact.values())
    found = top_share({"a": 2, "b": 1, "c": 0}, {"a": 4, "b": 4, "c": 4}, k=1, draws=200_000, seed=4)
    assert found.null_mean == pytest.approx(sum(m * w for m, w in exact.items()) / total / 3, abs=0.003)
    assert found.p_value == pytest.approx((exact[2] + exact[3]) / total, abs=0.005)


def test_a_group_cannot_have_more_events_under_the_null_than_it_has_samples() -> None:
    found = top_share({"a": 9, "b": 9}, {"a": 10, "b": 10}, k=1, level=0.99)
    assert found.null_quantile is not None
    assert found.null_quantile <= 10 / 18


def test_concentration_is_reproducible_and_empty_without_events() -> None:
    one, other = (top_share({"a": 3, "b": 1}, {"a": 9, "b": 9}, 1, draws=1000, seed=8) for _ in range(2))
    assert one == other
    none = top_share({"a": 0, "b": 0}, {"a": 9, "b": 9}, 1)
    assert (none.share, none.null_quantile, none.p_value, none.events) == (None, None, None, 0)


@pytest.mark.parametrize(
    ("events", "samples", "k"), [({"a": 1}, {"b": 2}, 1), ({"a": 3}, {"a": 2}, 1), ({"a": 1}, {"a": 2}, 2)]
)
def test_impossible_concentrations_are_refused(events: dict[str, int], samples: dict[str, int], k: int) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        top_share(events, samples, k)


def test_leaving_one_model_out_shows_what_hangs_on_it(published: dict[str, Any]) -> None:
    events = published["ic"]["by_model"]
    found = leave_one_out(list(events), lambda models: wilson(sum(events[m] for m in models), 168 * len(models)))
    assert (found["Gemini 3 Flash"].x, found["Gemini 3 Flash"].n) == (57, 1512)
    assert (found["GPT-5.5"].x, found["GPT-5.5"].n) == (86, 1512)
    assert leave_one_out(["alone"], lambda models: wilson(0, len(models))) == {}
