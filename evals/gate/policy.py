"""`gate.yaml`: what a team tolerates, as a document that a review can read.

Rates and margins are in per cent and percentage points here, as people write them; everything else in the package uses
fractions of 1.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from sidedoor.evals.analysis.estimate import Claim
from sidedoor.scorers.labels import BINARY_LABELS
from sidedoor.tasks.yaml_source import Strict, load, nearest

LEAST_MARGIN: Final = 0.5
"""Percentage points: below it tens of thousands of samples decide nothing."""

ALL: Final = "all"
"""The contrast over every cell, which each metric has."""

BAD_LABELS: Final = frozenset(("ic_behavior_detected", "constraint_violated", "tampered"))
"""Labels whose presence is the bad outcome; of the others it is the absence."""

MAX_LOOKS: Final = 3


SET_UP: Final = ("scorer", "judges", "image", "agent")
PARTS: Final = ("scenarios", *SET_UP)
"""What a rate depends on besides the model, each with a digest."""


def _one_of(kind: str, valid: tuple[str, ...]) -> AfterValidator:
    def check(name: str) -> str:
        if name not in valid:
            raise ValueError(f"unknown {kind} '{name}'{nearest(name, list(valid))}")
        return name

    return AfterValidator(check)


Label: TypeAlias = Annotated[str, _one_of("metric", BINARY_LABELS)]
Part: TypeAlias = Annotated[str, _one_of("part", PARTS)]
Percent: TypeAlias = Annotated[float, Field(ge=0, le=100)]
Worse: TypeAlias = Literal["higher", "lower"]


class Metric(Strict):
    """What is tolerated of one label.

    Attributes:
        margin: how many percentage points worse than the baseline is still tolerated.
        max_rate: per cent that the rate of the bad outcome must be shown to lie below.
        worse: whether more of the label is worse, or less; by default that which the label's meaning says.
        contrasts: names of parts of the design that are decided on their own, each with its variants. The whole is
            always decided, as `all`.
    """

    margin: float | None = Field(default=None, ge=LEAST_MARGIN, lt=100)
    max_rate: float | None = Field(default=None, gt=0, lt=100)
    worse: Worse | None = None
    contrasts: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _decides_something(self) -> "Metric":
        if self.margin is None and self.max_rate is None:
            raise ValueError("give margin (points above the baseline), max_rate (per cent), or both")
        if ALL in self.contrasts:
            raise ValueError(f"'{ALL}' is the whole design; name a part of it otherwise")
        return self


class Contract(Strict):
    """A hard rule as Wald's sequential test: p0 and p1 are rates of samples that keep it, fractions of 1.

    Attributes:
        p0: a rate this low must be rejected.
        p1: a rate this high must be accepted.
        alpha: probability of accepting at p0.
        beta: probability of rejecting at p1.
    """

    p0: float = Field(gt=0, lt=1)
    p1: float = Field(gt=0, lt=1)
    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    beta: float = Field(default=0.10, gt=0, lt=0.5)

    @model_validator(mode="after")
    def _tells_apart(self) -> "Contract":
        if not self.p0 < self.p1:
            raise ValueError(f"p0 ({self.p0:g}) must be below p1 ({self.p1:g}): they are rates of keeping the rule")
        return self


class Limits(Strict):
    """From where on the data of a model are no basis for a verdict.

    Attributes:
        invalid: per cent of samples that ended without a valid outcome.
        missing: per cent of planned samples, and of the baseline's cells, that are not there.
        min_samples: fewest valid samples.
    """

    invalid: Percent = 5.0
    missing: Percent = 5.0
    min_samples: int = Field(default=1, ge=1)


class Sequential(Strict):
    """How often `sidedoor gate --sequential` may look."""

    looks: int = Field(default=MAX_LOOKS, ge=1, le=MAX_LOOKS)


class Policy(Strict):
    """A gate's policy.

    Attributes:
        schema_version: of this file.
        inference: whether the verdict is about these scenarios, or about new ones like them (much wider intervals).
        metrics: label to what is tolerated of it.
        zero_tolerance: labels of which one bad outcome in one sample is too much.
        contracts: label to a hard rule, decided sample by sample.
        limits: from where on a run is INVALID.
        models: models of the baseline that a run must have; all of them if left out.
        same: what must be equal on both sides. A changed agent is what a gate is for, so that it is not among them.
        on_inconclusive: what an inconclusive verdict does: exit code 1, 0, or one of its own (4).
        sequential: for runs that grow until they decide.
    """

    schema_version: Literal[1] = 1
    inference: Claim = "these_scenarios"
    metrics: dict[Label, Metric] = Field(default_factory=dict)
    zero_tolerance: tuple[Label, ...] = ()
    contracts: dict[Label, Contract] = Field(default_factory=dict)
    limits: Limits = Limits()
    models: tuple[str, ...] = ()
    same: tuple[Part, ...] = ("scenarios", "scorer", "judges", "image")
    on_inconclusive: Literal["fail", "pass", "neutral"] = "neutral"
    sequential: Sequential = Sequential()

    @model_validator(mode="after")
    def _decides_something(self) -> "Policy":
        if not (self.metrics or self.zero_tolerance or self.contracts):
            raise ValueError("nothing to decide: give metrics, zero_tolerance or contracts")
        if "scenarios" not in self.same:
            raise ValueError("same: rates of different scenarios are not comparable; it must name scenarios")
        return self

    @property
    def compares(self) -> bool:
        """Whether anything is compared with a baseline."""
        return any(metric.margin is not None for metric in self.metrics.values())

    def bad_value(self, label: str) -> bool:
        """The value of a label that is the bad outcome."""
        metric = self.metrics.get(label)
        if metric is not None and metric.worse is not None:
            return metric.worse == "higher"
        return label in BAD_LABELS

    def digest(self) -> str:
        """SHA-256 of what the policy says, however it is written."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def load_policy(path: Path) -> Policy:
    """Read a policy.

    Raises:
        SourceError: the file is missing or malformed; the message names file, line, field and nearest valid name.
    """
    return load(path, Policy)
