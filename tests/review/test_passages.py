"""Long texts are cut to what matters, and nothing of them is lost or shown twice."""

import random

import pytest

from sidedoor.evals.judging.review.passages import Gap, Passage, Span, find_quote, passages


def whole(text: str, parts: list[Passage | Gap]) -> str:
    return "".join(one.text if isinstance(one, Passage) else text[one.start : one.end] for one in parts)


@pytest.mark.parametrize("seed", range(60))
def test_passages_and_gaps_are_the_text_in_its_order_whatever_is_quoted(seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311
    text = "".join(draw.choices("abc \n", k=draw.choice([0, 1, 50, 999, 1_000, 1_001, 20_000])))
    spans = []
    for number in range(draw.randrange(6)):
        start = draw.randrange(len(text) + 1)
        spans.append(Span(start, min(len(text), start + draw.randrange(1, 400)), f"q{number}"))
    spans = [one for one in spans if one.start < one.end]
    parts = passages(text, spans, 1_000)
    assert whole(text, parts) == text
    assert all(one.start < one.end for one in parts if isinstance(one, Gap))
    for span in spans:
        quoted = [one for one in parts if isinstance(one, Passage) and span.quote in one.quotes]
        assert "".join(one.text for one in quoted) == text[span.start : span.end]
        assert sum(span.quote in one.begins for one in quoted) == 1


def test_a_text_within_the_limit_is_shown_whole() -> None:
    assert passages("x" * 1_000, [], 1_000) == [Passage("x" * 1_000)]


def test_a_longer_one_keeps_its_beginning_and_its_end() -> None:
    first, gap, last = passages("a" * 5_000 + "b" * 5_000, [], 1_000)
    assert (first, gap, last) == (Passage("a" * 750), Gap(750, 9_750), Passage("b" * 250))


def test_overlapping_quotes_are_both_marked_where_both_stand() -> None:
    parts = passages("0123456789", [Span(2, 6, "q1"), Span(4, 8, "q2")], 100)
    assert [(one.text, one.quotes) for one in parts if isinstance(one, Passage)] == [
        ("01", ()),
        ("23", ("q1",)),
        ("45", ("q1", "q2")),
        ("67", ("q2",)),
        ("89", ()),
    ]


@pytest.mark.parametrize(
    ("text", "quote", "place"),
    [
        ("one two three", "two", (4, 7)),
        ("one\n  two\tthree", "one two three", (0, 15)),
        ("a.b axb", "a.b", (0, 3)),
        ("axb", "a.b", None),
        ("onetwo", "one two", None),
        ("anything", "   ", None),
    ],
)
def test_a_quote_is_found_as_it_stands_but_for_white_space(
    text: str, quote: str, place: tuple[int, int] | None
) -> None:
    assert find_quote(text, quote) == place
