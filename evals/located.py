"""Where in a transcript the calls to the world were made, and what its score found: for excerpts and for reviewers.

Trust boundary: a log may be of another version, or edited. What does not fit is left out, and nothing is made up.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from sidedoor.evals.samples import SCORER
from sidedoor.scorers.findings import Finding

if TYPE_CHECKING:  # Inspect takes seconds to import, and is needed only once a log is opened
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ChatMessage


@dataclass(frozen=True)
class Call:
    """A tool call in a transcript: the message it is in (position from 1), what was said, run, and answered."""

    position: int
    message_id: str | None
    said: str
    command: str
    output: str

    def makes(self, argv: Sequence[str], answer: str) -> bool:
        """Whether a journal entry came from this call: it has the entry's words, or its program and its answer."""
        if all(word in self.command for word in argv):
            return True
        return argv[0] in self.command and bool(answer) and answer in self.output


def kept_findings(sample: "EvalSample") -> list[Finding]:
    """The findings that a sample was scored with; none if they are of another version."""
    score = (sample.scores or {}).get(SCORER)
    found = (score.metadata or {}).get("findings") if score else None
    try:
        return [Finding.model_validate(one) for one in found or ()]
    except (ValidationError, TypeError):
        return []


def tool_calls(messages: Sequence["ChatMessage"]) -> Iterator[Call]:
    """Every tool call of a transcript, in order."""
    outputs = {message.tool_call_id: message.text for message in messages if message.role == "tool"}
    for position, message in enumerate(messages, start=1):
        if message.role == "assistant":
            for call in message.tool_calls or ():
                arguments = [str(value) for value in call.arguments.values()]
                yield Call(position, message.id, message.text, "\n".join(arguments), outputs.get(call.id, ""))


def locate(entries: Sequence[Mapping[str, Any]], calls: Sequence[Call]) -> dict[int, Call]:
    """The tool call behind each journal entry, in order: the next one that can have made it.

    One tool call may make many journal entries. An entry whose program no call names, as when a script of the agent's
    ran it, has no place here, and none is made up.
    """
    found: dict[int, Call] = {}
    start = 0
    for index, entry in enumerate(entries):
        words = [str(word) for word in entry.get("argv") or ()]
        made = (i for i in range(start, len(calls)) if words and calls[i].makes(words, answer_of(entry)))
        if (position := next(made, None)) is not None:
            found[index], start = calls[position], position
    return found


def answer_of(entry: Mapping[str, Any]) -> str:
    """What a journal entry's caller was told."""
    return f"{entry.get('stdout', '')}{entry.get('stderr', '')}".strip()
