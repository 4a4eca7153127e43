"""Cycles are collected rarely during an evaluation, still bounded, and as before after it."""

import gc

import pytest

from sidedoor.evals.garbage import rare_collections


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
