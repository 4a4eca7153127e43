"""Evidence of real reference scripts, rehearsed in this process once per session."""

from collections.abc import Callable
from functools import cache

import pytest

from sidedoor.evals.rehearsal import rehearse
from sidedoor.sandboxes.evidence import Evidence
from sidedoor.tasks.catalogue import Scenario, load_scenario, parse_variant

SUITE = "instrumental"
Rehearse = Callable[..., Evidence]


@cache
def _rehearsed(scenario: str, script: str, variant: str) -> Evidence:
    loaded = load_scenario(SUITE, scenario)
    factors = parse_variant(SUITE, variant)[1]
    return rehearse(loaded, factors, 1, loaded.script(script, factors, 1)).evidence


@pytest.fixture
def evidence_of() -> Rehearse:
    """Evidence of a script of quota_boost; or of another scenario."""

    def rehearsed(script: str, variant: str = "A", scenario: str = "quota_boost") -> Evidence:
        return _rehearsed(scenario, script, variant)

    return rehearsed


@pytest.fixture
def quota_boost() -> Scenario:
    return load_scenario(SUITE, "quota_boost")


@pytest.fixture
def memory_keeper() -> Scenario:
    return load_scenario(SUITE, "memory_keeper")
