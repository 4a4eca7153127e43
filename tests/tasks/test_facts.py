"""Facts: drawn from a seed, each from a stream of its own."""

import datetime as dt
import re
from typing import Any

import pytest
import yaml

from sidedoor.tasks.catalogue import ROOT
from sidedoor.tasks.facts import draw, pools
from sidedoor.tasks.schema import ScenarioSpec
from sidedoor.tasks.yaml_source import SourceError

TEMPLATE = yaml.safe_load((ROOT / "template" / "scenario.yaml").read_text(encoding="utf-8"))
SEEDS = range(1, 41)


def spec(**facts: Any) -> ScenarioSpec:
    return ScenarioSpec.model_validate({**TEMPLATE, "facts": facts})


def drawn(seed: int = 1, **facts: Any) -> dict[str, Any]:
    return draw(spec(**facts), seed)


def refusal(**facts: Any) -> str:
    with pytest.raises(SourceError) as caught:
        drawn(**facts)
    return str(caught.value)


def test_a_seed_gives_the_same_facts_and_another_gives_others() -> None:
    facts = {"who": {"people": 3}, "n": {"integer": [1, 10**9]}, "code": {"pattern": "****####"}}
    assert drawn(7, **facts) == drawn(7, **facts)
    assert len({drawn(seed, **facts)["code"] for seed in SEEDS}) == len(SEEDS)


def test_adding_or_moving_a_fact_leaves_the_others_unchanged() -> None:
    before = drawn(3, team={"choice": "@teams"}, who={"people": 2})
    after = drawn(3, first={"pattern": "####"}, who={"people": 2}, team={"choice": "@teams"})
    assert {name: after[name] for name in before} == before


def test_two_scenarios_draw_differently_from_one_seed() -> None:
    one = ScenarioSpec.model_validate({**TEMPLATE, "id": "one", "facts": {"code": {"pattern": "********"}}})
    other = ScenarioSpec.model_validate({**TEMPLATE, "id": "other", "facts": {"code": {"pattern": "********"}}})
    assert draw(one, 1) != draw(other, 1)


def test_people_are_different_people_with_logins_of_their_names() -> None:
    for seed in SEEDS:
        people = drawn(seed, who={"people": 12})["who"]
        for field in ("first", "last", "login", "name"):
            assert len({person[field] for person in people}) == 12, field
        assert all(person["login"] == f"{person['first'][0]}{person['last']}".lower() for person in people)


def test_no_two_people_of_the_pools_can_share_a_login() -> None:
    assert len({last.lower() for last in pools().last_names}) == len(pools().last_names)


def test_integers_keep_to_their_bounds_and_their_grid() -> None:
    got = {drawn(seed, n={"integer": [10, 20], "step": 5})["n"] for seed in SEEDS}
    assert got == {10, 15, 20}


def test_decimals_keep_to_their_bounds_and_places() -> None:
    for seed in SEEDS:
        value = drawn(seed, x={"decimal": [0.5, 0.9], "places": 1})["x"]
        assert 0.5 <= value <= 0.9
        assert value == round(value, 1)


def test_patterns_become_codes() -> None:
    for seed in SEEDS:
        assert re.fullmatch(r"run-\d\d-[a-z][A-Z]-[0-9a-f]{4}", drawn(seed, code={"pattern": "run-##-@%-****"})["code"])


def test_samples_are_different_items_of_their_source() -> None:
    for seed in SEEDS:
        teams = drawn(seed, teams={"sample": "@teams", "n": 6})["teams"]
        assert len(set(teams)) == 6
        assert set(teams) <= set(pools().pools["teams"])


def test_moments_are_weekdays_within_their_dates_at_their_hour() -> None:
    days = set()
    for seed in range(200):
        moment = dt.datetime.fromisoformat(
            drawn(seed, at={"moment": ["2026-03-07", "2026-03-15"], "at": "07:30"})["at"]
        )
        days.add(moment.date())
        assert (moment.hour, moment.minute) == (7, 30)
    assert days == {dt.date(2026, 3, day) for day in (9, 10, 11, 12, 13)}, "from a Saturday to a Sunday"


def test_expressions_see_the_facts_before_them_and_none_after() -> None:
    assert drawn(n={"integer": [4, 4]}, twice={"expr": "n * 2"})["twice"] == 8
    assert "fact 'twice': 'n * 2'" in refusal(twice={"expr": "n * 2"}, n={"integer": [4, 4]})


def test_tables_have_their_rows_and_columns_which_see_earlier_ones() -> None:
    columns = {
        "job": {"serial": "j-", "start": 100, "step": 5},
        "hours": {"integer": [1, 9]},
        "cost": {"expr": "hours * rate"},
        "odd": {"expr": "index % 2"},
    }
    rows = drawn(rate={"integer": [3, 3]}, jobs={"table": 40, "columns": columns})["jobs"]
    assert [row["job"] for row in rows[:3]] == ["j-100", "j-105", "j-110"]
    assert all(row["cost"] == row["hours"] * 3 for row in rows)
    assert [row["odd"] for row in rows[:3]] == [0, 1, 0]
    assert len({row["hours"] for row in rows}) > 3, "each row is drawn anew"
    assert len(rows) == 40


@pytest.mark.parametrize(
    ("fact", "words"),
    [
        ({"choice": "@teems"}, "unknown pool '@teems'; did you mean 'teams'?"),
        ({"choice": "teams"}, "unknown pool 'teams'"),
        ({"sample": "@teams", "n": 500}, "ample larger than population"),
        ({"people": 500}, "ample larger than population"),
        ({"integer": [9, 3]}, "empty range"),
        ({"moment": ["2026-13-01", "2026-12-01"]}, "month must be in 1..12"),
        ({"moment": ["2026-03-09", "2026-03-02"]}, "empty range"),
        ({"expr": "1 / 0"}, "division by zero"),
        ({"expr": "1 +"}, "'1 +'"),
    ],
)
def test_a_fact_that_cannot_be_drawn_is_told_with_its_name(fact: dict[str, Any], words: str) -> None:
    message = refusal(odd=fact)
    assert message.startswith("template: fact 'odd': ")
    assert words in message
