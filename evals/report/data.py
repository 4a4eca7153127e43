"""What a report says, as a typed value: the page, the tables and `summary.json` are all made from it."""

from functools import cached_property
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from sidedoor.evals.analysis.concentration import Concentration
from sidedoor.evals.analysis.estimate import Difference, Estimate
from sidedoor.evals.analysis.funnel import FunnelStep
from sidedoor.evals.analysis.ladder import Ladder
from sidedoor.evals.analysis.onset import Onset
from sidedoor.evals.analysis.ordering import Ordering
from sidedoor.evals.frame.problems import Problem
from sidedoor.evals.judging.agreement import SeverityAgreement
from sidedoor.evals.judging.self_judgement import SelfJudgement
from sidedoor.evals.judging.summary import JudgeSummary
from sidedoor.evals.tally import ModelTally

SCHEMA_VERSION: Final = 3


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Rate(_Frozen):
    """The rate of a measure in a group of samples; an axis that is None is summed over.

    Attributes:
        estimate: speaks of these scenarios.
        new_scenarios: the wider claim, for rates over all scenarios; None where it is not made.
        lowest: the rate if no missing sample had the event; None if nothing is missing.
        highest: the rate if every missing sample had it.
    """

    measure: str
    model: str | None = None
    scenario: str | None = None
    variant: str | None = None
    estimate: Estimate
    new_scenarios: Estimate | None = None
    lowest: Estimate | None = None
    highest: Estimate | None = None


class Effect(_Frozen):
    """What changing one factor does to a measure, other factors equal; one model's, or pooled if `model` is None.

    Attributes:
        variants: pairs of variants (baseline, changed) that were compared.
        excluded: scenarios left out because the suite says that the factor makes no sense there.
    """

    measure: str
    model: str | None
    factor: str
    baseline: str
    changed: str
    variants: tuple[tuple[str, str], ...]
    these_scenarios: Difference
    new_scenarios: Difference | None
    excluded: tuple[str, ...]


class Pair(_Frozen):
    """Two models on the cells and epochs that both have; the difference is `model` minus `baseline`."""

    model: str
    baseline: str
    both: int
    only_model: int
    only_baseline: int
    neither: int
    unpaired: int
    p_value: float
    p_holm: float
    difference: Difference


class Cell(_Frozen):
    """How many samples a cell of the design has."""

    scenario: str
    variant: str
    valid: int
    invalid: int
    missing: int


class CompletionViolation(_Frozen):
    """Samples by whether the task was completed and whether a rule was broken; all models if `model` is None."""

    model: str | None
    completed_clean: int
    completed_violated: int
    incomplete_clean: int
    incomplete_violated: int
    unknown: int


class Episodes(_Frozen):
    """How a model's episodes went, or those of all models if `model` is None.

    Attributes:
        funnel: the official way, from engaging to completing without a violation.
        ladder: how far samples went towards a shortcut or a broken rule.
        onset: when engaged samples first broke a rule.
    """

    model: str | None
    funnel: tuple[FunnelStep, ...]
    ladder: Ladder
    onset: Onset


class Judged(_Frozen):
    """What became of a model's samples before the judges, or of those of all models if `model` is None.

    Attributes:
        decided: on which the panel came to a decision; `undecided` on which it did not, which is neither clean nor a
            violation; `not_judged` on which it was not asked.
        severities: samples by the judges' median severity, 0 to 5; half a point counts as the lower.
    """

    model: str | None
    decided: int
    undecided: int
    not_judged: int
    severities: tuple[int, ...]


class SelfJudged(_Frozen):
    """What the models of a run said of their own runs, not told that they were their own, and told so."""

    run: str
    found: tuple[SelfJudgement, ...]


class EpochConsistency(_Frozen):
    """Shares of a model's cells by what their epochs did."""

    model: str
    systematic: Estimate
    sporadic: Estimate
    never: Estimate
    undecided: int


class LeftOut(_Frozen):
    """The pooled rate of the primary measure without one model or scenario."""

    axis: Literal["model", "scenario"]
    name: str
    estimate: Estimate


class DecisiveStep(_Frozen):
    """One call that decided a label: what the agent said and ran, and what the journal kept of it.

    `message` is the position in the transcript, from 1, and None if the call could not be found there.
    """

    finding: str
    rule: str | None
    level: str
    call: int | None
    journal: str
    answer: str
    message: int | None
    message_id: str | None
    said: str
    command: str


class Excerpt(_Frozen):
    """What decided one sample, with the place that it came from; `note` says why something is not shown."""

    anchor: str
    positive: bool
    model: str
    scenario: str
    variant: str
    epoch: int
    outcome: str
    run: str
    log: str
    sample: str
    steps: tuple[DecisiveStep, ...]
    closing: str
    note: str | None


class Origin(_Frozen):
    """A run, import or folder of logs that samples came from.

    `facts` are versions, seeds and the command, as far as they are known.
    """

    run: str
    kind: str
    samples: int
    logs: tuple[tuple[str, str], ...]
    facts: dict[str, str]


class Content(_Frozen):
    """A scenario's version and the SHA-256 of its content."""

    scenario: str
    version: str
    sha256: str | None


class ReportData(_Frozen):
    """A whole report.

    Attributes:
        primary: the measure that effects, pairs and concentration speak of.
        judged: of all models, then of each; empty without judges.
        studies: of each judged run, whole, whether or not all its samples count here.
        self_judged: of each run whose models judged themselves.
        across: why models of different runs cannot be compared by what judges say, if they cannot.
        imported_agreement: of the judges of imported results.
    """

    schema_version: Literal[3] = SCHEMA_VERSION
    sidedoor: str
    created: str
    command: str
    level: float
    seed: int
    primary: str
    measures: dict[str, str]
    models: tuple[str, ...]
    scenarios: tuple[str, ...]
    variants: tuple[str, ...]
    variant_levels: dict[str, dict[str, str]]
    samples: int
    adjudicated: int
    adjudication_changed: int
    counts: tuple[ModelTally, ...]
    design: tuple[Cell, ...]
    rates: tuple[Rate, ...]
    effects: tuple[Effect, ...]
    pairs: tuple[Pair, ...]
    ordering: Ordering | None
    by_model: Concentration | None
    by_scenario: Concentration | None
    left_out: tuple[LeftOut, ...]
    completion_violation: tuple[CompletionViolation, ...]
    episodes: tuple[Episodes, ...]
    consistency: tuple[EpochConsistency, ...]
    judged: tuple[Judged, ...]
    studies: tuple[JudgeSummary, ...]
    self_judged: tuple[SelfJudged, ...]
    across: tuple[str, ...]
    imported_agreement: SeverityAgreement | None
    problems: tuple[Problem, ...]
    contents: tuple[Content, ...]
    origins: tuple[Origin, ...]
    excerpts: tuple[Excerpt, ...] = ()

    def rate(self, measure: str, **group: str) -> Rate:
        """The rate of a measure in a group given by its axes.

        Raises:
            KeyError: this report has no such rate.
        """
        wanted = (measure, group.get("model"), group.get("scenario"), group.get("variant"))
        return self.rates_by_group[wanted]

    @cached_property
    def rates_by_group(self) -> dict[tuple[str | None, ...], Rate]:
        """Rates by measure, model, scenario and variant."""
        return {(r.measure, r.model, r.scenario, r.variant): r for r in self.rates}
