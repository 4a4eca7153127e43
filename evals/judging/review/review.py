"""A review: the queue of a run, the decisions on it, and what each reviewer may see at any time.

In a blind review nothing that anybody, judge or person, said of a case reaches a reviewer before their own decision on
it: it is not hidden on the page, it is not sent. The order of the queue says nothing there, either.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, Literal, TypeAlias

from inspect_ai.log import read_eval_log_sample

from sidedoor.evals.judging.cases import UNREAD, by_case
from sidedoor.evals.judging.queue import NEGATIVES, Draw, QueueItem, recorded_draw, review_queue
from sidedoor.evals.judging.review.transcript import Transcript, read_transcript
from sidedoor.evals.judging.review.verdicts import ShownVerdict, quotes_of, shown_verdicts
from sidedoor.evals.judging.study import StudyError, StudyFolder, studies
from sidedoor.evals.located import kept_findings
from sidedoor.scorers.adjudication import (
    Adjudication,
    AdjudicationError,
    Decision,
    Standing,
    in_force,
    kept,
    standing,
)
from sidedoor.scorers.findings import Finding
from sidedoor.scorers.judge.case import Case, CaseError, case_of_sample
from sidedoor.scorers.judge.judgement import Judging
from sidedoor.scorers.judge.panel import PanelDecision, Question
from sidedoor.scorers.judge.rubric import CURRENT
from sidedoor.scorers.labels import Truth

State: TypeAlias = Literal["open", "begun", "decided"]
USUAL: Final = "panel"
OPENED: Final = 8
"""Cases kept in memory, so that going back and loading more of a text do not read the log again."""


@dataclass(frozen=True)
class Entry:
    """One case of the queue, as one reviewer sees it.

    Attributes:
        number: in the queue, from 1.
        item: the sample; the first one, if several are of the same content.
        samples: how many are.
        why: all their reasons.
        state: how far this reviewer is with it: `begun` is everything but whether a rule was broken.
        disputed: reviewers differ on it about anything; never told while hidden.
        mine: the reviewer's decision that stands; None if there is none.
        hidden: what others said, and which model it was, is kept from the reviewer.
    """

    number: int
    item: QueueItem
    samples: int
    why: tuple[str, ...]
    state: State
    disputed: bool
    mine: Decision | None
    hidden: bool


@dataclass(frozen=True)
class OpenCase:
    """One case as one reviewer reads it.

    Attributes:
        entry: its place in the queue.
        case: the case itself.
        findings: of the state scorer.
        transcript: messages and journal, marked.
        verdicts: of judges; `panel` what they decided together. Nothing while hidden.
        others: other reviewers' decisions, and joint ones. None while hidden.
        standing: what holds after all decisions; None while hidden, or if there are none.
        previous: digest of the case before; `next`, `next_open` likewise; None at the end.
    """

    entry: Entry
    case: Case
    findings: tuple[Finding, ...]
    transcript: Transcript
    verdicts: tuple[ShownVerdict, ...]
    panel: PanelDecision | None
    others: tuple[Decision, ...]
    standing: Standing | None
    previous: str | None
    next: str | None
    next_open: str | None


class UnknownCaseError(LookupError):
    """The queue has no such case, or the case no such text."""


class Review:
    """The review of a run.

    Args:
        run: the run's folder.
        study: name of the judging study, or None to take the run's; a run that was never judged has none.
        negatives: how many random negatives are in the queue; as many as were drawn before if None.
        blind: whether reviewers decide before they see what others said.

    Raises:
        StudyError: no such study, or the queue cannot be drawn that way.
        AdjudicationError: the decisions on file cannot be read.
    """

    def __init__(self, run: Path, study: str | None = None, negatives: int | None = None, blind: bool = False) -> None:
        self.run, self.blind = run, blind
        self.study = study or _only_study(run)
        draw = recorded_draw(run, self.study) or Draw(negatives=NEGATIVES, seed=0)
        queue = review_queue(run, self.study, draw.negatives if negatives is None else negatives, draw.seed)
        self.items = _grouped(queue.items)
        self.no_case = queue.no_case
        self.order = sorted(self.items) if blind else list(self.items)
        self._places = {digest: at for at, digest in enumerate(self.order)}
        folder = StudyFolder(run, self.study) if self.study else None
        declared = folder.read() if folder else None
        self.judging = declared.judging if declared else Judging()
        self.rubric = declared.rubric if declared else CURRENT
        self._judged = by_case(folder.judged()) if folder else {}
        self.adjudication = Adjudication(run)
        self.adjudication.decisions()
        self._opened = lru_cache(maxsize=OPENED)(self._read)

    def entries(self, reviewer: str) -> list[Entry]:
        """The queue as a reviewer sees it."""
        decisions = self.adjudication.decisions()
        mine = _own(decisions, reviewer)
        holds = standing(decisions)
        return [self._entry(number, case, mine, holds) for number, case in enumerate(self.order, 1)]

    def open(self, reviewer: str, digest: str) -> OpenCase:
        """A case of the queue as a reviewer reads it.

        Raises:
            UnknownCaseError: it is not in the queue.
            CaseError: it cannot be read any more.
        """
        at = self._place(digest)
        entries = self.entries(reviewer)
        entry = entries[at]
        case, findings = self._opened(digest)
        judgements = [] if entry.hidden else [one.judgement for one in self._judged.get(digest, ())]
        verdicts = shown_verdicts(judgements)
        decisions = [] if entry.hidden else self.adjudication.decisions()
        after = [one.item.case_sha256 for one in (*entries[at + 1 :], *entries[:at]) if one.state != "decided"]
        return OpenCase(
            entry=entry,
            case=case,
            findings=tuple(findings),
            transcript=read_transcript(case, findings, quotes_of(verdicts), self.judging),
            verdicts=tuple(verdicts),
            panel=None if entry.hidden else entry.item.decision,
            others=tuple(_others(decisions, reviewer, digest)),
            standing=standing(decisions).get(digest),
            previous=self.order[at - 1] if at else None,
            next=self.order[at + 1] if at + 1 < len(self.order) else None,
            next_open=after[0] if after else None,
        )

    def case(self, digest: str) -> Case:
        """A case of the queue.

        Raises:
            UnknownCaseError: it is not in the queue.
            CaseError: it cannot be read any more.
        """
        return self._opened(self.order[self._place(digest)])[0]

    def decide(
        self,
        reviewer: str,
        digest: str,
        labels: dict[Question, Truth],
        severity: int | None = None,
        note: str = "",
        joint: bool = False,
    ) -> Decision:
        """Record what a reviewer decided on a case; when this returns it is on disk.

        Raises:
            UnknownCaseError: the case is not in the queue.
            AdjudicationError: it cannot be recorded.
            ValidationError: it says nothing, or something malformed.
        """
        earlier = self._by(reviewer, digest, self.adjudication.decisions())
        decision = Decision(
            case_sha256=digest,
            reviewer=reviewer,
            rubric=self.rubric,
            labels=labels,
            severity=severity,
            note=note,
            # Who decided once has seen the rest, whether or not that was taken back.
            blind=self.blind and not joint and not any(one.settles for one in earlier),
            joint=joint,
        )
        self.adjudication.append(decision)
        return decision

    def undo(self, reviewer: str, digest: str) -> Decision:
        """Take back the latest decision of a reviewer on a case; what they decided before it stands again.

        Returns:
            What was taken back.

        Raises:
            UnknownCaseError: the case is not in the queue.
            AdjudicationError: there is nothing to take back, or it cannot be recorded.
        """
        left = self._by(reviewer, digest, kept(self.adjudication.decisions()))
        if not left:
            raise AdjudicationError("there is nothing to undo on this case")
        self.adjudication.append(
            Decision(case_sha256=digest, reviewer=reviewer, rubric=self.rubric, retracts=left[-1].id)
        )
        return left[-1]

    def is_shared(self, reviewer: str, digest: str) -> bool:
        """Whether anybody else decided on a case, or several did together."""
        return bool(_others(self.adjudication.decisions(), reviewer, digest))

    def _place(self, digest: str) -> int:
        try:
            return self._places[digest]
        except KeyError:
            raise UnknownCaseError(f"no case {digest[:12]} in this queue") from None

    def _by(self, reviewer: str, digest: str, decisions: Sequence[Decision]) -> list[Decision]:
        case = self.order[self._place(digest)]
        return [one for one in decisions if (one.case_sha256, one.reviewer) == (case, reviewer)]

    def _entry(self, number: int, digest: str, mine: dict[str, Decision], holds: dict[str, Standing]) -> Entry:
        own = mine.get(digest)
        decided = own is not None and own.settles
        hidden = self.blind and not decided
        items = self.items[digest]
        return Entry(
            number=number,
            item=items[0],
            samples=len(items),
            why=() if hidden else tuple(dict.fromkeys(reason for one in items for reason in one.why)),
            state="decided" if decided else "begun" if own else "open",
            disputed=not hidden and digest in holds and bool(holds[digest].disputed),
            mine=own,
            hidden=hidden,
        )

    def _read(self, digest: str) -> tuple[Case, list[Finding]]:
        item = self.items[digest][0]
        try:
            sample = read_eval_log_sample(str(self.run / item.log), item.sample_id, item.epoch, exclude_fields=UNREAD)
        except (OSError, ValueError, KeyError, IndexError) as error:
            raise CaseError(f"{item.log}: {error}") from None
        case = case_of_sample(sample, item.model)
        if case.digest != digest:
            raise CaseError(f"{item.log}: sample {item.sample_id} changed since the queue was made; start again")
        return case, kept_findings(sample)


def _only_study(run: Path) -> str | None:
    names = [one.path.name for one in studies(run)]
    if len(names) > 1 and USUAL not in names:
        raise StudyError(f"{run}: several studies; choose one with --study ({', '.join(names)})")
    return USUAL if USUAL in names else names[0] if names else None


def _grouped(queue: Sequence[QueueItem]) -> dict[str, list[QueueItem]]:
    grouped: dict[str, list[QueueItem]] = {}
    for item in queue:
        grouped.setdefault(item.case_sha256, []).append(item)
    return grouped


def _others(decisions: Sequence[Decision], reviewer: str, digest: str) -> list[Decision]:
    return [one for one in in_force(decisions) if one.case_sha256 == digest and (one.joint or one.reviewer != reviewer)]


def _own(decisions: Sequence[Decision], reviewer: str) -> dict[str, Decision]:
    return {one.case_sha256: one for one in in_force(decisions) if one.reviewer == reviewer and not one.joint}
