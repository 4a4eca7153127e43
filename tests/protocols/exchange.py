"""What a model's API is told and what it answers, in the words of no protocol."""

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias

CHARACTERS_PER_TOKEN = 4
UNREADABLE = "unreadable"


class RefusedError(Exception):
    """The request is one that the real API would not accept; the message says why."""


@dataclass(frozen=True)
class Call:
    """A tool call; `text` is what a model writes that breaks off in the middle of its arguments."""

    name: str
    arguments: Mapping[str, Any]
    text: str | None = None

    @property
    def json(self) -> str:
        """The arguments as they go over the wire."""
        return json.dumps(self.arguments) if self.text is None else self.text


Stop: TypeAlias = Literal["finished", "length", "refusal"]
"""Why a turn ends: it is complete, it ran into the limit of tokens, or the provider would not have it."""


@dataclass(frozen=True)
class Turn:
    """What the model says: reasoning, then text, then tool calls; any of them may be missing."""

    text: str = ""
    reasoning: str = ""
    calls: tuple[Call, ...] = ()
    stop: Stop = "finished"


@dataclass(frozen=True)
class Usage:
    """Tokens of one answer; `reasoning_tokens` are part of `output_tokens`."""

    input_tokens: int
    output_tokens: int
    reasoning_tokens: int


@dataclass
class Exchange:
    """An earlier turn as it was sent back, and the results of its calls by call id."""

    reasoning: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    calls: dict[str, Call] = field(default_factory=dict)
    results: dict[str, str] = field(default_factory=dict)


@dataclass
class Conversation:
    """A request: what people said, the tools with their parameters' names, and the turns so far.

    Its methods are called in the order of the messages, and refuse a history that is out of order.
    """

    model: str
    tools: Mapping[str, tuple[str, ...]]
    prompt: list[str] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    _speaking: bool = False

    def turn(self) -> Exchange:
        """The model's turn that is being read; a new one if somebody else spoke last.

        Raises:
            RefusedError: the turn before has calls without a result.
        """
        if not self._speaking:
            self.all_answered()
            self.exchanges.append(Exchange())
            self._speaking = True
        return self.exchanges[-1]

    def called(self, identity: str, name: str, arguments: Mapping[str, Any]) -> None:
        """The model called a tool.

        Raises:
            RefusedError: not with these words.
        """
        if not names_call(identity, name, arguments):
            raise RefusedError(f"tool call '{identity}' is not the one that the model made")
        self.turn().calls[identity] = Call(name, arguments)

    def answered(self, identity: str, result: str) -> None:
        """A tool call has a result.

        Raises:
            RefusedError: there was no such call, or it has one already.
        """
        self._speaking = False
        last = self.exchanges[-1] if self.exchanges else Exchange()
        if identity not in last.calls or identity in last.results:
            raise RefusedError(f"unexpected result: no open tool call '{identity}' in the turn before it")
        last.results[identity] = result

    def told(self, text: str) -> None:
        """A person or the system spoke.

        Raises:
            RefusedError: a tool call is still without a result.
        """
        self._speaking = False
        self.all_answered()
        self.prompt.append(text)

    def all_answered(self) -> None:
        """Raise unless every tool call has its result.

        Raises:
            RefusedError: naming those without.
        """
        if self.exchanges and (missing := self.exchanges[-1].calls.keys() - self.exchanges[-1].results.keys()):
            raise RefusedError(f"tool calls without a result: {', '.join(sorted(missing))}")


class Fault(NamedTuple):
    """What goes wrong with a request: an error that it is answered with (status, headers such as
    `{"retry-after": "1"}`, message), an answer whose connection is reset in its middle, or none at all.
    """

    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})
    message: str = "The server had an error while processing your request."
    how: Literal["answered", "reset", "hung"] = "answered"


Policy: TypeAlias = Callable[[Conversation], Turn | Fault]
"""Decides the model's next turn, or what goes wrong instead."""


def call_id(prefix: str, call: Call) -> str:
    """A new id that only this call can have, so that a server without a memory knows its calls again."""
    nonce = secrets.token_hex(4)
    if call.text is not None:
        return f"{prefix}_{UNREADABLE}{nonce}"
    return f"{prefix}_{nonce}{_digest(nonce, call.name, call.arguments)}"


def read_arguments(identity: str, text: str) -> dict[str, Any]:
    """The arguments of a call that came back; none of one that broke off."""
    return {} if _is_unreadable(identity) else dict(json.loads(text))


def names_call(identity: str, name: str, arguments: Mapping[str, Any]) -> bool:
    """Whether `call_id` made the id for this very call."""
    token = identity.rpartition("_")[2]
    if _is_unreadable(identity):
        return True  # no client can send back what it could not read
    return token[8:] == _digest(token[:8], name, arguments)


def seal(text: str) -> str:
    """A stand-in for a signature or for encrypted reasoning: nobody else can have made it for another text."""
    return f"sealed-{_digest(text)}"


def usage(request: bytes, turn: Turn) -> Usage:
    """A usage that grows with the conversation, as a real one does."""
    spoken = f"{turn.text}{[(call.name, dict(call.arguments)) for call in turn.calls]}"
    reasoning = len(turn.reasoning) // CHARACTERS_PER_TOKEN
    return Usage(len(request) // CHARACTERS_PER_TOKEN, reasoning + len(spoken) // CHARACTERS_PER_TOKEN, reasoning)


def texts(content: str | Iterable[Mapping[str, Any]] | None) -> str:
    """The text of a message's content, which may be a string or a list of parts."""
    if content is None or isinstance(content, str):
        return content or ""
    return "\n".join(str(part["text"]) for part in content if "text" in part)


def _is_unreadable(identity: str) -> bool:
    return identity.rpartition("_")[2].startswith(UNREADABLE)


def _digest(*parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
