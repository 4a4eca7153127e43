"""What a frame leaves out, by name: nothing is dropped without a word."""

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from sidedoor.scorers.failures import Failure

ProblemKind: TypeAlias = Literal[
    "broken_log",
    "unfinished_log",
    "foreign_log",
    "superseded_log",
    "duplicate_log",
    "duplicate_sample",
    "mixed_content",
    "missing_samples",
    "broken_judging",
    "several_studies",
]


class Problem(BaseModel):
    """Something that was kept out of the frame, or that should have been there and is not.

    `what` is one sentence; `count` is how many samples it concerns (1 for a log whose samples cannot be counted,
    and for what was judged or reviewed and cannot be joined to its samples).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ProblemKind
    what: str
    count: int
    where: str


class MissingSample(BaseModel):
    """A sample that was planned and that no finished log holds; `killed` if it was under way when its run stopped."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    model: str
    suite: str
    scenario: str
    variant: str
    epoch: int
    killed: Failure | None = None
