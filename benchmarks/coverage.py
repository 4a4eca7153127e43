"""How often the intervals hold the truth: designs of 1,680 samples with known rates, simulated and analysed.

    python benchmarks/coverage.py [--replications 20000] [--seed 1] [--json results/benchmarks/coverage.json]

A design is 10 models x 7 scenarios x 8 variants x 3 epochs. Each model has its own mean rate in each variant, and a
scenario moves the log-odds of all models together, and of each variant a little on its own. For "these scenarios" the
seven are fixed and the truth is their mean; for "new scenarios" they are drawn afresh in every replication and the
truth is the mean over the population that they come from. "Unbalanced" loses samples more often in the heavy scenarios
of one arm, which biases the difference without strata. Some rows show what an interval is not for: no strata, 56 strata
of 3 samples, a sampling interval held against "new scenarios". The tests run `simulate` with fewer replications.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.special import expit, logit, ndtri

from sidedoor.evals.analysis.counts import Counts, Floats
from sidedoor.evals.analysis.differences import (
    Intervals,
    effective_bounds,
    is_thin,
    newcombe_bounds,
    score_bounds,
    stratum_weights,
)
from sidedoor.evals.analysis.estimate import two_sided_z
from sidedoor.evals.analysis.new_scenarios import difference_intervals, rate_intervals
from sidedoor.evals.analysis.proportions import wilson_bounds

Scenarios = Literal["fixed", "random"]

MODELS, SCENARIOS, VARIANTS, EPOCHS = 10, 7, 8, 3
LEVEL = 0.95
# Mean rates: arm A is the baseline, H is 15 points above it, D is as A.
VARIANT_RATES = {"A": 0.02, "B": 0.03, "C": 0.07, "D": 0.02, "E": 0.015, "F": 0.08, "G": 0.01, "H": 0.17}
A, D, H = (list(VARIANT_RATES).index(name) for name in "ADH")
# How the published benchmark's events spread over its models, but for one model whose rate over all is 0.2 %.
MODEL_EVENTS = (29, 28, 11, 7, 4, 3, 2, 1, 1)
RARE = 9
RARE_RATE = 0.002
# Standard deviations on the log-odds scale: of a scenario, and of a variant within a scenario. The first puts about
# four fifths of the events into three of seven scenarios, as published.
SCENARIO_SPREAD, VARIANT_SPREAD = 1.2, 0.3
KEPT_IN_HEAVY_SCENARIOS = 0.4


@dataclass(frozen=True)
class Coverage:
    """One interval held against one truth; widths and rates are fractions of 1."""

    scenarios: Scenarios
    target: str
    method: str
    truth: float
    coverage: float
    bias: float
    mean_width: float
    least_width: float
    replications: int


@dataclass(frozen=True)
class Sample:
    """Events and samples of all replications, shape (replications, models, scenarios, variants)."""

    x: Counts
    n: Counts

    def pooled(self, variant: int) -> tuple[Counts, Counts]:
        """Counts by scenario over all models."""
        return self.x[..., variant].sum(axis=1), self.n[..., variant].sum(axis=1)

    def of_model(self, model: int, variant: int) -> tuple[Counts, Counts]:
        """Counts by scenario of one model in one variant."""
        return self.x[:, model, :, variant], self.n[:, model, :, variant]

    def cells(self, model: int) -> tuple[Counts, Counts]:
        """Counts of one model by cell, scenario x variant."""
        return self.x[:, model].reshape(len(self.x), -1), self.n[:, model].reshape(len(self.n), -1)


def simulate(scenarios: Scenarios, replications: int, seed: int) -> list[Coverage]:
    """Draw designs and hold every interval against its truth.

    Args:
        scenarios: the same in every replication, or drawn from their population.
        replications: designs to draw.
        seed: seed of the generator.
    """
    rng = np.random.default_rng(seed)
    means = mean_rates()
    rates = scenario_rates(means, scenarios, replications, rng)
    full = np.full(rates.shape, EPOCHS)
    balanced = Sample(rng.binomial(full, rates), full)
    kept = rng.binomial(full, unbalanced_share(rates))
    unbalanced = Sample(rng.binomial(kept, rates), kept)
    cases = cases_of_these(balanced, unbalanced, means) if scenarios == "fixed" else cases_of_new(balanced, means)
    return [held(scenarios, replications, *case) for case in cases]


def mean_rates() -> Floats:
    """The true mean rate of each model in each variant, shape (models, variants)."""
    variants = np.array(list(VARIANT_RATES.values()))
    common = np.array(MODEL_EVENTS) / np.mean(MODEL_EVENTS)
    rare = RARE_RATE / variants.mean()
    # The other models make up for the rare one, so that the mean over models is the variant's rate.
    shares = np.append(common * (MODELS - rare) / (MODELS - 1), rare)
    return np.outer(shares, variants)


def scenario_rates(means: Floats, scenarios: Scenarios, replications: int, rng: np.random.Generator) -> Floats:
    """True rates by model, scenario and variant whose mean over scenarios is `means`; one design per replication."""
    if scenarios == "fixed":
        ranks = (np.arange(SCENARIOS) + 0.5) / SCENARIOS
        shift = SCENARIO_SPREAD * ndtri(ranks)[:, None] + VARIANT_SPREAD * rng.standard_normal((SCENARIOS, VARIANTS))
        shift = shift[None]
        population, weights = shift[0].T, np.full(SCENARIOS, 1 / SCENARIOS)
    else:
        drawn = SCENARIO_SPREAD * rng.standard_normal((replications, SCENARIOS, 1))
        shift = drawn + VARIANT_SPREAD * rng.standard_normal((replications, SCENARIOS, VARIANTS))
        nodes, weights = np.polynomial.hermite_e.hermegauss(60)
        weights = weights / weights.sum()
        population = np.tile(np.hypot(SCENARIO_SPREAD, VARIANT_SPREAD) * nodes, (VARIANTS, 1))
    rates = expit(intercepts(means, population, weights)[None, :, None, :] + shift[:, None])
    return np.broadcast_to(rates, (replications, MODELS, SCENARIOS, VARIANTS))


def intercepts(means: Floats, population: Floats, weights: Floats) -> Floats:
    """Log-odds that have the given mean rates over a weighted population of shifts, shape (variants, shifts)."""
    low, high = logit(means) - 20, logit(means) + 20
    for _ in range(60):
        middle = (low + high) / 2
        above = expit(middle[..., None] + population) @ weights > means
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return low


def unbalanced_share(rates: Floats) -> Floats:
    """Which share of samples is kept: fewer of variant H in the scenarios where it happens more than on average."""
    share = np.ones_like(rates)
    by_scenario = rates[..., H].mean(axis=1, keepdims=True)
    share[..., H] = np.where(by_scenario > by_scenario.mean(axis=-1, keepdims=True), KEPT_IN_HEAVY_SCENARIOS, 1)
    return share


Case = tuple[str, str, float, Intervals]


def cases_of_these(balanced: Sample, unbalanced: Sample, means: Floats) -> Iterator[Case]:
    """Intervals for the claim about these scenarios."""
    mean_variant = means.mean(axis=0)
    plus_15 = float(mean_variant[H] - mean_variant[A])
    yield from by_stratum("+15 points", plus_15, *balanced.pooled(H), *balanced.pooled(A))
    yield from by_stratum("null", float(mean_variant[D] - mean_variant[A]), *balanced.pooled(D), *balanced.pooled(A))
    arms = (*unbalanced.pooled(H), *unbalanced.pooled(A))
    yield from by_stratum("+15 points, unbalanced", plus_15, *arms)
    totals = [counts.sum(axis=1, keepdims=True) for counts in arms]
    yield "+15 points, unbalanced", "Newcombe, no strata", plus_15, intervals(newcombe_bounds, *totals)
    arms = (*balanced.of_model(RARE, H), *balanced.of_model(RARE, A))
    yield from by_stratum("0.2 % model, H less A", float(means[RARE, H] - means[RARE, A]), *arms)
    for name, one, zero in (("highest less 0.2 % model", 0, RARE), ("two models of the same rate", 7, 8)):
        truth = float(means[one].mean() - means[zero].mean())
        cells = (*balanced.cells(one), *balanced.cells(zero))
        yield name, "default", truth, default(*cells)
        yield name, "stratified Newcombe", truth, intervals(newcombe_bounds, *cells)
    x, n = (counts.sum(axis=1) for counts in balanced.cells(RARE))
    yield "0.2 % model, rate", "Wilson", RARE_RATE, Intervals(x / n, *wilson_bounds(x, n, two_sided_z(LEVEL)))


def cases_of_new(balanced: Sample, means: Floats) -> Iterator[Case]:
    """Intervals for the claim about new scenarios, and a sampling interval held against it."""
    mean_variant = means.mean(axis=0)
    for name, variant in (("+15 points", H), ("null", D)):
        truth = float(mean_variant[variant] - mean_variant[A])
        arms = (*balanced.pooled(variant), *balanced.pooled(A))
        yield name, "new scenarios", truth, from_scenarios(*arms)
        yield name, "default of these scenarios", truth, default(*arms)
    arms = (*balanced.of_model(RARE, H), *balanced.of_model(RARE, A))
    yield "0.2 % model, H less A", "new scenarios", float(means[RARE, H] - means[RARE, A]), from_scenarios(*arms)
    x, n = balanced.x[:, RARE].sum(axis=-1), balanced.n[:, RARE].sum(axis=-1)
    yield "0.2 % model, rate", "new scenarios", RARE_RATE, rate_intervals(x / n, n, LEVEL)


def by_stratum(name: str, truth: float, x1: Counts, n1: Counts, x0: Counts, n0: Counts) -> Iterator[Case]:
    """The default interval and its cross-check."""
    yield name, "default", truth, default(x1, n1, x0, n0)
    yield name, "Miettinen-Nurminen", truth, intervals(score_bounds, x1, n1, x0, n0)


def default(x1: Counts, n1: Counts, x0: Counts, n0: Counts) -> Intervals:
    """What `risk_difference` gives for each table."""
    thin = is_thin(n1, n0, stratum_weights(n1, n0))
    pairs = zip(intervals(effective_bounds, x1, n1, x0, n0), intervals(newcombe_bounds, x1, n1, x0, n0), strict=True)
    return Intervals(*(np.where(thin, effective, stratified) for effective, stratified in pairs))


def intervals(bounds: Callable[..., Intervals], x1: Counts, n1: Counts, x0: Counts, n0: Counts) -> Intervals:
    return bounds(x1, n1, x0, n0, stratum_weights(n1, n0), two_sided_z(LEVEL))


def from_scenarios(x1: Counts, n1: Counts, x0: Counts, n0: Counts) -> Intervals:
    return difference_intervals(x1 / n1, n1, x0 / n0, n0, LEVEL)


def held(scenarios: Scenarios, replications: int, target: str, method: str, truth: float, found: Intervals) -> Coverage:
    """How often the intervals hold the truth, and how wide they are."""
    width = found.high - found.low
    return Coverage(
        scenarios=scenarios,
        target=target,
        method=method,
        truth=truth,
        coverage=float(np.mean((found.low <= truth) & (truth <= found.high))),
        bias=float(np.mean(found.estimate) - truth),
        mean_width=float(np.mean(width)),
        least_width=float(np.min(width)),
        replications=replications,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replications", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    results = [r for kind in ("fixed", "random") for r in simulate(kind, options.replications, options.seed)]
    table = Table("scenarios", "target", "interval", "truth", "coverage", "bias", "mean width", "least width")
    for r in results:
        figures = (r.truth, r.coverage, r.bias, r.mean_width, r.least_width)
        table.add_row(r.scenarios, r.target, r.method, *(f"{100 * value:.2f}" for value in figures))
    Console().print(table, f"percent or percentage points; {options.replications} replications, seed {options.seed}")
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps([asdict(r) for r in results], indent=2) + "\n")


if __name__ == "__main__":
    main()
