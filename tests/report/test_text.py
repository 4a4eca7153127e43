"""Hostile text is made visible, and bounded."""

import unicodedata
from html import escape

import pytest

from sidedoor.evals.report.text import clip, name, one_line
from sidedoor.scorers.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "␛[31mred␛[0m"),
        ("a\x00b\x07c\x7fd", "a␀b␇c␡d"),
        ("safe\u202etxt.exe", "safe⟨U+202E⟩txt.exe"),
        ("a\u200bb\u2066c\ufeffd", "a⟨U+200B⟩b⟨U+2066⟩c⟨U+FEFF⟩d"),
        ("\ud800 alone", "⟨U+D800⟩ alone"),
        ("\U000e0041 tag", "⟨U+E0041⟩ tag"),
        ("line\r\nnext\ttab", "line␍\nnext\ttab"),
    ],
)
def test_a_control_is_shown_as_a_sign(text: str, shown: str) -> None:
    assert visible(text) == shown


@pytest.mark.parametrize("text", ["Zoë \u2013 模型 №5 → ½ 😀", "مرحبا", "naïve\ttab\nline"])
def test_ordinary_text_of_any_script_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


def test_no_character_that_acts_on_a_terminal_or_on_reading_order_is_left() -> None:
    everything = "".join(map(chr, range(0x110000)))
    left = {unicodedata.category(c) for c in visible(everything) if c not in "\t\n"}
    assert not left & {"Cc", "Cs", "Co"}
    assert not any(
        unicodedata.bidirectional(c) in ("LRO", "RLO", "LRE", "RLE", "PDF", "LRI", "RLI", "FSI", "PDI")
        for c in visible(everything)
    )


def test_a_long_name_is_cut_and_told_apart_by_a_digest() -> None:
    one, other = name("m" * 500 + "1"), name("m" * 500 + "2")
    assert len(one) <= 80
    assert one != other


def test_a_name_is_never_empty_nor_of_several_lines() -> None:
    assert name("") == "(no name)"
    assert name("a\n\nb") == "a b"
    assert one_line(" a\tb\n") == "a b"


@pytest.mark.parametrize("text", ["a" * 10_000_000, "<" * 5_000, "\u202e" * 5_000, "😀" * 5_000])
def test_clipped_text_fits_its_budget_once_escaped_and_says_what_was_cut(text: str) -> None:
    shown = clip(text, 500)
    kept, _, told = shown.partition(" … ")
    assert len(escape(kept).encode()) <= 500
    assert f"{len(text):,} characters" in told


def test_text_within_its_budget_is_whole() -> None:
    assert clip("a < b", 500) == "a < b"
