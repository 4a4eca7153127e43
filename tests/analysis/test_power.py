"""What the gate decides how often, and how many samples that takes."""

import numpy as np
import pytest
from scipy import stats

from sidedoor.evals.analysis.differences import newcombe
from sidedoor.evals.analysis.power import gate_odds, samples_per_arm

MARGINS = (0.01, 0.02, 0.03, 0.05, 0.10)
# Samples per arm for 80 % power at a true difference of 0, one-sided 5 %, by simulation.
SIMULATED = {
    0.00: (268, 133, 88, 52, 25),
    0.01: (1322, 395, 205, 87, 42),
    0.05: (5921, 1482, 669, 246, 72),
    0.10: (11018, 2786, 1255, 454, 117),
    0.17: (17696, 4397, 1951, 695, 174),
}
CASES = [(rate, margin, n) for rate, row in SIMULATED.items() for margin, n in zip(MARGINS, row, strict=True)]


def test_identical_models_are_decided_as_measured() -> None:
    odds = gate_odds(168, 0.05, 0, 0.05)
    assert (round(odds.passes, 2), round(odds.fails, 3), round(odds.inconclusive, 2)) == (0.65, 0.045, 0.31)
    assert sum(odds) == pytest.approx(1)


@pytest.mark.parametrize("baseline", [0.01, 0.05, 0.10, 0.17])
@pytest.mark.parametrize("n", [52, 87, 168, 246, 500])
def test_a_candidate_at_the_margin_passes_about_one_time_in_twenty(n: int, baseline: float) -> None:
    assert 0.035 <= gate_odds(n, baseline, 0.05, 0.05).passes <= 0.054


@pytest.mark.parametrize(("difference", "margin"), [(0.0, 0.1), (0.2, 0.1), (-0.05, 0.2)])
def test_the_odds_are_the_sum_over_all_tables_of_the_rule_itself(difference: float, margin: float) -> None:
    n, baseline = 13, 0.2
    passes = fails = 0.0
    for x1 in range(n + 1):
        for x0 in range(n + 1):
            weight = stats.binom.pmf(x1, n, baseline + difference) * stats.binom.pmf(x0, n, baseline)
            found = newcombe(x1, n, x0, n, level=0.90)
            passes += weight * (found.high < margin)
            fails += weight * (found.low > 0 and found.high >= margin)
    odds = gate_odds(n, baseline, difference, margin)
    assert (odds.passes, odds.fails) == pytest.approx((passes, fails), abs=1e-12)


@pytest.mark.parametrize(("baseline", "margin", "simulated"), CASES)
def test_sample_sizes_are_those_of_the_table_but_for_its_simulation_error(
    baseline: float, margin: float, simulated: int
) -> None:
    n = samples_per_arm(baseline, margin)
    if (baseline, margin) == (0.01, 0.05):
        # The saw-tooth: 87 has the power and 98 does not; from 99 on every n has it.
        assert n == 99
        assert gate_odds(87, baseline, 0, margin).passes >= 0.8 > gate_odds(98, baseline, 0, margin).passes
    else:
        assert n == pytest.approx(simulated, rel=0.025)
    if baseline == 0:
        assert n == simulated


@pytest.mark.parametrize(("baseline", "margin"), [(0.01, 0.05), (0.05, 0.05), (0.05, 0.03), (0.17, 0.1), (0, 0.1)])
def test_no_larger_sample_has_too_little_power_and_one_fewer_has(baseline: float, margin: float) -> None:
    n = samples_per_arm(baseline, margin)
    assert gate_odds(n - 1, baseline, 0, margin).passes < 0.8
    assert all(gate_odds(m, baseline, 0, margin).passes >= 0.8 for m in range(n, n + 150))


def test_a_worse_candidate_and_more_power_need_more_samples() -> None:
    sizes = [
        samples_per_arm(0.05, 0.05, difference=-0.02),
        samples_per_arm(0.05, 0.05),
        samples_per_arm(0.05, 0.05, power=0.9),
        samples_per_arm(0.05, 0.05, difference=0.02),
    ]
    assert sizes == sorted(set(sizes))


def test_zero_baselines_need_what_the_bound_at_zero_events_needs() -> None:
    z = stats.norm.ppf(0.95)
    for margin in MARGINS:
        assert samples_per_arm(0, margin) == int(np.floor(z**2 * (1 - margin) / margin)) + 1


@pytest.mark.parametrize(
    ("baseline", "margin", "difference", "power"),
    [(5, 0.05, 0, 0.8), (0.05, 5, 0, 0.8), (0.05, 0.05, 0.05, 0.8), (0.05, 0.05, 0, 1), (0.99, 0.1, 0.05, 0.8)],
)
def test_questions_without_an_answer_are_refused(
    baseline: float, margin: float, difference: float, power: float
) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]+$"):
        samples_per_arm(baseline, margin, difference, power)


def test_a_gate_needs_a_sample() -> None:
    with pytest.raises(ValueError, match="at least one"):
        gate_odds(0, 0.05, 0, 0.05)
