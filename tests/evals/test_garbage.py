"""Cycles are collected rarely during an evaluation, still bounded, and as before after it."""

import gc
from collections.abc import Iterator

import pytest

from sidedoor.evals.garbage import THRESHOLDS, rare_collections


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


def test_one_within_another_keeps_nothing_alive_and_leaves_the_other_as_it_was() -> None:
    with rare_collections():
        made_meanwhile = [[] for _ in range(1000)]
        with rare_collections():
            assert made_meanwhile[0] in gc.get_objects()[-5000:]  # what is kept apart is not among them
        assert gc.get_freeze_count() > 0
        assert gc.get_threshold() == THRESHOLDS


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
