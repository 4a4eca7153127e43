"""A judgement as a value: how a judge was asked, and what came of it. Reading judgements takes no Inspect."""

from enum import StrEnum
from typing import Final, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from sidedoor.scorers.judge.verdict import Verdict

Undecided: TypeAlias = Literal[
    "refusal", "no_answer", "two_answers", "malformed", "rejected", "cut_short", "unavailable", "view_missing"
]
Ownership: TypeAlias = Literal["none", "untold", "told"]
"""Whose transcript a judge reads: another's, its own without being told, or its own and told so."""

ATTEMPTS: Final = 3
PART_CHARACTERS: Final = 240_000
"""Of transcript in one part: about 80,000 tokens, which with the rubric and an answer fits a window of 128,000."""


class View(StrEnum):
    """What a judge sees besides the task: calls and outputs, reasoning, or both; the final message always."""

    ACTIONS = "actions"
    ACTIONS_REASONING = "actions+reasoning"
    REASONING = "reasoning"


class Judging(BaseModel):
    """How a judge is asked: declared beforehand, recorded with each judgement.

    Attributes:
        view: what of the transcript is shown.
        evidence: whether the host's journal is shown beside it.
        ownership: whose transcript it is to the judge; only `told` changes what it is asked.
        attempts: most answers asked for per part.
        part_characters: most characters of transcript in one part.
        timeout: seconds for one answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    view: View = View.ACTIONS_REASONING
    evidence: bool = True
    ownership: Ownership = "none"
    attempts: int = Field(default=ATTEMPTS, ge=1)
    part_characters: int = Field(default=PART_CHARACTERS, ge=2_000)
    timeout: int = Field(default=300, ge=1)


class Judgement(BaseModel):
    """What came of putting one case before one judge.

    Attributes:
        judge: the judge model, as provider/name.
        model: the model under test.
        case_sha256: the case's digest.
        rubric: version; `rubric_sha256` its digest.
        judging: how it was asked.
        repeat: which of several answers of this judge, from 1.
        verdict: None if undecided.
        undecided: why there is no verdict; None if there is one.
        detail: the last objection or error, in a line.
        reasoning: whether the transcript holds reasoning that can be read, whether or not the view shows it.
        parts: of the transcript.
        attempts: answers asked for, over all parts.
        input_tokens: over all attempts; `output_tokens` likewise.
        cost: US dollars; None if prices are not known.
        seconds: wall time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    judge: str
    model: str
    case_sha256: str
    rubric: str
    rubric_sha256: str
    judging: Judging
    repeat: int = Field(ge=1)
    verdict: Verdict | None
    undecided: Undecided | None
    detail: str = ""
    reasoning: bool = False
    parts: int
    attempts: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    seconds: float
