"""How often the gate errs: simulated cohorts of known truth, decided by the gate's own rule.

    python benchmarks/gate.py [--replications 20000] [--seed 1] [--json results/benchmarks/gate.json]

168 samples per arm at 5 % with a margin of 5 points, in one stratum, in seven scenarios, and in 56 cells of three
epochs (as `sidedoor run` has them), with equal rates and with rates that differ as scenarios do; and cells of twelve
epochs. "At the margin" the candidate is exactly 5 points worse, so that PASS is an error; "identical" it is the same,
so that FAIL is. Then: the declared looks of a growing run, a family of metrics with Holm's adjustment, Wald's test, and
the samples that would decide against the table of STATISTICS. The tests run the same with fewer replications.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.special import expit, ndtri

from sidedoor.evals.analysis.counts import Counts, Floats
from sidedoor.evals.analysis.differences import (
    Intervals,
    effective_bounds,
    newcombe,
    newcombe_bounds,
    stratum_weights,
)
from sidedoor.evals.analysis.multiplicity import holm
from sidedoor.evals.gate.rule import ALPHA, decide, difference_needs
from sidedoor.evals.gate.spending import nominal_levels
from sidedoor.evals.gate.sprt import Hypotheses, run_test

SAMPLES, RATE, MARGIN = 168, 0.05, 0.05
# Strata, and samples of each; 56 cells of three epochs are what `sidedoor run --epochs 3` has.
DESIGNS = ((1, SAMPLES), (7, SAMPLES // 7), (56, SAMPLES // 56), (56, 12))
# Standard deviation of a stratum's log-odds where rates differ.
SPREAD = 1.2
FAMILY = 5
CONTRACT = Hypotheses(0.85, 0.95, 0.05, 0.10)
SPRT_RUNS, SPRT_SAMPLES = 10_000, 3_000
# STATISTICS, section "The gate": samples per arm for 80 % power at a true difference of 0.
NEEDED = {
    0.00: {1: 268, 2: 133, 3: 88, 5: 52, 10: 25},
    0.01: {1: 1_322, 2: 395, 3: 205, 5: 87, 10: 42},
    0.05: {1: 5_921, 2: 1_482, 3: 669, 5: 246, 10: 72},
    0.10: {1: 11_018, 2: 2_786, 3: 1_255, 5: 454, 10: 117},
    0.17: {1: 17_696, 2: 4_397, 3: 1_951, 5: 695, 10: 174},
}


@dataclass(frozen=True)
class Decisions:
    """Shares of the three decisions in one simulated design."""

    design: str
    truth: str
    passes: float
    fails: float
    inconclusive: float


@dataclass(frozen=True)
class Sprt:
    """What Wald's test did where the rule is kept at `rate`."""

    rate: float
    accepted: float
    rejected: float
    undecided: float
    mean_samples: float


@dataclass(frozen=True)
class Need:
    """Samples per arm that would decide, and what the table says."""

    rate: float
    margin: int
    proposed: int
    table: int


def rates(strata: int, mean: float, equal: bool) -> Floats:
    """Rates of the strata with the given mean."""
    if equal or strata == 1:
        return np.full(strata, mean)
    shifts = SPREAD * ndtri((np.arange(strata) + 0.5) / strata)
    low, high = -20.0, 20.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if expit(middle + shifts).mean() < mean else (low, middle)
    return np.asarray(expit(low + shifts))


def bounds(x1: Counts, n1: int, x0: Counts, n0: int, alpha: float) -> Intervals:
    """The gate's interval for many tables at once, as `sidedoor.evals.gate.rule.difference` has it for one."""
    size1, size0 = np.full(x1.shape, n1), np.full(x0.shape, n0)
    w = stratum_weights(size1, size0)
    method = effective_bounds if x1.shape[-1] > 1 else newcombe_bounds
    return method(x1, size1, x0, size0, w, float(ndtri(1 - alpha)))


def decide_design(
    strata: int, n: int, equal: bool, difference: float, replications: int, rng: np.random.Generator
) -> Decisions:
    """Decisions on pairs of cohorts of n samples per stratum whose rates differ by `difference` on average."""
    x0 = rng.binomial(n, rates(strata, RATE, equal), (replications, strata))
    x1 = rng.binomial(n, rates(strata, RATE + difference, equal), (replications, strata))
    found = bounds(x1, n, x0, n, ALPHA)
    passes = found.high < MARGIN
    fails = ~passes & (found.low > 0)
    return told(f"{strata} x {n}, {'equal' if equal else 'unequal'} rates", difference, passes, fails)


def take_looks(
    samples: Sequence[int], baseline: int, difference: float, replications: int, rng: np.random.Generator
) -> Decisions:
    """Decisions on candidates that grow through the declared looks, against a baseline that does not grow."""
    information = [1 / (1 / n + 1 / baseline) for n in samples]
    levels = nominal_levels(information, ALPHA)
    x0 = rng.binomial(baseline, RATE, (replications, 1))
    x1 = np.zeros((replications, 1), dtype=np.int64)
    passes = fails = np.zeros(replications, dtype=bool)
    for n, added, alpha in zip(samples, np.diff(samples, prepend=0), levels, strict=True):
        x1 = x1 + rng.binomial(added, RATE + difference, (replications, 1))
        found = bounds(x1, n, x0, baseline, alpha)
        still = ~passes & ~fails
        within = found.high < MARGIN
        passes = passes | (still & within)
        fails = fails | (still & ~within & (found.low > 0))
    return told(f"looks at {', '.join(map(str, samples))} against {baseline}", difference, passes, fails)


def decide_family(replications: int, rng: np.random.Generator) -> Decisions:
    """Decisions on `FAMILY` independent metrics of identical models: FAIL if one fails, PASS if all pass."""
    passed, failed = np.zeros(replications, dtype=bool), np.zeros(replications, dtype=bool)
    n, strata = 3, SAMPLES // 3
    grid = ALPHA / np.arange(FAMILY, 0, -1)
    x = rng.binomial(n, RATE, (2, FAMILY, replications, strata))
    # The lower bound above 0 at alpha/k says that the p-value is below alpha/k, and no more is needed for Holm.
    below = np.array([[bounds(x[0, m], n, x[1, m], n, a).low > 0 for a in grid] for m in range(FAMILY)])
    highs = np.array([bounds(x[0, m], n, x[1, m], n, ALPHA).high for m in range(FAMILY)])
    for one in range(replications):
        p = [
            next((a for a, is_below in zip(grid, below[m, :, one], strict=True) if is_below), 1.0)
            for m in range(FAMILY)
        ]
        decisions = [
            decide(-1.0, float(highs[m, one]), MARGIN, adjusted <= ALPHA + 1e-12)
            for m, adjusted in enumerate(holm(p).adjusted)
        ]
        failed[one] = "FAIL" in decisions
        passed[one] = set(decisions) == {"PASS"}
    return told(f"{FAMILY} metrics, Holm", 0.0, passed, failed)


def told(design: str, difference: float, passes: np.ndarray, fails: np.ndarray) -> Decisions:
    truth = (
        "identical" if difference == 0 else "at the margin" if difference == MARGIN else f"{100 * difference:g} points"
    )
    return Decisions(design, truth, float(passes.mean()), float(fails.mean()), float((~passes & ~fails).mean()))


def try_contract(rate: float, runs: int, rng: np.random.Generator) -> Sprt:
    """Wald's test on simulated samples that keep the rule at the given rate."""
    found = [run_test(CONTRACT, (rng.random(SPRT_SAMPLES) < rate).tolist()) for _ in range(runs)]
    shares = {name: sum(one.sentence == name for one in found) / runs for name in ("accept", "reject", "undecided")}
    return Sprt(rate, *shares.values(), mean_samples=float(np.mean([one.used for one in found])))


def needs() -> list[Need]:
    """What the gate proposes where it saw the same rate in both arms, for every entry of the table."""
    found = []
    for rate, row in NEEDED.items():
        for margin, table in row.items():
            proposed = difference_needs(rate, 0.0, margin / 100, ALPHA).number
            found.append(Need(rate, margin, proposed or 0, table))
    return found


def simulate(replications: int, seed: int) -> list[Decisions]:
    """Every design."""
    rng = np.random.default_rng(seed)
    results = [
        decide_design(strata, n, equal, difference, replications, rng)
        for difference in (MARGIN, 0.0, 0.15)
        for strata, n in DESIGNS
        for equal in (True, False)[: 2 if strata > 1 else 1]
    ]
    looks = [take_looks((56, 112, 168), 168, d, replications, rng) for d in (MARGIN, 0.0)]
    long = [take_looks((112, 224, 336), 336, d, replications, rng) for d in (MARGIN, 0.0)]
    return [*results, *looks, *long, decide_family(min(replications, 5_000), rng)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replications", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, default=Path("results/benchmarks/gate.json"))
    options = parser.parse_args()
    decisions = simulate(options.replications, options.seed)
    rng = np.random.default_rng(options.seed)
    contracts = [try_contract(rate, SPRT_RUNS, rng) for rate in (CONTRACT.p0, CONTRACT.p1)]
    proposals = needs()
    none = newcombe(0, 24, 0, 24, 1 - 2 * ALPHA)
    verdict = decide(none.low, none.high, 0.005, shown_worse=False)
    console = Console(width=120)
    table = Table("design", "truth", "PASS %", "FAIL %", "INCONCLUSIVE %")
    for one in decisions:
        table.add_row(one.design, one.truth, *(f"{100 * v:.2f}" for v in (one.passes, one.fails, one.inconclusive)))
    console.print(table, f"{options.replications} replications, seed {options.seed}")
    for one in contracts:
        console.print(
            f"SPRT at {one.rate}: accepted {one.accepted:.4f}, rejected {one.rejected:.4f}, "
            f"undecided {one.undecided:.4f}, {one.mean_samples:.1f} samples on average ({SPRT_RUNS} runs)"
        )
    console.print(f"0/24 against 0/24 at a margin of 0.5 points: {verdict}, up to {100 * none.high:.1f} points")
    worst = max(proposals, key=lambda one: abs(one.proposed / one.table - 1))
    console.print(f"samples that would decide: worst of {len(proposals)} against the table: {worst}")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "replications": options.replications,
        "seed": options.seed,
        "decisions": [asdict(one) for one in decisions],
        "contracts": [asdict(one) for one in contracts],
        "none_of_24": verdict,
        "needed": [asdict(one) for one in proposals],
    }
    options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
