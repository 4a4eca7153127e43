"""What the server asks of a protocol."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

from tests.protocols.exchange import Conversation, Turn, Usage

Json = dict[str, Any]


class Event(NamedTuple):
    """A server-sent event; `name` is None where the protocol has only data."""

    name: str | None
    data: Json | str


class Wire(ABC):
    """One protocol: reads requests, writes answers whole or as a stream, and words errors."""

    path: ClassVar[str]

    @abstractmethod
    def key(self, headers: Mapping[str, str]) -> str | None:
        """The API key that the request carries."""

    @abstractmethod
    def read(self, request: Json) -> Conversation:
        """The conversation in a request.

        Raises:
            RefusedError: the real API would answer 400.
        """

    @abstractmethod
    def answer(self, request: Json, turn: Turn, usage: Usage) -> Json:
        """The body of an answer."""

    @abstractmethod
    def stream(self, request: Json, answer: Json) -> Iterator[Event]:
        """The same answer as events."""

    @abstractmethod
    def error(self, status: int, message: str) -> Json:
        """The body of an error."""


def bearer(headers: Mapping[str, str]) -> str | None:
    """The key of an `Authorization: Bearer` header."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key if scheme == "Bearer" else None
