"""How many samples a question needs, what they cost, and how long they take, before anything is run."""

import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sidedoor.evals.analysis.power import GateOdds, gate_odds, samples_per_arm
from sidedoor.evals.analysis.proportions import wilson
from sidedoor.evals.frame.read import read_frame
from sidedoor.evals.instrumental import select_points, select_scenarios
from sidedoor.tasks.yaml_source import SourceError

LEAST_MARGIN = 0.5
"""Percentage points. Below it the exact power takes minutes, and the answer is tens of thousands of samples."""

TOKENS_PER_PRICE = 1_000_000


@dataclass(frozen=True)
class Question:
    """What is to be shown: that the candidate's rate of a bad outcome exceeds the baseline's by less than a margin.

    Attributes:
        base_rate: expected rate of the baseline, a fraction of 1.
        margin: largest tolerated difference, in percentage points.
        difference: true difference to plan for, in percentage points.
        power: probability of showing it.
    """

    base_rate: float
    margin: float
    difference: float = 0.0
    power: float = 0.8

    def check(self) -> None:
        """Raise SourceError, in the words of the options, if no number of samples can answer this."""
        base, margin, difference = self.base_rate, self.margin, self.difference
        problems = {
            f"--base-rate is a fraction from 0 to 1, such as 0.05; got {base:g}": not 0 <= base <= 1,
            f"--margin is in percentage points, from {LEAST_MARGIN} to 99; got {margin:g}": not (
                LEAST_MARGIN <= margin <= 99
            ),
            f"--power lies between 0 and 1, such as 0.8; got {self.power:g}": not 0 < self.power < 1,
            f"--difference {difference:g} is not below the margin of {margin:g} points: no number of samples "
            "shows that it is": not difference < margin,
            f"--difference {difference:g} takes a base rate of {base:g} out of 0 to 1": not (
                0 <= base + difference / 100 <= 1
            ),
        }
        if wrong := next((text for text, holds in problems.items() if holds), None):
            raise SourceError(wrong)


@dataclass(frozen=True)
class Prices:
    """US dollars per million tokens."""

    input: float
    output: float


@dataclass(frozen=True)
class Usage:
    """What one sample took in a past run: means over the samples that say."""

    run: str
    samples: int
    input_tokens: float
    output_tokens: float
    seconds: float


@dataclass(frozen=True)
class SamplePlan:
    """The answer.

    Attributes:
        needed: samples per model that the question needs.
        cells: cells of the suite.
        epochs: repetitions of all cells that give as many.
        models: how many models are run.
        odds: probabilities of the three decisions with the samples of these epochs, at the planned difference.
    """

    needed: int
    cells: int
    epochs: int
    models: int
    odds: GateOdds

    @property
    def samples_per_model(self) -> int:
        """Samples of one model in all epochs."""
        return self.cells * self.epochs

    @property
    def samples(self) -> int:
        """Samples of all models."""
        return self.samples_per_model * self.models


def make_plan(question: Question, cells: int, models: int) -> SamplePlan:
    """The fewest whole epochs that answer the question.

    Args:
        question: what is to be shown.
        cells: cells per epoch, at least 1.
        models: models to run, baseline included.

    Raises:
        SourceError: the question cannot be answered by any number of samples.
    """
    question.check()
    margin, difference = question.margin / 100, question.difference / 100
    needed = samples_per_arm(question.base_rate, margin, difference, question.power)
    epochs = math.ceil(needed / cells)
    odds = gate_odds(cells * epochs, question.base_rate, difference, margin)
    return SamplePlan(needed, cells, epochs, models, odds)


def past_usage(path: Path) -> Usage:
    """Mean tokens and seconds of a past run's samples.

    Raises:
        SourceError: no samples there, or none that says what it took.
    """
    samples = read_frame([path]).samples
    # Only samples that say all three, so that the means are of the same ones.
    known = samples.dropna(subset=["input_tokens", "output_tokens", "seconds"])
    if known.empty:
        raise SourceError(f"{path}: no sample says how many tokens and seconds it took")
    return Usage(
        run=", ".join(sorted(known["run"].unique())),
        samples=len(known),
        input_tokens=_mean(known["input_tokens"]),
        output_tokens=_mean(known["output_tokens"]),
        seconds=_mean(known["seconds"]),
    )


def cost(plan: SamplePlan, usage: Usage, prices: Prices) -> float:
    """US dollars for all samples of a plan."""
    per_sample = usage.input_tokens * prices.input + usage.output_tokens * prices.output
    return plan.samples * per_sample / TOKENS_PER_PRICE


def hours(plan: SamplePlan, usage: Usage, max_samples: int) -> float:
    """Hours for a plan: models run side by side, each with `max_samples` at once."""
    return math.ceil(plan.samples_per_model / max_samples) * usage.seconds / 3600


def print_plan(
    console: Console,
    question: Question,
    models: int,
    suite: str,
    scenario: str | None,
    variant: str | None,
    past: Path | None,
    prices: Prices | None,
    max_samples: int,
) -> None:
    """Print what a question needs, with tokens and time if there is a past run, and dollars if there are prices.

    Raises:
        SourceError: an impossible question, an unknown scenario or variant, prices without a past run, or a past run
            that does not say what it took.
    """
    if prices is not None and past is None:
        raise SourceError("prices need --past RUN: tokens per sample are known from a past run only")
    cells = len(select_scenarios(suite, scenario)) * len(select_points(suite, variant, "suite"))
    plan = make_plan(question, cells, models)
    rows = [*_samples(question, plan), *_decisions(plan)]
    if past is not None:
        rows += _costs(plan, past_usage(past), prices, max_samples)
    table = Table(box=SIMPLE_HEAD, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column()
    for name, value in rows:
        table.add_row(name, Text(value))
    console.print(Text(_in_words(question)))
    console.print(table)


def _in_words(question: Question) -> str:
    return (
        f"To show with {question.power:.0%} power that a rate is less than {question.margin:g} points above a "
        f"baseline of {100 * question.base_rate:g} %, where the true difference is {question.difference:g} points:"
    )


def _samples(question: Question, plan: SamplePlan) -> list[tuple[str, str]]:
    n = plan.samples_per_model
    rate = wilson(round(n * question.base_rate), n)
    return [
        ("needed", f"{plan.needed:,} samples per model"),
        ("epochs", f"{plan.epochs} of {plan.cells} cells: {n:,} samples per model"),
        ("in all", f"{plan.samples:,} samples of {plan.models} models"),
        ("one rate", f"{100 * question.base_rate:g} % would read {100 * rate.low:.1f} to {100 * rate.high:.1f} %"),
    ]


def _decisions(plan: SamplePlan) -> list[tuple[str, str]]:
    odds = plan.odds
    text = f"PASS {odds.passes:.1%}, FAIL {odds.fails:.1%}, INCONCLUSIVE {odds.inconclusive:.1%}"
    return [("decision", f"{text} at that difference")]


def _costs(plan: SamplePlan, usage: Usage, prices: Prices | None, max_samples: int) -> list[tuple[str, str]]:
    tokens_in, tokens_out = plan.samples * usage.input_tokens, plan.samples * usage.output_tokens
    rows = [
        ("per sample", f"{usage.input_tokens:,.0f} tokens in, {usage.output_tokens:,.0f} out, {usage.seconds:.1f} s"),
        ("", f"(means of {usage.samples:,} samples of {usage.run})"),
        ("tokens", f"{tokens_in:,.0f} in, {tokens_out:,.0f} out"),
        ("time", f"about {_duration(hours(plan, usage, max_samples))} with {max_samples} at once per model"),
    ]
    return rows + ([("price", f"about ${cost(plan, usage, prices):,.2f}")] if prices else [])


def _duration(length: float) -> str:
    return f"{length:.1f} h" if length >= 1 else f"{60 * length:.0f} min"


def _mean(column: "pd.Series[float]") -> float:
    return float(column.mean())
