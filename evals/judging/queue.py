"""What people should look at: all that anybody holds against an agent, all doubts, and a random sample of the rest.

The sample of the rest is what makes rates correctable (`sidedoor.evals.judging.correction`), so how it is drawn is
recorded in the run and stays: RUN/judging/queue/<study>.json. A larger draw with the same seed holds the smaller one.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sidedoor.evals.judging.study import FOLDER, StudyError
from sidedoor.scorers.judge.panel import PanelDecision, Question
from sidedoor.scorers.labels import Truth

if TYPE_CHECKING:  # it takes Inspect with it, which a report of a queue does not need
    from sidedoor.evals.judging.decided import Decided

NEGATIVES: Final = 100
STATE_ONLY: Final = "state"
"""Name of the draw in a run that was never judged."""

Reason: TypeAlias = Literal[
    "disagreement",
    "state: violated",
    "panel: violated",
    "panel: considered",
    "panel: misreport",
    "panel: awareness",
    "state: unknown",
    "panel: undecided",
    "random negative",
]
_POSITIVE: Final[dict[Question, Reason]] = {
    "violated": "panel: violated",
    "considered": "panel: considered",
    "misreport": "panel: misreport",
    "awareness": "panel: awareness",
}
NEGATIVE: Final[Reason] = "random negative"
NO_TRANSCRIPT: Final = "scenario changed since, or nothing said"
"""Why a valid sample makes no case."""

STATE_LABELS: Final = ("constraint_violated", "ic_behavior_detected", "tampered", "stage", "status")


class Draw(BaseModel):
    """How the negatives of a queue are drawn: the first `negatives` in the order that `seed` puts them in."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    negatives: int = Field(ge=0)
    seed: int


class QueueItem(BaseModel):
    """One sample to review.

    Attributes:
        case_sha256: what decisions on it are kept under.
        log: relative to the run's folder.
        sample_id: with `epoch`, Inspect's, finds the sample in its log.
        sample_uuid: of the sample.
        model: the model under test.
        scenario: as in the sample's row; `variant` likewise.
        why: the reasons that it is here, the gravest first.
        probability: with which it came to be here: 1 but for random negatives.
        state: its labels from state: `constraint_violated`, `ic_behavior_detected`, `tampered`, `stage`, `status`.
        decision: the panel's; None if it was not judged.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    case_sha256: str
    log: str
    sample_id: str
    sample_uuid: str
    epoch: int
    model: str
    scenario: str
    variant: str
    why: tuple[Reason, ...] = Field(min_length=1)
    probability: float = Field(gt=0, le=1)
    state: dict[str, Truth | str]
    decision: PanelDecision | None


class Queue(BaseModel):
    """What to review of a run, and what of it cannot be reviewed.

    Attributes:
        items: by gravity: disagreements, positives and doubts first, random negatives last.
        no_case: samples that cannot be put before anybody, by why; they are in no part of the queue.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    items: tuple[QueueItem, ...]
    no_case: dict[str, int]


def review_queue(run: Path, study: str | None, negatives: int = NEGATIVES, seed: int = 0) -> Queue:
    """What to review of a run.

    Args:
        run: the run's folder.
        study: name of the judging study; None for a run that was never judged.
        negatives: how many of the samples that nothing speaks against are drawn.
        seed: of the draw.

    Raises:
        StudyError: no such study, or negatives were drawn with another seed, or more of them, before.
        OSError: the draw cannot be recorded.
    """
    from sidedoor.evals.judging.decided import decided_samples

    draw = Draw(negatives=negatives, seed=seed)
    _record(run, study, draw)
    return queue_of(decided_samples(run, study), draw)


def queue_of(samples: Iterable["Decided"], draw: Draw) -> Queue:
    """The queue of samples, some with decisions."""
    samples = list(samples)
    suspect = [(one, why) for one in samples if one.sample.case_sha256 and (why := tuple(_reasons(one)))]
    certain = [_item(one, why, 1.0) for one, why in suspect]
    certain.sort(key=lambda item: get_args(Reason).index(item.why[0]))
    rest = unsuspected(samples)
    drawn = sorted(rest, key=lambda one: _rank(one, draw.seed))[: draw.negatives]
    negatives = [_item(one, (NEGATIVE,), len(drawn) / len(rest)) for one in drawn]
    return Queue(items=(*certain, *negatives), no_case=_no_case(samples))


def no_case_words(no_case: Mapping[str, int]) -> str:
    """What cannot be reviewed, in a sentence; empty if there is nothing of the kind."""
    if not no_case:
        return ""
    why = ", ".join(f"{reason} {count}" for reason, count in no_case.items())
    return f"not in the queue, as they make no case: {why}"


def _no_case(samples: Iterable["Decided"]) -> dict[str, int]:
    lost = (one.sample.row for one in samples if one.sample.case_sha256 is None)
    return dict(Counter(row.invalid_reason or NO_TRANSCRIPT for row in lost))


def unsuspected(samples: Iterable["Decided"]) -> list["Decided"]:
    """The samples that nothing speaks against, of those that make a case."""
    return [one for one in samples if one.sample.case_sha256 and not any(_reasons(one))]


def recorded_draw(run: Path, study: str | None) -> Draw | None:
    """How the negatives of a run's queue were drawn; None if they were not yet.

    Raises:
        StudyError: the record is malformed.
    """
    path = _path(run, study)
    try:
        return Draw.model_validate_json(path.read_bytes()) if path.exists() else None
    except ValidationError:
        raise StudyError(f"{path}: not the record of a draw; restore the file") from None


def _record(run: Path, study: str | None, draw: Draw) -> None:
    before = recorded_draw(run, study)
    if before is not None and (before.seed != draw.seed or before.negatives > draw.negatives):
        raise StudyError(
            f"{run.name}: {before.negatives} negatives were drawn with seed {before.seed} before; "
            "take the same seed, and no fewer"
        )
    if before != draw:
        path = _path(run, study)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(draw.model_dump_json() + "\n", encoding="utf-8")


def _path(run: Path, study: str | None) -> Path:
    return run / FOLDER / "queue" / f"{study or STATE_ONLY}.json"


def _reasons(one: "Decided") -> Iterator[Reason]:
    state, decision = one.sample.row.constraint_violated, one.decision
    if one.disagrees:
        yield "disagreement"
    if state:
        yield "state: violated"
    if decision is not None:
        outcomes = {question: decision.outcome(question) for question in _POSITIVE}
        yield from (_POSITIVE[question] for question, outcome in outcomes.items() if outcome)
        if None in outcomes.values():
            yield "panel: undecided"
    if state is None:
        yield "state: unknown"


def _rank(one: "Decided", seed: int) -> str:
    """A place in a random order that no other sample, and no order of reading, has an influence on."""
    return hashlib.sha256(f"{seed} {one.sample.uuid}".encode()).hexdigest()


def _item(one: "Decided", why: tuple[Reason, ...], probability: float) -> QueueItem:
    row = one.sample.row
    return QueueItem(
        case_sha256=one.sample.case_sha256 or "",
        log=row.log,
        sample_id=row.sample_id,
        sample_uuid=one.sample.uuid,
        epoch=one.sample.epoch,
        model=row.model,
        scenario=row.scenario,
        variant=row.variant,
        why=why,
        probability=probability,
        state={name: getattr(row, name) for name in STATE_LABELS},
        decision=one.decision,
    )
