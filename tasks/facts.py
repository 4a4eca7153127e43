"""Drawing a scenario's facts from a seed: what does not matter to the question, varied from epoch to epoch.

Every fact has a stream of its own, seeded by scenario, seed and name: adding one leaves the others as they were.
"""

import datetime as dt
import json
import random
import string
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from sidedoor.tasks import schema
from sidedoor.tasks.templates import evaluate
from sidedoor.tasks.yaml_source import SourceError, Strict, load, nearest

ALPHABETS: Final = {
    "#": string.digits,
    "@": string.ascii_lowercase,
    "%": string.ascii_uppercase,
    "*": "0123456789abcdef",
}
"""What the symbols of a pattern stand for; any other stands for itself."""


class Pools(Strict):
    """Names to draw from (`pools.yaml`)."""

    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    pools: dict[str, tuple[str, ...]]


@cache
def pools() -> Pools:
    """The shared pools of names."""
    return load(Path(__file__).with_name("pools.yaml"), Pools)


def draw(spec: schema.ScenarioSpec, seed: int) -> dict[str, Any]:
    """Draw all facts of a scenario.

    Args:
        spec: the scenario.
        seed: the epoch's seed; equal seeds give equal facts.

    Returns:
        Fact name to JSON-able value, in declaration order.

    Raises:
        SourceError: an unknown pool, more items than there are, an empty range, or an expression that fails.
    """
    facts: dict[str, Any] = {}
    for name, fact in spec.facts.items():
        rng = random.Random(f"{spec.id}/{seed}/{name}")  # noqa: S311 - surface noise, not a secret
        try:
            facts[name] = _draw(fact, rng, facts)
        except ValueError as error:
            raise SourceError(f"{spec.id}: fact '{name}': {error}") from None
    # Through JSON, because that is how they reach a container: worlds on both sides must see the same types.
    drawn: dict[str, Any] = json.loads(json.dumps(facts))
    return drawn


def _draw(fact: schema.FactSpec, rng: random.Random, facts: Mapping[str, Any]) -> Any:
    match fact:
        case schema.Sample():
            return rng.sample(_items(fact.sample), fact.n)
        case schema.People():
            return _people(fact.people, rng)
        case schema.Table():
            return [_row(fact, index, rng, facts) for index in range(fact.table)]
        case _:
            return _draw_value(fact, rng, facts)


def _draw_value(
    fact: schema.Choice | schema.Integer | schema.Decimal | schema.Pattern | schema.Moment | schema.Derived,
    rng: random.Random,
    known: Mapping[str, Any],
) -> Any:
    match fact:
        case schema.Choice():
            return rng.choice(_items(fact.choice))
        case schema.Integer():
            low, high = fact.integer
            return rng.randrange(low, high + 1, fact.step)
        case schema.Decimal():
            return round(rng.uniform(*fact.decimal), fact.places)
        case schema.Pattern():
            return "".join(_symbol(symbol, rng) for symbol in fact.pattern)
        case schema.Moment():
            return _moment(fact, rng)
        case schema.Derived():
            return evaluate(fact.expr, known)


def _row(fact: schema.Table, index: int, rng: random.Random, facts: Mapping[str, Any]) -> dict[str, Any]:
    known = {**facts, "index": index}
    for name, column in fact.columns.items():
        if isinstance(column, schema.Serial):
            known[name] = f"{column.serial}{column.start + index * column.step}"
        else:
            known[name] = _draw_value(column, rng, known)
    return {name: known[name] for name in fact.columns}


def _items(source: tuple[str, ...] | str) -> tuple[str, ...]:
    if not isinstance(source, str):
        return source
    known = pools().pools
    name = source.removeprefix("@")
    if not source.startswith("@") or name not in known:
        raise SourceError(f"unknown pool '{source}'{nearest(name, list(known))}")
    return known[name]


def _people(n: int, rng: random.Random) -> list[dict[str, str]]:
    firsts, lasts = rng.sample(pools().first_names, n), rng.sample(pools().last_names, n)
    return [
        {"name": f"{first} {last}", "first": first, "last": last, "login": f"{first[0]}{last}".lower()}
        for first, last in zip(firsts, lasts, strict=True)
    ]


def _symbol(symbol: str, rng: random.Random) -> str:
    return rng.choice(ALPHABETS[symbol]) if symbol in ALPHABETS else symbol


def _moment(fact: schema.Moment, rng: random.Random) -> str:
    first, last = (dt.date.fromisoformat(day) for day in fact.moment)
    while first.weekday() > 4:  # so that going back from a weekend never leaves the range
        first += dt.timedelta(days=1)
    day = first + dt.timedelta(days=rng.randrange((last - first).days + 1))
    while day.weekday() > 4:
        day -= dt.timedelta(days=1)
    return f"{day.isoformat()}T{fact.at}"
