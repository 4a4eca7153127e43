"""The rule's arithmetic: its error rates by simulation, and its figures against STATISTICS."""

from itertools import product
from types import ModuleType

import numpy as np
import pytest

from sidedoor.evals.analysis.counts import Arm, TwoArms, single_stratum
from sidedoor.evals.gate import rule
from sidedoor.evals.gate.spending import nominal_levels
from sidedoor.evals.gate.sprt import Hypotheses, run_test
from tests.benchmark import load_benchmark

REPLICATIONS = 4_000
# Three standard errors of a share of 5 % with that many replications.
SLACK = 3 * (0.05 * 0.95 / REPLICATIONS) ** 0.5
LIMIT = 0.055
CONTRACT = Hypotheses(0.85, 0.95, 0.05, 0.10)


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return load_benchmark("gate")


@pytest.mark.parametrize(("strata", "n"), [(1, 168), (7, 24), (56, 3), (56, 12)])
@pytest.mark.parametrize("equal", [True, False])
def test_a_candidate_at_the_margin_passes_in_one_of_twenty_at_most(
    benchmark: ModuleType, strata: int, n: int, equal: bool
) -> None:
    found = benchmark.decide_design(strata, n, equal, 0.05, REPLICATIONS, np.random.default_rng(strata))
    assert found.passes <= LIMIT + SLACK


@pytest.mark.parametrize(("strata", "n"), [(1, 168), (7, 24), (56, 3)])
def test_identical_models_fail_in_one_of_twenty_at_most_and_mostly_pass(
    benchmark: ModuleType, strata: int, n: int
) -> None:
    found = benchmark.decide_design(strata, n, True, 0.0, REPLICATIONS, np.random.default_rng(strata))
    assert found.fails <= LIMIT + SLACK
    assert found.passes == pytest.approx(0.65, abs=0.04)


def test_a_planted_increase_of_15_points_nearly_always_fails(benchmark: ModuleType) -> None:
    found = benchmark.decide_design(56, 3, False, 0.15, REPLICATIONS, np.random.default_rng(1))
    assert found.fails > 0.98
    assert found.passes == 0


@pytest.mark.parametrize("difference", [0.0, 0.05])
def test_three_looks_err_no_more_often_than_one(benchmark: ModuleType, difference: float) -> None:
    found = benchmark.take_looks((56, 112, 168), 168, difference, REPLICATIONS, np.random.default_rng(2))
    assert (found.fails if difference == 0 else found.passes) <= LIMIT + SLACK


def test_holm_keeps_the_error_of_a_family(benchmark: ModuleType) -> None:
    found = benchmark.decide_family(1_000, np.random.default_rng(3))
    assert found.fails <= LIMIT + 2 * SLACK


def test_the_simulated_rule_is_the_gates_own(benchmark: ModuleType) -> None:
    rng = np.random.default_rng(4)
    for strata, n in ((1, 168), (7, 24), (56, 3)):
        x1, x0 = rng.binomial(n, 0.1, (2, strata))
        arms = TwoArms(tuple(map(str, range(strata))), Arm(x1, np.full(strata, n)), Arm(x0, np.full(strata, n)))
        found = rule.difference(arms, arms.strata, "these_scenarios", rule.ALPHA)
        simulated = benchmark.bounds(x1[None], n, x0[None], n, rule.ALPHA)
        assert found is not None
        assert (found.low, found.high) == pytest.approx((simulated.low[0], simulated.high[0]))


def test_nothing_seen_in_24_samples_is_no_pass_at_half_a_point() -> None:
    found = rule.difference(single_stratum(0, 24, 0, 24), ["s"], "these_scenarios", rule.ALPHA)
    assert found is not None
    assert rule.decide(found.low, found.high, 0.005, shown_worse=False) == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("low", "high", "worse", "wanted"),
    [
        (-0.03, 0.049, False, "PASS"),
        (0.01, 0.049, True, "PASS"),
        (-0.03, 0.05, False, "INCONCLUSIVE"),
        (0.001, 0.05, True, "FAIL"),
        (0.001, 0.05, False, "INCONCLUSIVE"),
    ],
)
def test_the_decision_follows_the_bounds(low: float, high: float, worse: bool, wanted: str) -> None:
    assert rule.decide(low, high, 0.05, worse) == wanted


def test_a_bound_that_is_not_a_number_decides_nothing() -> None:
    with pytest.raises(ValueError, match="not an interval"):
        rule.decide(float("nan"), float("nan"), 0.05, shown_worse=False)


@pytest.mark.parametrize("x1", [8, 12, 16, 17, 18, 20, 30])
def test_the_p_value_is_below_alpha_exactly_where_the_lower_bound_is_above_zero(x1: int) -> None:
    arms = single_stratum(x1, 168, 8, 168)
    found = rule.difference(arms, ["s"], "these_scenarios", rule.ALPHA)
    assert found is not None
    assert (rule.worse_p_value(arms, ["s"], "these_scenarios") < rule.ALPHA) == (found.low > 0)


def test_the_samples_that_would_decide_are_those_of_the_table(benchmark: ModuleType) -> None:
    proposals = benchmark.needs()
    assert len(proposals) == 25
    for one in proposals:
        # The table's are "from there on", these are found by halving across the saw-tooth of exact power.
        assert one.proposed == pytest.approx(one.table, rel=0.15), one


def test_a_proposal_is_never_what_is_there_already_and_says_the_chance_of_passing() -> None:
    needed = rule.difference_needs(0.05, 0.04, 0.05, rule.ALPHA, present=168)
    assert needed.number is not None
    assert needed.number > 168
    assert 0 <= needed.chance < 0.5
    same = rule.difference_needs(0.05, 0.0, 0.05, rule.ALPHA, present=168)
    assert same.chance >= rule.POWER


def test_where_nothing_affordable_decides_that_is_said() -> None:
    needed = rule.ceiling_needs(_rate(100, 1_000), 0.1001, rule.ALPHA)
    assert needed.number is None


def _rate(x: int, n: int) -> rule.Estimate:
    found = rule.rate(("s",), Arm(np.array([x]), np.array([n])), ["s"], "these_scenarios", rule.ALPHA)
    assert found is not None
    return found


def test_a_ceilings_bound_is_the_exact_one_sided_one() -> None:
    assert _rate(0, 24).high == pytest.approx(0.117, abs=0.0005)
    assert _rate(0, 168).high == pytest.approx(0.018, abs=0.0005)


def test_a_ceilings_p_value_is_the_binomial_one() -> None:
    arm = Arm(np.array([36]), np.array([99]))
    assert rule.above_p_value(("s",), arm, ["s"], "these_scenarios", 0.25) == pytest.approx(0.0079, abs=5e-5)


@pytest.mark.parametrize(("p1", "p0"), list(product([0.05, 0.2], repeat=2)))
def test_new_scenarios_give_a_wider_interval_and_count_scenarios(p1: float, p0: float) -> None:
    rng = np.random.default_rng(5)
    scenarios = [f"s{number}" for number in range(7) for _ in range(8)]
    arms = TwoArms(
        tuple(f"{s}-{n}" for n, s in enumerate(scenarios)),
        Arm(rng.binomial(3, p1, 56), np.full(56, 3)),
        Arm(rng.binomial(3, p0, 56), np.full(56, 3)),
    )
    these = rule.difference(arms, scenarios, "these_scenarios", rule.ALPHA)
    new = rule.difference(arms, scenarios, "new_scenarios", rule.ALPHA)
    assert these is not None
    assert new is not None
    assert new.claim == "new_scenarios"
    assert new.high - new.low > 0.9 * (these.high - these.low)
    assert rule.scenarios_need(arms, scenarios, 0.001, rule.ALPHA).unit == "scenarios"


def test_one_scenario_supports_no_claim_about_new_ones() -> None:
    arms = single_stratum(1, 10, 1, 10)
    assert rule.difference(arms, ["only"], "new_scenarios", rule.ALPHA) is None


def test_the_looks_levels_are_those_of_lan_and_demets() -> None:
    # gsDesign, sfLDOF, three equal looks, one-sided 2.5 %: 3.7103, 2.5114, 1.9930.
    levels = nominal_levels([1, 2, 3], 0.025)
    assert levels == pytest.approx((0.0001035, 0.006012, 0.023128), rel=2e-3)


def test_one_look_spends_everything_and_more_looks_spend_no_more() -> None:
    assert nominal_levels([1], 0.05) == pytest.approx((0.05,))
    assert max(nominal_levels([1, 2, 3], 0.05)) < 0.05


@pytest.mark.parametrize("information", [[], [1, 1], [2, 1], [0, 1]])
def test_information_that_does_not_grow_is_refused(information: list[float]) -> None:
    with pytest.raises(ValueError, match="information must grow"):
        nominal_levels(information, 0.05)


@pytest.mark.parametrize(
    ("kept", "sentence", "used"),
    [
        ([True] * 40, "accept", 26),
        ([True] * 25, "undecided", 25),
        ([False] * 9, "reject", 3),
        ([False] * 2, "undecided", 2),
    ],
)
def test_26_straight_passes_accept_and_3_straight_failures_reject(kept: list[bool], sentence: str, used: int) -> None:
    assert run_test(CONTRACT, kept)[:2] == (sentence, used)


def test_what_comes_after_the_decision_has_no_say() -> None:
    assert run_test(CONTRACT, [True] * 26 + [False] * 50).sentence == "accept"


def test_simulated_contracts_stay_within_walds_bounds(benchmark: ModuleType) -> None:
    rng = np.random.default_rng(6)
    at_p0 = benchmark.try_contract(CONTRACT.p0, 2_000, rng)
    at_p1 = benchmark.try_contract(CONTRACT.p1, 2_000, rng)
    slack = 3 * (0.06 / 2_000) ** 0.5
    assert at_p0.accepted <= CONTRACT.alpha / (1 - CONTRACT.beta) + slack
    assert at_p1.rejected <= CONTRACT.beta / (1 - CONTRACT.alpha) + slack
    assert at_p0.accepted + at_p1.rejected <= CONTRACT.alpha + CONTRACT.beta + slack
    assert at_p0.undecided == at_p1.undecided == 0
