"""`gate.json`: what the gate decided and why, for programs. Rates and differences are fractions of 1."""

from typing import Final, Literal, TypeAlias

from sidedoor.evals.analysis.estimate import Claim
from sidedoor.evals.tally import ModelTally
from sidedoor.tasks.yaml_source import Strict

Verdict: TypeAlias = Literal["PASS", "FAIL", "INCONCLUSIVE", "INVALID"]
TestKind: TypeAlias = Literal["difference", "ceiling", "zero tolerance", "contract"]

WORST_FIRST: Final[tuple[Verdict, ...]] = ("INVALID", "FAIL", "INCONCLUSIVE", "PASS")


class Counts(Strict):
    """Bad outcomes among the samples of known outcome, and samples without one."""

    x: int
    n: int
    missing: int


class Bounds(Strict):
    """An estimate with its interval."""

    estimate: float | None
    low: float
    high: float


class Needs(Strict):
    """What would decide if the true rates are those observed; see `sidedoor.evals.gate.rule.Needed`.

    `number` is None if nothing affordable would; `chance` is the probability of PASS at that number.
    """

    number: int | None
    unit: str
    chance: float


class Case(Strict):
    """One decision: a metric of one model, in one part of the design, by one test.

    Attributes:
        metric: label that the metric is about.
        outcome: the bad outcome in words, such as `not engaged`.
        model: the candidate.
        against: the baseline's model; empty where nothing is compared.
        contrast: name of the part of the design.
        test: what decides.
        verdict: what was decided.
        reason: why, in a sentence.
        notes: what a reader must know beside it.
        threshold: margin or ceiling, a fraction of 1.
        candidate: its counts.
        baseline: the baseline's counts in the cells that both have.
        found: the difference or rate, with its interval.
        level: two-sided confidence level of the interval.
        method: what computed the interval.
        best: the same if no missing sample had the bad outcome (and every one of the baseline's had it).
        worst: the same if every missing sample had it (and none of the baseline's).
        p_value: one-sided, of "not worse".
        adjusted_p_value: after Holm over the family.
        needs: what would decide, if the verdict is inconclusive.
        scenarios: those that the verdict is owed to most.
    """

    metric: str
    outcome: str
    model: str
    against: str = ""
    contrast: str
    test: TestKind
    verdict: Verdict
    reason: str
    notes: tuple[str, ...] = ()
    threshold: float | None = None
    candidate: Counts | None = None
    baseline: Counts | None = None
    found: Bounds | None = None
    level: float | None = None
    method: str = ""
    best: Bounds | None = None
    worst: Bounds | None = None
    p_value: float | None = None
    adjusted_p_value: float | None = None
    needs: Needs | None = None
    scenarios: tuple[str, ...] = ()


class MetricResult(Strict):
    """The verdict on one metric: the worst of its cases."""

    metric: str
    verdict: Verdict
    cases: tuple[Case, ...]


class Compared(Strict):
    """The baseline, and what differs from it besides the model."""

    name: str
    sha256: str
    created: str
    changed: tuple[str, ...]


class Look(Strict):
    """Which of the declared looks at a growing run this is."""

    number: int
    of: int
    epochs: int
    budget: int


class Made(Strict):
    """What differs from one run to the next and decides nothing."""

    at: str
    runs: tuple[str, ...]
    sidedoor: str


class GateResult(Strict):
    """The gate's result.

    Attributes:
        schema_version: of this form.
        verdict: the worst of the metrics' verdicts, or INVALID.
        reasons: why it is INVALID; then there are no metrics, because nothing was decided.
        inference: which scenarios the verdict is about.
        family: how many cases Holm's adjustment was made for.
        alpha: one-sided error of a difference and of a ceiling; smaller at the looks of a growing run.
        suite: what was run.
        metrics: what was decided of each.
        models: what became of the candidate's samples.
        baseline: what was compared with; None if nothing was.
        policy_sha256: digest of the policy.
        notes: what a reader must know beside the verdict.
        look: which look this is, if the run grows.
        made: when, and from which runs.
    """

    schema_version: Literal[1] = 1
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    inference: Claim
    family: int = 0
    alpha: tuple[float, float]
    suite: str = ""
    metrics: tuple[MetricResult, ...] = ()
    models: tuple[ModelTally, ...] = ()
    baseline: Compared | None = None
    policy_sha256: str
    notes: tuple[str, ...] = ()
    look: Look | None = None
    made: Made

    @property
    def cases(self) -> tuple[Case, ...]:
        """Every case, in the order of the metrics."""
        return tuple(case for metric in self.metrics for case in metric.cases)


def worst(verdicts: list[Verdict]) -> Verdict:
    """The worst of some verdicts; INVALID if there is none, because nothing was decided."""
    return min(verdicts, key=WORST_FIRST.index, default="INVALID")
