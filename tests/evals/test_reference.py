"""Reference models: known names, known rates, and the same draws for the same seed."""

import asyncio
import math
from collections import Counter
from typing import Any

import pytest
from inspect_ai.model import GenerateConfig
from inspect_ai.util import Store

from sidedoor.evals.reference import ReferenceModel, check_rates, rates_for, reference_args, script_name
from sidedoor.scorers.record import EpisodeRecord
from sidedoor.tasks.catalogue import load_scenario
from sidedoor.tasks.schema import check_factors
from sidedoor.tasks.yaml_source import SourceError

DRAWS = 600


def draws(variant: str = "A", name: str = "mixture", scenario: str = "quota_boost", **rates: Any) -> list[str]:
    model = ReferenceModel(name, **rates)
    episode = {"suite": "instrumental", "scenario": scenario, "factors": check_factors({}), "seed": 1}
    record = EpisodeRecord(store=Store(), episode=episode, variant=variant)
    drawn = []
    for record.epoch in range(1, DRAWS + 1):
        drawn.append(model._drawn(record))
    return drawn


def assert_rate(drawn: list[str], kind: str, rate: float) -> None:
    """Within four standard errors of a binomial proportion; the draws are seeded, so this cannot flicker."""
    assert abs(drawn.count(kind) / len(drawn) - rate) <= 4 * math.sqrt(rate * (1 - rate) / len(drawn))


def test_a_mixture_draws_each_kind_at_its_rate_and_the_rest_is_official() -> None:
    drawn = draws(shortcut=0.2, escalate=0.1, idle=0.05)
    assert set(drawn) == {"shortcut", "escalate", "idle", "official"}
    for kind, rate in (("shortcut", 0.2), ("escalate", 0.1), ("idle", 0.05), ("official", 0.65)):
        assert_rate(drawn, kind, rate)


def test_a_variants_own_rate_replaces_the_general_one_there_and_nowhere_else() -> None:
    rates = {"shortcut": 0.1, "escalate": 0.1, "shortcut@H": 0.6}
    assert_rate(draws("A", **rates), "shortcut", 0.1)
    blocked = draws("H", **rates)
    assert_rate(blocked, "shortcut", 0.6)
    assert_rate(blocked, "escalate", 0.1)


def test_a_mixture_without_rates_has_those_that_are_documented() -> None:
    drawn = draws()
    assert_rate(drawn, "shortcut", 0.2)
    assert_rate(drawn, "escalate", 0.1)


def test_rates_of_zero_and_one_are_never_and_always() -> None:
    assert set(draws(shortcut=1.0)) == {"shortcut"}
    assert set(draws(shortcut=0)) == {"official"}


def test_the_same_seed_draws_the_same_and_another_seed_label_or_variant_does_not() -> None:
    base = draws(seed=7, shortcut=0.5)
    assert draws(seed=7, shortcut=0.5) == base
    for other in (draws(seed=8, shortcut=0.5), draws("H", seed=7, shortcut=0.5)):
        assert 0.35 < sum(a == b for a, b in zip(base, other, strict=True)) / DRAWS < 0.65
    assert draws(name="mixture-b", seed=7, shortcut=0.5) != base


def test_draws_of_two_scenarios_are_independent() -> None:
    one, other = draws(shortcut=0.5), draws(scenario="ledger_audit", shortcut=0.5)
    both = Counter(zip(one, other, strict=True))
    assert all(0.18 < both[pair] / DRAWS < 0.32 for pair in both)
    assert len(both) == 4


@pytest.mark.parametrize(
    ("rates", "words"),
    [
        ({"shortcutt": 0.1}, "unknown kind 'shortcutt'; did you mean 'shortcut'?"),
        ({"escalte@H": 0.1}, "unknown kind 'escalte'; did you mean 'escalate'?"),
        ({"violation": 0.1}, "unknown kind 'violation'"),
        ({"shortcut": 1.5}, "shortcut must be between 0 and 1, not 1.5"),
        ({"shortcut": -0.1}, "shortcut must be between 0 and 1, not -0.1"),
        ({"shortcut": float("nan")}, "shortcut must be between 0 and 1, not nan"),
        ({"shortcut": "half"}, "shortcut must be between 0 and 1, not half"),
        ({"shortcut": 0.7, "idle": 0.4}, "rates add up to more than 1 for all variants"),
        ({"shortcut": 0.5, "idle": 0.3, "shortcut@H": 0.8}, "rates add up to more than 1 for H"),
    ],
)
def test_rates_that_cannot_be_are_refused(rates: dict[str, Any], words: str) -> None:
    with pytest.raises(SourceError) as caught:
        ReferenceModel("mixture", **rates)
    assert words in str(caught.value)


def test_rates_may_add_up_to_one_exactly() -> None:
    rates = {"shortcut": 0.1, "escalate": 0.2, "attempt": 0.3, "idle": 0.2, "near_miss": 0.2}
    assert check_rates(rates) == rates
    assert rates_for({"idle": 0.1, "idle@H": 0.2}, "H") == {"idle": 0.2}


def test_a_latency_is_waited_for_before_each_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("sidedoor.evals.reference.anyio.sleep", sleep)
    for model in (ReferenceModel("official", latency=2.5), ReferenceModel("mixture", latency=2, shortcut=0.5)):
        with pytest.raises(LookupError):  # there is no sample here, which it sees only afterwards
            asyncio.run(model.generate([], [], "auto", GenerateConfig()))
    assert waited == [2.5, 2.0]


@pytest.mark.parametrize("latency", [-1, float("inf"), "soon"])
def test_a_latency_that_is_none_is_refused(latency: Any) -> None:
    with pytest.raises(SourceError, match="latency must be a number of seconds"):
        ReferenceModel("official", latency=latency)


def test_of_a_runs_model_arguments_each_model_gets_those_that_it_takes() -> None:
    given = {"latency": 1.0, "shortcut": 0.5}
    assert reference_args("reference/official", given) == {"latency": 1.0}
    assert reference_args("reference/mixture-b", given) == given
    assert reference_args("openai/any", given) == given


def test_only_a_mixture_takes_rates() -> None:
    with pytest.raises(SourceError, match="reference/official takes no rates; reference/mixture does"):
        ReferenceModel("official", shortcut=0.1)


def test_an_unknown_reference_is_refused_when_it_is_named_and_not_in_mid_run() -> None:
    with pytest.raises(SourceError, match="reference/oficial: no such script; did you mean 'official'"):
        ReferenceModel("oficial")
    for name in (
        "official",
        "shortcut",
        "attempt",
        "escalate",
        "idle",
        "near_miss",
        "mixture",
        "mixture-b",
        "scripted",
    ):
        assert ReferenceModel(name).model_name == name


def test_shortcut_means_a_scenarios_first_and_any_script_may_be_named() -> None:
    scenario = load_scenario("instrumental", "quota_boost")
    assert script_name(scenario, "shortcut") == "shortcut-colleague-account"
    assert script_name(scenario, "shortcut-admin-account") == "shortcut-admin-account"
    with pytest.raises(SourceError, match="reference/shortcut-admin: no such script; did you mean"):
        script_name(scenario, "shortcut-admin")
