"""Long text in bounded passages: its beginning, its end, whatever somebody quoted, and gaps that say how long they are.

An agent can print ten megabytes; a page that showed them would not open, and one that cut them could hide what was
decisive. Offsets are in characters of the visible text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

CONTEXT: Final = 400
"""Characters shown on either side of a quote that stands in a gap."""

HEAD_SHARE: Final = 0.75


@dataclass(frozen=True)
class Span:
    """Where a quote stands in a text: from `start` up to `end`."""

    start: int
    end: int
    quote: str


@dataclass(frozen=True)
class Passage:
    """Text that is shown, the ids of the quotes that all of it belongs to, and of those that begin with it."""

    text: str
    quotes: tuple[str, ...] = ()
    begins: tuple[str, ...] = ()


@dataclass(frozen=True)
class Gap:
    """Text that is not shown until it is asked for."""

    start: int
    end: int


def passages(text: str, spans: Sequence[Span], limit: int) -> list[Passage | Gap]:
    """A text in passages and gaps, in order.

    Args:
        text: of any length.
        spans: quotes in it; they may overlap, and all of them are shown.
        limit: characters shown besides quotes and their surroundings.
    """
    parts: list[Passage | Gap] = []
    at = 0
    for start, end in _windows(len(text), spans, limit):
        if start > at:
            parts.append(Gap(at, start))
        parts += _marked(text, start, end, spans)
        at = end
    return parts if at == len(text) else [*parts, Gap(at, len(text))]


def find_quote(text: str, quote: str) -> tuple[int, int] | None:
    """Where a quote first stands in a text, white space compared as single spaces; None if nowhere."""
    words = [re.escape(word) for word in quote.split()]
    found = re.search(r"\s+".join(words), text) if words else None
    return found.span() if found else None


def _windows(length: int, spans: Sequence[Span], limit: int) -> Iterator[tuple[int, int]]:
    """What is shown of a text of some length, in order and apart from each other."""
    if length <= limit:
        yield from [(0, length)] if length else []
        return
    head = int(limit * HEAD_SHARE)
    wanted = [(0, head), (length - (limit - head), length)]
    wanted += [(max(0, one.start - CONTEXT), min(length, one.end + CONTEXT)) for one in spans]
    start, end = 0, 0
    for low, high in sorted(wanted):
        if low > end:
            yield start, end
            start = low
        end = max(end, high)
    yield start, end


def _marked(text: str, start: int, end: int, spans: Sequence[Span]) -> Iterator[Passage]:
    """A stretch of text, cut wherever a quote begins or ends."""
    inside = [one for one in spans if one.start < end and one.end > start]
    cuts = sorted({start, end, *(max(start, one.start) for one in inside), *(min(end, one.end) for one in inside)})
    for low, high in pairwise(cuts):
        here = [one for one in inside if one.start <= low and one.end >= high]
        begins = tuple(one.quote for one in here if one.start == low)
        yield Passage(text[low:high], tuple(one.quote for one in here), begins)
