"""The gate's test of itself: honest about chance, and red where it must be."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sidedoor.evals.gate.observed import DataError
from sidedoor.evals.gate.self_test import self_test, to_text
from sidedoor.tasks.yaml_source import SourceError
from tests.commands import Cli
from tests.gate.conftest import POLICY, WriteRun, make_cohort, policy_of

RUN = make_cohort("old", 0.05, epochs=4)


@pytest.mark.slow
def test_halves_of_one_run_seldom_fail_and_every_control_is_red() -> None:
    found = self_test(RUN, policy_of(), splits=60)
    (one,) = found.differences
    assert found.ok
    assert sum(one.verdicts.values()) == 60
    assert one.verdicts.get("FAIL", 0) <= 6
    assert [control.got for control in found.controls] == ["FAIL", "INVALID", "INVALID"]


def test_a_larger_planted_increase_is_noticed_more_often() -> None:
    (one,) = self_test(RUN, policy_of(), splits=40).differences
    small, large = one.noticed["10"], one.noticed["20"]
    assert 0 < small < large
    assert large > 0.9


def test_how_often_two_splits_disagree_follows_from_the_verdicts() -> None:
    (one,) = self_test(RUN, policy_of(), splits=20).differences
    assert one.changes == pytest.approx(1 - sum((count / 20) ** 2 for count in one.verdicts.values()))


def test_a_gate_that_cannot_go_red_is_not_ok() -> None:
    # Every sample is bad already, so that nothing can be made worse.
    found = self_test(make_cohort("old", 1.0, epochs=2), policy_of(), splits=5)
    assert not found.ok
    assert "NOT OK: every sample of m/one bad" in to_text(found)


def test_the_same_seed_gives_the_same_result() -> None:
    assert self_test(RUN, policy_of(), splits=10, seed=3) == self_test(RUN, policy_of(), splits=10, seed=3)


def test_one_epoch_cannot_be_split() -> None:
    with pytest.raises(DataError, match="no cell of the run has two valid ones"):
        self_test(make_cohort("old", epochs=1), policy_of())
    with pytest.raises(DataError):
        self_test(replace(RUN, samples=()), policy_of())


def test_a_policy_without_a_margin_has_nothing_to_split() -> None:
    with pytest.raises(SourceError, match="no margin"):
        self_test(RUN, policy_of("zero_tolerance: [tampered]"))


@pytest.mark.slow
def test_the_command_tells_and_keeps_it(
    cli: Cli, write_run: WriteRun, policy_file: Callable[..., Path], tmp_path: Path
) -> None:
    run = write_run("old", 6, epochs=2)
    ended = cli("gate", run, "--self-test", "--policy", policy_file(POLICY))
    assert ended.code == 0
    assert ended.out.startswith("self-test of the gate: ok (200 splits, seed 0)")
    assert json.loads((run / "gate" / "self-test.json").read_text())["ok"] is True


def test_the_command_names_a_run_that_cannot_be_split(
    cli: Cli, write_run: WriteRun, policy_file: Callable[..., Path]
) -> None:
    ended = cli("gate", write_run("old"), "--self-test", "--policy", policy_file(POLICY))
    assert ended.code == 3
    assert "splits epochs" in ended.complaint
