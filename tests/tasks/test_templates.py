"""Templates: mistakes are told with file and line, and nothing escapes the sandbox."""

import pytest

from sidedoor.tasks.templates import evaluate, fill
from sidedoor.tasks.yaml_source import SourceError


def refusal(text: str, **values: object) -> str:
    with pytest.raises(SourceError) as caught:
        fill(text, "note.md", values)
    return str(caught.value)


def test_names_are_filled_in_and_blocks_leave_no_blank_lines() -> None:
    text = "Dear {{ who }},\n{% for n in range(2) %}\n* {{ n }}\n{% endfor %}\nbye\n"
    assert fill(text, "note.md", {"who": "Ada"}) == "Dear Ada,\n* 0\n* 1\nbye\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("one\ntwo {{ nobody }}\n", 2),
        ("{{ who.agee }}\n", 1),
        ("one\ntwo\n{{ nobody.first }}", 3),
        ("one\n{% if nobody %}x{% endif %}", 2),
        ("one\n{{ who | day }}", 2),
        ("one\n\n{{ 1 / 0 }}", 3),
        ("one\n{% if %}", 2),
        ("one\n{{ who | nofilter }}", 2),
        ("{{ range(10 ** 9) | list }}", 1),
    ],
)
def test_a_mistake_is_told_with_its_file_and_line(text: str, line: int) -> None:
    assert refusal(text, who="Ada").startswith(f"note.md:{line}: ")


@pytest.mark.parametrize(
    "expression",
    [
        "who.__class__",
        "who.__class__.__mro__",
        "''.__class__.__base__.__subclasses__()",
        "who['__class__'].__init__.__globals__",
        "who | attr('__class__')",
        "cycler.__init__.__globals__.os",
        "'{0.__class__}'.format(who)",
        "who.upper.__self__.__class__",
    ],
)
def test_internals_cannot_be_reached(expression: str) -> None:
    refusal("{{ " + expression + " }}", who="Ada")
    with pytest.raises(SourceError):
        evaluate(expression, {"who": "Ada"})


def test_expressions_give_python_values() -> None:
    assert evaluate("people[0].login ~ n", {"people": [{"login": "ada"}], "n": 3}) == "ada3"
    assert evaluate("[n, n * 2]", {"n": 3}) == [3, 6]


@pytest.mark.parametrize("expression", ["nobody", "who.agee", "1 +", "1 / 0", "who | nofilter", "who + 1"])
def test_an_expression_that_fails_is_quoted(expression: str) -> None:
    with pytest.raises(SourceError, match=r"^'") as caught:
        evaluate(expression, {"who": "Ada"})
    assert expression in str(caught.value)


def test_moments_are_shifted_and_worded_as_worlds_word_them() -> None:
    values = {"at": "2026-03-02T23:30"}
    assert fill("{{ at | later(45) }}", "n", values) == "2026-03-03T00:15"
    assert fill("{{ at | later(-30) | clock }}", "n", values) == "23:00"
    assert fill("{{ at | day }}", "n", values) == "Monday 02 March"
    assert fill("{{ at | stamp }}", "n", values) == "Mon 02 Mar 23:30"
    assert fill("{{ 1234567.5 | money }}", "n", {}) == "1,234,567.50"
