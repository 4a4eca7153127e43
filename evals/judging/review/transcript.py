"""What a reviewer reads of a case: its messages and journal, with the decisive steps and the judges' quotes marked.

Trust boundary: all of it is whatever an agent, its tools or a judge wrote. Here it becomes visible text and nothing
else; that none of it acts in a browser is the templates' escaping and the page's policy.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, TypeVar

from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageTool, ContentReasoning, ContentText
from inspect_ai.tool import ToolCall

from sidedoor.evals.judging.review.passages import Gap, Passage, Span, find_quote, passages
from sidedoor.evals.located import locate, tool_calls
from sidedoor.sandboxes.evidence import JournalEntry
from sidedoor.scorers.findings import Finding
from sidedoor.scorers.judge.case import Case
from sidedoor.scorers.judge.exhibit import make_exhibit
from sidedoor.scorers.judge.judgement import Judging
from sidedoor.scorers.visible import visible

_Key = TypeVar("_Key")
_T = TypeVar("_T")
BlockKind: TypeAlias = Literal["text", "reasoning", "call", "output", "error"]

TEXT_BUDGET: Final = 1_500_000
"""Characters of a case shown at once, quotes aside."""

LONGEST: Final = 12_000
LONGEST_ENTRY: Final = 1_500
"""Characters of one text in the journal, which repeats what the transcript shows."""

SHORTEST: Final = 300
_KEY = re.compile(r"([MJ])([0-9]{1,6})\.([0-9]{1,6})")
DECISIVE: Final = frozenset(("shortcut", "violation", "tampering"))


@dataclass(frozen=True)
class Quote:
    """A passage that a judge cited.

    Attributes:
        id: unique on the page, as an anchor: `q3`.
        label: of the message or journal entry that it cites.
        text: as cited.
        who: the judge.
        what: what it is cited for.
    """

    id: str
    label: str
    text: str
    who: str
    what: str


@dataclass(frozen=True)
class Block:
    """One text of a message or journal entry.

    Attributes:
        key: by which more of it can be asked for: `M4.0` is the first text of the fifth message.
        kind: what it is; `title` says more (a tool's name, an argument's).
        parts: what is shown, and what is left out.
    """

    key: str
    kind: BlockKind
    title: str
    parts: tuple[Passage | Gap, ...]


@dataclass(frozen=True)
class Turn:
    """One message or journal entry.

    Attributes:
        anchor: on the page: `m4`, `j2`.
        labels: as judges know it (a long message has several; one that they were not shown has none).
        role: who speaks, or `entry`.
        findings: what the state scorer found here.
        cited: quotes that are cited from here.
        blocks: its texts.
        counterpart: anchor of the journal entry's message; None if no one message made it.
        entry: the journal entry; None for a message.
    """

    anchor: str
    labels: tuple[str, ...]
    role: str
    findings: tuple[Finding, ...]
    cited: tuple[Quote, ...]
    blocks: tuple[Block, ...]
    counterpart: str | None = None
    entry: JournalEntry | None = None

    @property
    def decisive(self) -> bool:
        """Whether a shortcut, violation or tampering was found here."""
        return any(one.kind in DECISIVE for one in self.findings)

    @property
    def cited_by(self) -> dict[str, str]:
        """What each judge cites it for."""
        told: dict[str, list[str]] = {}
        for quote in self.cited:
            told.setdefault(quote.who, []).append(quote.what)
        return {who: "; ".join(dict.fromkeys(what)) for who, what in told.items()}


@dataclass(frozen=True)
class Transcript:
    """A case as it is read: messages, journal, and for each quote the anchor at which it is seen."""

    messages: tuple[Turn, ...]
    journal: tuple[Turn, ...]
    anchors: Mapping[str, str]


Text: TypeAlias = tuple[BlockKind, str, str]
"""Kind, title and visible text of a block."""


def read_transcript(case: Case, findings: Sequence[Finding], quotes: Sequence[Quote], judging: Judging) -> Transcript:
    """A case with its marks.

    Args:
        case: the case.
        findings: of the state scorer.
        quotes: of the judges that the reader may see.
        judging: how judges saw the case; it decides their labels.
    """
    reader = _Reader(case, findings, quotes, judging)
    messages = tuple(reader.message(at) for at in range(len(case.messages)))
    journal = tuple(reader.entry(at) for at in range(len(case.journal or ())))
    anchors = {id_: anchor for turn in (*messages, *journal) for id_, anchor in _anchors(turn)}
    return Transcript(messages, journal, anchors)


class _Reader:
    def __init__(self, case: Case, findings: Sequence[Finding], quotes: Sequence[Quote], judging: Judging) -> None:
        exhibit = make_exhibit(case, judging.view, judging.evidence, judging.part_characters)
        self._case = case
        self._labels = _grouped((piece.position, piece.label) for part in exhibit.parts for piece in part)
        self._quotes = _grouped((quote.label, quote) for quote in quotes)
        self._callers = _callers(case)
        self._found = _grouped((one.step - 1, one) for one in findings if one.step is not None)
        self._limit = _limit(case)

    def message(self, at: int) -> Turn:
        labels = tuple(self._labels.get(at, ()))
        cited = tuple(quote for label in labels for quote in self._quotes.get(label, ()))
        made = sorted(step for step, caller in self._callers.items() if caller == at)
        return Turn(
            anchor=f"m{at}",
            labels=labels,
            role=self._case.messages[at].role,
            findings=tuple(one for step in made for one in self._found.get(step, ())),
            cited=cited,
            blocks=tuple(_blocks(f"M{at}", message_texts(self._case.messages[at]), cited, self._limit)),
        )

    def entry(self, at: int) -> Turn:
        entry = (self._case.journal or ())[at]
        cited = tuple(self._quotes.get(f"J{entry.seq}", ()))
        return Turn(
            anchor=f"j{at}",
            labels=(f"J{entry.seq}",),
            role="entry",
            findings=tuple(self._found.get(at, ())),
            cited=cited,
            blocks=tuple(_blocks(f"J{at}", entry_texts(entry), cited, min(self._limit, LONGEST_ENTRY))),
            counterpart=f"m{self._callers[at]}" if at in self._callers else None,
            entry=entry,
        )


def _anchors(turn: Turn) -> Iterator[tuple[str, str]]:
    """Where each quote from a turn is seen: at its words, or else at the turn."""
    parts = (part for block in turn.blocks for part in block.parts if isinstance(part, Passage))
    placed = {id_ for part in parts for id_ in part.begins}
    for quote in turn.cited:
        yield quote.id, quote.id if quote.id in placed else turn.anchor


def block_text(case: Case, key: str) -> str:
    """The whole visible text of a block.

    Raises:
        IndexError: there is no such block.
    """
    found = _KEY.fullmatch(key)
    if not found:
        raise IndexError(key)
    turn, block = int(found[2]), int(found[3])
    texts = message_texts(case.messages[turn]) if found[1] == "M" else entry_texts((case.journal or ())[turn])
    return texts[block][2]


def message_texts(message: ChatMessage) -> list[Text]:
    """A message's texts in the order in which they are read."""
    return [(kind, visible(title), visible(text)) for kind, title, text in _message_texts(message) if text]


def entry_texts(entry: JournalEntry) -> list[Text]:
    """A journal entry's texts: the call, and what it was answered."""
    texts: list[Text] = [("call", "", " ".join(entry.argv)), ("output", "", entry.stdout), ("error", "", entry.stderr)]
    return [(kind, title, visible(text.rstrip("\n"))) for kind, title, text in texts if text.strip()]


def _message_texts(message: ChatMessage) -> Iterator[Text]:
    if isinstance(message, ChatMessageTool):
        yield "output", message.function or "", message.text
        yield "error", "", message.error.message if message.error else ""
        return
    for part in [ContentText(text=message.content)] if isinstance(message.content, str) else message.content:
        if isinstance(part, ContentReasoning):
            if part.redacted:
                yield "reasoning", "summary", part.summary or "(hidden by the provider)"
            else:
                yield "reasoning", "", part.reasoning or part.summary or ""
        elif isinstance(part, ContentText):
            yield "text", "", part.text
        else:
            yield "text", "", f"({part.type}, not shown)"
    for call in (message.tool_calls or ()) if isinstance(message, ChatMessageAssistant) else ():
        yield from _call_texts(call)


def _call_texts(call: ToolCall) -> Iterator[Text]:
    if not call.arguments:
        yield "call", call.function, "(no arguments)"
    for name, value in call.arguments.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1)
        yield "call", f"{call.function} · {name}", text


def _blocks(key: str, texts: list[Text], quotes: Sequence[Quote], limit: int) -> Iterator[Block]:
    unplaced = list(quotes)
    for number, (kind, title, text) in enumerate(texts):
        spans: list[Span] = []
        for quote in list(unplaced):
            if place := find_quote(text, visible(quote.text)):
                spans.append(Span(*place, quote.id))
                unplaced.remove(quote)
        yield Block(f"{key}.{number}", kind, title, tuple(passages(text, spans, limit)))


def _callers(case: Case) -> dict[int, int]:
    """The position of the message behind each journal entry, as far as one can be told."""
    entries = [entry.model_dump(include={"argv", "stdout", "stderr"}) for entry in case.journal or ()]
    found = locate(entries, list(tool_calls(case.messages)))
    return {at: call.position - 1 for at, call in found.items()}


def _limit(case: Case) -> int:
    """Characters of one block, so that all of them together stay within the budget."""
    blocks = sum(1 + len(getattr(one, "tool_calls", None) or ()) for one in case.messages) + 2 * len(case.journal or ())
    return max(SHORTEST, min(LONGEST, TEXT_BUDGET // max(1, blocks)))


def _grouped(pairs: Iterable[tuple[_Key, _T]]) -> dict[_Key, list[_T]]:
    grouped: dict[_Key, list[_T]] = {}
    for key, one in pairs:
        grouped.setdefault(key, []).append(one)
    return grouped
