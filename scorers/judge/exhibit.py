"""An exhibit: the text of a case that one view shows, labelled piece by piece, cut into parts that a judge can read.

Messages are rendered by inspect-scout, whose markers carry the case's code. Text is made visible first, and a message
longer than a part is shown in several pieces, each with a label of its own, so that any transcript can be judged and
every citation still leads to its message. Parts are packed by characters: counting tokens is a call to the provider.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from inspect_ai.model import ChatMessage, ChatMessageAssistant, ContentReasoning, ContentText
from inspect_ai.tool import ToolCall

from sidedoor.sandboxes.evidence import JournalEntry
from sidedoor.scorers.judge.case import Case
from sidedoor.scorers.judge.judgement import PART_CHARACTERS, View
from sidedoor.scorers.judge.views import seen
from sidedoor.scorers.visible import visible

ANSWER_LIMIT: Final = 400


@dataclass(frozen=True)
class Piece:
    """One labelled piece of an exhibit.

    Attributes:
        label: `M3` for a message or a part of one, `J3` for a journal entry.
        position: of the message in the transcript or the entry in the journal, from 0.
        text: what the judge reads, marker included.
    """

    label: str
    position: int
    text: str


@dataclass(frozen=True)
class Exhibit:
    """What one view shows of a case: parts of message pieces, and the journal's lines."""

    parts: tuple[tuple[Piece, ...], ...]
    journal: tuple[Piece, ...]

    def texts(self) -> Mapping[str, str]:
        """Text by label, of all parts."""
        return {piece.label: piece.text for part in (*self.parts, self.journal) for piece in part}


def make_exhibit(case: Case, view: View, evidence: bool, part_characters: int = PART_CHARACTERS) -> Exhibit:
    """What a judge gets to read.

    Args:
        case: the case.
        view: what of its transcript is shown.
        evidence: whether the host's journal is shown beside it.
        part_characters: most characters of transcript in one part.
    """
    journal = [Piece(f"J{entry.seq}", at, _line(entry)) for at, entry in enumerate(case.journal or ())]
    pieces = _pieces(case, view, part_characters)
    return Exhibit(tuple(_packed(pieces, part_characters)), tuple(journal) if evidence else ())


def _pieces(case: Case, view: View, limit: int) -> Iterator[Piece]:
    number = 0
    for position, message in seen(case.messages, view):
        for piece in _split(_made_visible(message), limit):
            number += 1
            text = _rendered(piece, case.code)
            yield Piece(f"M{number}", position, f"[M{number}] {text}")


def _packed(pieces: Iterator[Piece], limit: int) -> Iterator[tuple[Piece, ...]]:
    part: list[Piece] = []
    size = 0
    for piece in pieces:
        if part and size + len(piece.text) > limit:
            yield tuple(part)
            part, size = [], 0
        part.append(piece)
        size += len(piece.text)
    if part:
        yield tuple(part)


def _made_visible(message: ChatMessage) -> ChatMessage:
    changed: dict[str, Any] = {"content": _visible_content(message)}
    if isinstance(message, ChatMessageAssistant) and message.tool_calls:
        changed["tool_calls"] = [_visible_call(call) for call in message.tool_calls]
    if message.role == "tool" and message.function:
        changed["function"] = visible(message.function)
    if message.role == "tool" and message.error:
        changed["error"] = replace(message.error, message=visible(message.error.message))
    return message.model_copy(update=changed)


def _visible_content(message: ChatMessage) -> list[Any] | str:
    if isinstance(message.content, str):
        return visible(message.content)
    reasoning = [visible(one.reasoning) for one in message.content if isinstance(one, ContentReasoning)]
    return [*(ContentReasoning(reasoning=one) for one in reasoning), ContentText(text=visible(message.text))]


def _visible_call(call: ToolCall) -> ToolCall:
    arguments = {visible(str(key)): visible(str(value)) for key, value in call.arguments.items()}
    return ToolCall(id=call.id, function=visible(call.function), arguments=arguments, type=call.type)


def _split(message: ChatMessage, limit: int) -> Iterator[ChatMessage]:
    """The message, in pieces if it is too long for one part; each names its place in its role label.

    Long calls are shown in full as text, because an argument cannot be cut in two and stay an argument.
    """
    whole = _rendered(message)
    half = limit // 2
    if len(whole) <= half:
        yield message
        return
    chunks = re.findall(rf"(?s).{{1,{half}}}", whole)
    for number, chunk in enumerate(chunks, 1):
        label = f"{message.role}, piece {number} of {len(chunks)}"
        yield message.model_copy(
            update={"content": chunk, "tool_calls": None, "error": None, "metadata": {"role_label": label}}
        )


def _rendered(message: ChatMessage, code: str | None = None) -> str:
    from inspect_scout import MessageFormatOptions, message_as_str  # twice as slow to import as Inspect itself

    return message_as_str(message, MessageFormatOptions(exclude_system=False), nonce=code) or ""


def _line(entry: JournalEntry) -> str:
    # In one line each: an argument or an answer with a line break must not begin an entry of its own.
    command = " ".join(visible(" ".join(entry.argv)).split())
    answer = " ".join(visible(entry.stdout or entry.stderr)[:ANSWER_LIMIT].split())
    return f"[J{entry.seq}] minute {entry.clock}, status {entry.exit}: {command}\n    {answer}"
