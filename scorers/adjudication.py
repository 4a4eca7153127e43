"""Adjudication: what people decided on cases, kept beside the raw labels and never in their place.

    RUN/adjudication.jsonl    one decision per line, on disk before its reviewer sees it saved

A decision belongs to a case by the case's digest, so that it holds for the same content in any log and survives a
re-run. Nothing is ever changed: who thinks again decides again, and who takes a decision back appends that. What a kill
left half written was never confirmed to anybody, and goes.

Trust boundary: the file is shared by everyone who reviews the run, at the same time or not; each change is made under a
lock on it.
"""

import fcntl
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Annotated, Any, BinaryIO, Final, TypeAlias, get_args
from uuid import uuid4

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    ValidationError,
    model_validator,
)

from sidedoor.scorers.judge.panel import Question
from sidedoor.scorers.visible import visible

FILE: Final = "adjudication.jsonl"
NAME_LIMIT: Final = 60
NOTE_LIMIT: Final = 10_000

Answer: TypeAlias = bool | None
"""Yes, no, or that it cannot be told."""

QUESTIONS: Final[tuple[Question, ...]] = get_args(Question)


class AdjudicationError(ValueError):
    """Decisions cannot be read, or one cannot be recorded; the message is one line that says what to do."""


def reviewer_name(name: str) -> str:
    """A reviewer's name as it is recorded: single spaces, and nothing in it that cannot be seen.

    Raises:
        ValueError: it is empty, too long, or holds an invisible character.
    """
    shown = " ".join(name.split())
    if not shown or len(shown) > NAME_LIMIT or visible(shown) != shown:
        raise ValueError(f"a reviewer's name has 1 to {NAME_LIMIT} visible characters")
    return shown


def _in_utc(time: datetime) -> datetime:
    return time.astimezone(UTC)


class Decision(BaseModel):
    """What one reviewer decided on one case at one time, whole: it replaces what the same reviewer decided before.

    Attributes:
        id: of this decision.
        case_sha256: the case's digest.
        reviewer: who decided; for a joint decision who wrote it down.
        time: when, UTC.
        rubric: version of the rubric that the reviewer had before them.
        labels: answers to the questions that were answered; None where it cannot be told.
        severity: by the rubric's anchors; None if not given.
        note: in the reviewer's words.
        blind: made before this reviewer saw what judges or other reviewers had said of the case.
        joint: made by all its reviewers together, after they differed.
        retracts: id of the decision that is taken back; such a line says nothing else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(default_factory=lambda: uuid4().hex, pattern=r"^[0-9a-f]{32}$")
    case_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    reviewer: Annotated[str, AfterValidator(reviewer_name)]
    time: Annotated[AwareDatetime, AfterValidator(_in_utc)] = Field(default_factory=lambda: datetime.now(UTC))
    rubric: str
    labels: dict[Question, StrictBool | None] = Field(default_factory=dict)
    severity: int | None = Field(default=None, ge=0, le=5, strict=True)
    note: str = Field(default="", max_length=NOTE_LIMIT)
    blind: bool = False
    joint: bool = False
    retracts: str | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> "Decision":
        says = bool(self.labels) or self.severity is not None or bool(self.note)
        if says == (self.retracts is not None):
            raise ValueError("a decision answers something, or takes one back, and never both")
        return self

    @property
    def settles(self) -> bool:
        """Whether it answers the question that reviews are about: was a rule broken?"""
        return "violated" in self.labels


class Standing(BaseModel):
    """What holds of a case after all decisions on it.

    Attributes:
        case_sha256: the case's digest.
        reviewers: whose decisions stand, by name.
        labels: the questions that are settled, with their answers.
        disputed: the questions on which reviewers differ without a majority.
        severity: that of the joint decision, otherwise the reviewers' median; None if nobody gave one.
        joint: a joint decision stands.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    case_sha256: str
    reviewers: tuple[str, ...]
    labels: dict[Question, Answer]
    disputed: tuple[Question, ...]
    severity: float | None
    joint: bool


def in_force(decisions: Sequence[Decision]) -> list[Decision]:
    """The decisions that stand: per case the latest of each reviewer and the latest joint one, unless taken back.

    Args:
        decisions: in the order in which they were made.
    """
    latest: dict[tuple[str, str | None], Decision] = {}
    for one in kept(decisions):
        latest[one.case_sha256, None if one.joint else one.reviewer] = one
    return list(latest.values())


def independent(decisions: Sequence[Decision]) -> dict[tuple[str, str], Decision]:
    """What each reviewer thought of each case by themselves: for agreement. Keys are case and reviewer.

    A blind decision outweighs later ones, because after it judges' and others' views were before the reviewer's eyes.

    Args:
        decisions: in the order in which they were made.
    """
    own: dict[tuple[str, str], Decision] = {}
    for one in kept(decisions):
        key = one.case_sha256, one.reviewer
        if not one.joint and (one.blind or key not in own or not own[key].blind):
            own[key] = one
    return own


def standing(decisions: Sequence[Decision]) -> dict[str, Standing]:
    """What holds of each case that anybody decided on, by its digest.

    Args:
        decisions: in the order in which they were made.
    """
    cases: dict[str, list[Decision]] = {}
    for one in in_force(decisions):
        cases.setdefault(one.case_sha256, []).append(one)
    return {case: _standing(case, those) for case, those in cases.items()}


def kept(decisions: Iterable[Decision]) -> list[Decision]:
    """The decisions that were not taken back; only who made a decision can take it back."""
    decisions = list(decisions)
    retracted = {(one.retracts, one.reviewer) for one in decisions}
    return [one for one in decisions if one.retracts is None and (one.id, one.reviewer) not in retracted]


def _standing(case: str, decisions: Sequence[Decision]) -> Standing:
    single = [one for one in decisions if not one.joint]
    joint = next((one for one in decisions if one.joint), None)
    labels: dict[Question, Answer] = {}
    disputed: list[Question] = []
    for question in QUESTIONS:
        answers = [one.labels[question] for one in single if question in one.labels]
        if joint and question in joint.labels:
            labels[question] = joint.labels[question]
        elif answers:
            answer, votes = Counter(answers).most_common(1)[0]
            if 2 * votes > len(answers):
                labels[question] = answer
            else:
                disputed.append(question)
    return Standing(
        case_sha256=case,
        reviewers=tuple(sorted({one.reviewer for one in decisions})),
        labels=labels,
        disputed=tuple(disputed),
        severity=_severity(single, joint),
        joint=joint is not None,
    )


def _severity(single: Sequence[Decision], joint: Decision | None) -> float | None:
    if joint and joint.severity is not None:
        return float(joint.severity)
    given = [one.severity for one in single if one.severity is not None]
    return float(median(given)) if given else None


class Adjudication:
    """The decisions of a run on disk.

    Args:
        run: the run's folder.
    """

    def __init__(self, run: Path) -> None:
        self.path = run / FILE

    def decisions(self) -> list[Decision]:
        """Every decision so far, in order.

        Raises:
            AdjudicationError: the file cannot be read, or a finished line of it is no decision.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise AdjudicationError(f"{self.path}: {error.strerror}") from None
        return list(self._parsed(content))

    def append(self, decision: Decision) -> None:
        """Put one decision on disk; when this returns, a kill cannot take it away.

        Raises:
            AdjudicationError: it takes back what this reviewer did not decide or has taken back already, or it cannot
                be written.
        """
        try:
            is_new = not self.path.exists()
            with self.path.open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                self._check_retraction(decision, file)
                _cut_unfinished_line(file)
                file.write(decision.model_dump_json().encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                _sync_folder(self.path.parent)
        except OSError as error:
            raise AdjudicationError(f"{self.path}: {error.strerror}") from None

    def _parsed(self, content: bytes) -> Iterator[Decision]:
        # What follows the last newline is empty, or was never finished.
        for number, line in enumerate(content.split(b"\n")[:-1], 1):
            try:
                yield Decision.model_validate_json(line)
            except ValidationError:
                raise AdjudicationError(f"{self.path}, line {number}: not a decision; restore the file") from None

    def _check_retraction(self, decision: Decision, file: BinaryIO) -> None:
        if decision.retracts is None:
            return
        file.seek(0)
        mine: Mapping[str, Any] = {
            one.id: one
            for one in kept(self._parsed(file.read()))
            if (one.reviewer, one.case_sha256) == (decision.reviewer, decision.case_sha256)
        }
        if decision.retracts not in mine:
            raise AdjudicationError(f"{decision.reviewer} has no such decision to take back")


def _cut_unfinished_line(file: BinaryIO) -> None:
    """Take away what a kill left after the last newline; the file is in append mode, locked."""
    end = file.seek(0, os.SEEK_END)
    if not end:
        return
    file.seek(end - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)


def _sync_folder(folder: Path) -> None:
    """A new file's name is on disk only once its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
