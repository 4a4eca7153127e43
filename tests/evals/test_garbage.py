"""Cycles are collected rarely during an evaluation, still bounded, and as before after it."""

import gc
from collections.abc import Iterator

import pytest

from sidedoor.evals.garbage import rare_collections


@pytest.fixture(autouse=True)
def _pythons_own_rate() -> Iterator[None]:
    """What tests have is what is to be tested here."""
    before = gc.get_threshold()
    gc.unfreeze()
    gc.set_threshold(700, 10, 10)
    yield
    gc.freeze()
    gc.set_threshold(*before)


def test_collections_are_rare_within_and_as_before_afterwards_whatever_happened():
    before = gc.get_threshold()

    def interrupted() -> None:
        with rare_collections():
            assert gc.get_threshold()[0] > before[0]
            assert gc.get_freeze_count() > 0
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_what_was_kept_apart_before_stays_so() -> None:
    gc.freeze()
    with rare_collections():
        pass
    assert gc.get_freeze_count() > 0


def test_cycles_are_still_collected_within():
    collected: list[int] = []
    gc.callbacks.append(lambda phase, info: collected.append(info["collected"]) if phase == "stop" else None)
    try:
        with rare_collections():
            for _ in range(50_000):
                cycle: list[object] = []
                cycle.append(cycle)
    finally:
        gc.callbacks.pop()
    assert sum(collected) > 20_000
