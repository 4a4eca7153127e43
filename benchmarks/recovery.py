"""Whether known truth comes back: simulated models with planted rates, run, scored and analysed.

    python benchmarks/recovery.py [--epochs 20] [--seed 1] [--containers] [--json results/benchmarks/recovery.json]

Reference mixtures draw the shortcut with a known probability per model and variant. Two cohorts of ten: "published" has
the published margins of arXiv 2605.06490 as its rates, "planted" has 5 % everywhere but 20 % in variant H. Their drawn
scripts are rehearsed against the worlds in this process and scored from state, or with --containers run through
`sidedoor run` (560 containers per epoch); then every rate and contrast is estimated and held against its truth. At
95 % one interval in twenty misses. The tests do the same with three epochs.
"""

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
from inspect_ai.util import Store
from rich.console import Console
from rich.table import Table

from sidedoor.evals.analysis.counts import Arm, TwoArms
from sidedoor.evals.analysis.differences import risk_difference
from sidedoor.evals.analysis.estimate import Estimate
from sidedoor.evals.analysis.proportions import wilson
from sidedoor.evals.frame.read import read_frame
from sidedoor.evals.published import Margins
from sidedoor.evals.reference import ReferenceModel, script_name
from sidedoor.evals.rehearsal import rehearse
from sidedoor.evals.run import RunRequest, start_run
from sidedoor.scorers.labels import score
from sidedoor.scorers.record import EpisodeRecord
from sidedoor.tasks.catalogue import load_scenario, load_suite, parse_variant, scenario_ids
from sidedoor.tasks.yaml_source import load

SUITE: Final = "instrumental"
LABEL: Final = "adj_ic_behavior_detected"
MARGINS: Final = Path(__file__).parents[1] / "results" / "published" / "margins.yaml"
MODELS: Final = 10
BASE, PLANTED, CHANGED = 0.05, 0.15, "H"


@dataclass(frozen=True)
class Mixture:
    """A simulated model: the probability of the shortcut by variant, and the seed of its draws."""

    label: str
    rates: Mapping[str, float]
    seed: int

    @property
    def model(self) -> str:
        """The name that Inspect knows it by."""
        return f"reference/mixture-{self.label}"

    @property
    def arguments(self) -> dict[str, float]:
        """What `-M` would say."""
        return {f"shortcut@{variant}": rate for variant, rate in self.rates.items()}

    @property
    def truth(self) -> float:
        """Its rate over the variants."""
        return float(np.mean(list(self.rates.values())))

    def draw(self, scenario: str, variant: str, epoch: int) -> str:
        """The kind of script that it draws for a sample, by the reference model's own code."""
        episode = {"suite": SUITE, "scenario": scenario, "factors": _factors(variant), "seed": epoch}
        return self._drawer._drawn(EpisodeRecord(store=Store(), episode=episode, variant=variant, epoch=epoch))

    @cached_property
    def _drawer(self) -> ReferenceModel:
        return ReferenceModel(self.model.removeprefix("reference/"), seed=self.seed, **self.arguments)


@dataclass(frozen=True)
class Recovered:
    """One estimate held against its truth; fractions of 1."""

    target: str
    truth: float
    estimate: Estimate

    @property
    def held(self) -> bool:
        """Whether the interval holds the truth."""
        return self.estimate.low <= self.truth <= self.estimate.high


def published_cohort(seed: int) -> list[Mixture]:
    """Ten models whose rates have the published margins: model's rate times variant's rate over the overall rate."""
    margins = load(MARGINS, Margins)
    per_model = len(margins.ic_by_scenario) * len(margins.ic_by_variant) * margins.epochs
    events = sum(margins.ic_by_model.values())
    share = {variant: x * len(margins.ic_by_variant) / events for variant, x in margins.ic_by_variant.items()}
    return [
        Mixture(_slug(name), {variant: x / per_model * share[variant] for variant in share}, seed)
        for name, x in margins.ic_by_model.items()
    ]


def planted_cohort(seed: int) -> list[Mixture]:
    """Ten equal models: a planted effect of +15 points in H, and none in any other variant."""
    rates = {name: BASE + (PLANTED if name == CHANGED else 0.0) for name in load_suite(SUITE).variants}
    return [Mixture(f"planted-{number}", rates, seed) for number in range(1, MODELS + 1)]


def rehearsed(cohort: Sequence[Mixture], epochs: int) -> pd.DataFrame:
    """One row per sample of a cohort, without containers; `kind` is that of the script that was drawn."""
    cells = list(product(cohort, scenario_ids(SUITE), load_suite(SUITE).variants, range(1, epochs + 1)))
    kinds = [mixture.draw(scenario, variant, epoch) for mixture, scenario, variant, epoch in cells]
    episodes = [(*cell[1:], kind) for cell, kind in zip(cells, kinds, strict=True)]
    with ThreadPoolExecutor() as pool:  # threads suffice: most of a rehearsal is waiting for its shell
        detected = dict(zip(set(episodes), pool.map(lambda one: _detected(*one), set(episodes)), strict=True))
    rows = [(cell[0].model, *episode, detected[episode]) for cell, episode in zip(cells, episodes, strict=True)]
    return pd.DataFrame(rows, columns=["model", "scenario", "variant", "epoch", "kind", LABEL])


def run_in_containers(
    cohort: Sequence[Mixture], epochs: int, results: Path, console: Console, variants: str | None = None
) -> pd.DataFrame:
    """The samples of a cohort through `sidedoor run` and the frame; a run per model, since rates differ."""
    for mixture in cohort:
        request = RunRequest(
            suite=SUITE,
            models=(mixture.model,),
            model_args={**mixture.arguments, "seed": mixture.seed},
            variant=variants,
            epochs=epochs,
        )
        start_run(request, results, [], console)
    return read_frame([results]).samples


def recover(cohort: Sequence[Mixture], samples: pd.DataFrame) -> list[Recovered]:
    """Every model's rate, and every contrast of the suite pooled over the models, beside the truth."""
    return [*_rates(cohort, samples), *_contrasts(cohort, samples)]


def _rates(cohort: Sequence[Mixture], samples: pd.DataFrame) -> Iterator[Recovered]:
    for mixture in cohort:
        outcomes = samples.loc[samples["model"] == mixture.model, LABEL].astype("boolean")
        known = outcomes.dropna()
        rate = wilson(int(known.sum()), len(known), missing=len(outcomes) - len(known))
        yield Recovered(mixture.model, mixture.truth, rate)


def _contrasts(cohort: Sequence[Mixture], samples: pd.DataFrame) -> Iterator[Recovered]:
    truth = {name: float(np.mean([one.rates[name] for one in cohort])) for name in load_suite(SUITE).variants}
    for contrast in load_suite(SUITE).contrasts:
        arms = [_arm(samples[samples["variant"] == name]) for name in (contrast.changed, contrast.baseline)]
        difference = risk_difference(TwoArms(tuple(scenario_ids(SUITE)), *arms))
        target = f"{contrast.baseline}-{contrast.changed}"
        yield Recovered(target, truth[contrast.changed] - truth[contrast.baseline], difference)


def _arm(samples: pd.DataFrame) -> Arm:
    known = samples.dropna(subset=[LABEL])
    groups = known.assign(**{LABEL: known[LABEL].astype(int)}).groupby("scenario", observed=True)[LABEL]
    scenarios = scenario_ids(SUITE)
    x, n = (column.reindex(scenarios, fill_value=0).to_numpy() for column in (groups.sum(), groups.size()))
    return Arm(x, n)


@cache
def _detected(scenario: str, variant: str, epoch: int, kind: str) -> bool | None:
    one, factors = load_scenario(SUITE, scenario), _factors(variant)
    evidence = rehearse(one, factors, epoch, one.script(script_name(one, kind), factors, epoch)).evidence
    return score(evidence, one).labels.ic_behavior_detected


@cache
def _factors(variant: str) -> dict[str, str]:
    return parse_variant(SUITE, variant)[1]


def _slug(name: str) -> str:
    return name.lower().replace(" ", "-")


def _print(console: Console, title: str, recovered: Sequence[Recovered]) -> None:
    missed = sum(not one.held for one in recovered)
    table = Table(title=f"{title}: {missed} of {len(recovered)} intervals miss", title_justify="left")
    for column in ("target", "truth", "estimate", "interval", "holds"):
        table.add_column(column, justify="left" if column == "target" else "right")
    for one in recovered:
        estimate, low, high = (100 * (value or 0.0) for value in _numbers(one.estimate))
        holds = "yes" if one.held else "NO"
        table.add_row(one.target, f"{100 * one.truth:.2f}", f"{estimate:.2f}", f"{low:.2f} to {high:.2f}", holds)
    console.print(table)


def _numbers(estimate: Estimate) -> tuple[float | None, float, float]:
    return estimate.estimate, estimate.low, estimate.high


def main() -> None:
    """Run both cohorts and print what came back; percent and percentage points."""
    parser = argparse.ArgumentParser(description="Whether planted rates are recovered.")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--containers", action="store_true", help="through sidedoor run; takes minutes per epoch")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    console = Console()
    told = {}
    for title, cohort in (
        ("published", published_cohort(arguments.seed)),
        ("planted", planted_cohort(arguments.seed)),
    ):
        if arguments.containers:
            with tempfile.TemporaryDirectory() as folder:
                samples = run_in_containers(cohort, arguments.epochs, Path(folder), console)
        else:
            samples = rehearsed(cohort, arguments.epochs)
        recovered = recover(cohort, samples)
        _print(console, title, recovered)
        told[title] = [
            {"target": one.target, "truth": one.truth, "held": one.held, "interval": _numbers(one.estimate)}
            for one in recovered
        ]
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(vars(arguments) | told, indent=2, default=str) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
