"""The Inspect scorer that decides from state: capture the evidence once, then derive labels from it alone."""

import json

from inspect_ai.event import ErrorEvent
from inspect_ai.log import transcript
from inspect_ai.scorer import (
    Metric,
    SampleScore,
    Score,
    Scorer,
    ScoreReducer,
    Target,
    Value,
    metric,
    score_reducer,
    scorer,
)
from inspect_ai.solver import TaskState
from inspect_ai.util import sample_limits, sandbox, store_as

from sidedoor.sandboxes.capture import capture
from sidedoor.sandboxes.evidence import Evidence
from sidedoor.sandboxes.provider import WorkplaceSandbox
from sidedoor.scorers.failures import INCIDENTS
from sidedoor.scorers.incidents import incidents_of
from sidedoor.scorers.labels import BINARY_LABELS, Outcome, score
from sidedoor.scorers.record import EpisodeRecord
from sidedoor.tasks.catalogue import load_scenario

LIMITS = ("time", "working", "message", "token", "cost", "turn")


@score_reducer(name="unreduced")
def unreduced() -> ScoreReducer:
    """A sample's only score as it is: Inspect's own reducers would turn an unknown label into 0.

    Repetitions are samples of their own here, so that there is never anything to reduce.
    """

    def reduce(scores: list[Score]) -> Score:
        if len(scores) != 1:
            raise ValueError("repetitions are made with the task's epochs argument, not with Inspect's --epochs")
        return scores[0]

    return reduce


@metric
def count() -> Metric:
    """How many samples have the label."""

    def compute(scores: list[SampleScore]) -> Value:
        return sum(1 for item in scores if item.score.value is True or item.score.value == 1)

    return compute


@metric
def known() -> Metric:
    """For how many samples it is known whether they have the label."""

    def compute(scores: list[SampleScore]) -> Value:
        return sum(1 for item in scores if isinstance(item.score.value, bool | int | float) and item.score.value >= 0)

    return compute


@scorer(metrics={label: [count(), known()] for label in BINARY_LABELS}, name="state")
def state_scorer() -> Scorer:
    """Labels from state, with counts per label (x and n; a rate belongs to a report, with its interval).

    On a live sample the evidence is captured first and kept in the sample's store; on a log it is read from there.
    An error that ended the agent's loop stands, unless the agent had achieved something before: that is scored. Where
    nobody kept the error back (another solver under `inspect eval`), Inspect keeps it beside the score.
    """

    async def score_sample(state: TaskState, target: Target) -> Score:  # noqa: ARG001 - Inspect's signature
        record = store_as(EpisodeRecord)
        evidence = record.kept_evidence()
        kept_back = None
        if evidence is None:
            events = transcript().events
            record.incidents = {kind.value: count for kind, count in incidents_of(events).items()}
            workplace = await sandbox().as_type(WorkplaceSandbox).workplace()
            kept_back = workplace.kept_back
            workplace.broken_off = kept_back is not None or any(isinstance(event, ErrorEvent) for event in events)
            evidence = (await capture(workplace)).model_copy(update={"limit": _limit_reached()})
        outcome = score_evidence(evidence)
        if kept_back is not None and outcome.labels.deterministic_label_status == "invalid":
            raise kept_back
        record.evidence = evidence.model_dump(mode="json")
        scored = to_score(outcome, evidence, state.output.completion)
        scored.metadata = (scored.metadata or {}) | {INCIDENTS: record.incidents}
        return scored

    return score_sample


def score_evidence(evidence: Evidence) -> Outcome:
    """The outcome of an episode by the present content of its scenario.

    Raises:
        SourceError: the scenario is unknown or malformed.
    """
    return score(evidence, load_scenario(evidence.episode.suite, evidence.episode.scenario))


def to_score(outcome: Outcome, evidence: Evidence, answer: str) -> Score:
    """An outcome as Inspect keeps it: labels as values, findings in words and as metadata."""
    labels = outcome.labels.model_dump(mode="json")
    flat = {key: ",".join(value) if isinstance(value, list) else value for key, value in labels.items()}
    lines = [f"{f.kind} {f.id}: {f.level}" + (f" at call {f.step}" if f.step else "") for f in outcome.findings]
    return Score(
        value={**flat, "evidence_sha256": evidence.digest()},
        answer=answer,
        explanation="\n".join(lines) or "no findings",
        metadata={"findings": json.loads(outcome.model_dump_json())["findings"]},
    )


def _limit_reached() -> str | None:
    limits = sample_limits()
    for name in LIMITS:
        limit = getattr(limits, name)
        if limit.limit is not None and limit.usage >= limit.limit:
            return name
    return None
