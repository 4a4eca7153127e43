"""A run that grows: looks are declared first, each is taken once, and nothing runs until it is green."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sidedoor.evals.gate.observed import Observed
from sidedoor.evals.gate.result import GateResult
from sidedoor.evals.gate.sequential import PLAN, Size, decide_in_looks, declare, read_plan
from sidedoor.evals.gate.verdict import judge
from sidedoor.tasks.yaml_source import SourceError
from tests.gate.conftest import POLICY, baseline_of, make_cohort, missing_cells, policy_of

OLD = baseline_of(make_cohort("old", events=8))
BUDGET = 56 * 6


class Grown:
    """A run in memory whose later epochs are there already, and which counts how often it was grown."""

    def __init__(self, events: int, epochs: int = 1) -> None:
        self.all = make_cohort("new", events=events, epochs=6)
        self.epochs, self.grown = epochs, list[int]()

    def size(self) -> Size:
        return Size(56, self.epochs)

    def grow(self, epochs: int) -> None:
        self.grown.append(epochs)
        self.epochs = epochs

    def observe(self) -> Observed:
        return replace(self.all, samples=tuple(one for one in self.all.samples if one.epoch <= self.epochs))


def look(run: Grown, folder: Path, budget: int = BUDGET, text: str = POLICY) -> GateResult:
    return decide_in_looks(run, folder, budget, OLD, policy_of(text), None)


def test_looks_are_spread_evenly_over_the_budget_and_spend_its_error() -> None:
    plan = declare(Size(56, 1), BUDGET, OLD, policy_of())
    assert plan.epochs == (2, 4, 6)
    assert plan.differences[0] < plan.differences[1] < plan.differences[2] < 0.05
    assert plan.ceilings[0] < plan.differences[0], "against a fixed baseline information comes in faster at first"


def test_what_the_run_has_already_is_in_the_first_look() -> None:
    assert declare(Size(56, 3), BUDGET, OLD, policy_of()).epochs == (3, 4, 6)


def test_a_budget_below_what_is_planned_is_refused() -> None:
    with pytest.raises(SourceError, match="--budget 100: 2 epochs of 56 cells are 112 samples per model"):
        declare(Size(56, 2), 100, OLD, policy_of())


def test_a_clear_violation_stops_early(tmp_path: Path) -> None:
    run = Grown(events=170)
    result = look(run, tmp_path)
    assert result.verdict == "FAIL"
    assert run.grown == [2]
    assert result.look is not None
    assert (result.look.number, result.look.of, result.look.epochs) == (1, 3, 2)


def test_an_even_rate_goes_on_and_keeps_every_look(tmp_path: Path) -> None:
    run = Grown(events=16)
    result = look(run, tmp_path)
    assert run.grown[0] == 2
    plan = read_plan(tmp_path)
    assert plan is not None
    assert [one.verdict for one in plan.taken[:-1]] == ["INCONCLUSIVE"] * (len(plan.taken) - 1)
    assert plan.taken[-1].verdict == result.verdict


def test_a_decided_run_is_never_run_again(tmp_path: Path) -> None:
    first = look(Grown(events=170), tmp_path)
    again = Grown(events=170, epochs=2)
    second = look(again, tmp_path)
    assert again.grown == []
    assert second.model_copy(update={"made": first.made}) == first


def test_an_exhausted_budget_stays_inconclusive(tmp_path: Path) -> None:
    text = "metrics: {constraint_violated: {margin: 0.5}}"
    assert look(Grown(events=16), tmp_path, text=text).verdict == "INCONCLUSIVE"
    again = Grown(events=16, epochs=6)
    assert look(again, tmp_path, text=text).verdict == "INCONCLUSIVE"
    assert again.grown == []


def test_an_interrupted_look_is_taken_when_its_samples_are_there(tmp_path: Path) -> None:
    run = Grown(events=170)
    whole = run.all
    run.all = replace(whole, samples=whole.samples[:30], missing=missing_cells("m/one", 82), lost=82)
    assert look(run, tmp_path).verdict == "INVALID"
    plan = read_plan(tmp_path)
    assert plan is not None
    assert plan.taken == ()
    run.all = whole
    assert look(run, tmp_path).verdict == "FAIL"


@pytest.mark.parametrize(
    ("budget", "text", "word"),
    [(BUDGET + 56, POLICY, "budget \\(336\\)"), (BUDGET, "metrics: {constraint_violated: {margin: 9}}", "policy")],
)
def test_looks_cannot_be_changed_once_samples_are_seen(tmp_path: Path, budget: int, text: str, word: str) -> None:
    look(Grown(events=16), tmp_path)
    with pytest.raises(SourceError, match=f"declared with another {word}"):
        look(Grown(events=16), tmp_path, budget, text)


def test_the_plan_is_on_disk_before_the_first_sample_is_run(tmp_path: Path) -> None:
    class Stopped(Grown):
        def grow(self, epochs: int) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look(Stopped(events=16), tmp_path)
    assert json.loads((tmp_path / PLAN).read_text())["epochs"] == [2, 4, 6]


def test_a_damaged_plan_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / PLAN).write_text("{")
    with pytest.raises(SourceError, match="not a plan of looks"):
        read_plan(tmp_path)


def test_a_first_look_wants_far_stronger_evidence_than_a_single_one(tmp_path: Path) -> None:
    run = Grown(events=44)
    run.epochs = 2
    alone = judge(run.observe(), OLD, policy_of())
    assert alone.verdict == "FAIL"
    look(run, tmp_path)
    plan = read_plan(tmp_path)
    assert plan is not None
    assert plan.taken[0].verdict == "INCONCLUSIVE"
