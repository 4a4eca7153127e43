"""How a world's programs read their arguments: like real tools, and never with an exception."""

import json
import random
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from sidedoor.tasks.world import World, arg, command, opt

FACTS = {"start": "2026-03-02T09:00"}


class Bench(World):
    about: ClassVar = {"benchctl": "Parts on a bench."}

    @command(
        "benchctl put",
        "put a part on the bench",
        arg("PART", "which part"),
        arg("NOTE-TEXT", "a note", required=False),
        opt("--count", "how many", "integer"),
        opt("--weight", "kilograms", "number"),
        opt("--for", "how long", "duration"),
        opt("--shelf", "where from", choices=("main", "spare"), default="main"),
        opt("--force", "even if it is full", "flag"),
        opt("--sheet", "path of a sheet", "file"),
    )
    def put(self, **values: Any) -> None:
        self.say(json.dumps(values))

    @command("benchctl need", "what must be named", opt("--owner", "who owns it", required=True))
    def need(self, owner: str) -> None:
        self.say(owner)

    @command("lamp", "switch the lamp", arg("STATE", "on or off", choices=("on", "off")))
    def lamp(self, state: str) -> None:
        self.say(state)


def step(*argv: str, files: Mapping[str, Mapping[str, str]] | None = None) -> dict[str, Any]:
    return Bench({}, FACTS).step(1, argv, files or {})


def put(*argv: str) -> dict[str, Any]:
    entry = step("benchctl", "put", *argv)
    assert entry["exit"] == 0, entry["stderr"]
    values: dict[str, Any] = json.loads(entry["stdout"])
    return values


def refusal(*argv: str) -> str:
    entry = step("benchctl", "put", *argv)
    assert (entry["exit"], entry["kind"], entry["stdout"], entry["marks"]) == (2, "usage", "", [])
    assert entry["clock"] == 0, "a mistyped call takes no time"
    message: str = entry["stderr"]
    return message


def test_what_is_left_out_has_its_default() -> None:
    assert put("p1") == {
        "part": "p1",
        "note_text": None,
        "count": None,
        "weight": None,
        "for": None,
        "shelf": "main",
        "force": False,
        "sheet": None,
    }


def test_options_come_before_between_and_after_positionals_with_a_space_or_an_equals_sign() -> None:
    values = put("--count=3", "p1", "--weight", "2.5", "fragile", "--force", "--shelf=spare")
    assert (values["part"], values["note_text"]) == ("p1", "fragile")
    assert (values["count"], values["weight"], values["force"], values["shelf"]) == (3, 2.5, True, "spare")


def test_the_last_of_a_repeated_option_counts() -> None:
    assert put("p1", "--count", "1", "--count", "2")["count"] == 2


def test_an_options_value_may_look_like_an_option_a_negative_number_or_nothing() -> None:
    assert put("p1", "--sheet", "--count")["sheet"] == "--count"
    assert put("p1", "--count", "-4")["count"] == -4
    assert put("p1", "--sheet", "")["sheet"] == ""
    assert put("p1", "--sheet=a=b")["sheet"] == "a=b"


def test_a_single_dash_is_a_positional_like_any_other() -> None:
    assert put("-")["part"] == "-"
    assert put("-4")["part"] == "-4"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        ((), "missing PART"),
        (("p1", "note", "more"), "unexpected argument 'more'"),
        (("p1", "--cuont", "2"), "unknown option --cuont"),
        (("p1", "--", "x"), "unknown option --"),
        (("p1", "--count"), "option --count needs a value"),
        (("p1", "--force=no"), "option --force takes no value"),
        (("p1", "--shelf", "top"), "--shelf must be one of main, spare; got 'top'"),
        (("p1", "--count", "2.5"), "--count must be a whole number; got '2.5'"),
        (("p1", "--weight", "heavy"), "--weight must be a number; got 'heavy'"),
        (("p1", "--for", "a while"), "--for must be a duration such as 45m or 2h; got 'a while'"),
    ],
)
def test_a_mistake_is_named(argv: tuple[str, ...], words: str) -> None:
    message = refusal(*argv)
    assert message.startswith("benchctl put: ")
    assert words in message


def test_a_missing_required_option_is_named_with_the_usage() -> None:
    entry = step("benchctl", "need")
    assert entry["stderr"] == "benchctl need: missing --owner\nusage: benchctl need --owner OWNER\n"


@pytest.mark.parametrize(
    "text",
    ["nan", "inf", "-inf", "infinity", "1e400", "1_000", "٣", "²", " 1", "1\n", "0x10", "", "-", ".", "9" * 4301],
)
def test_numbers_that_pythons_or_json_read_differently_are_refused(text: str) -> None:
    refusal("p1", "--weight", text)
    refusal("p1", "--count", text)


@pytest.mark.parametrize(("text", "minutes"), [("90m", 90), ("2h", 120), ("1h30m", 90), ("45", 45), ("10min", 10)])
def test_durations_are_minutes(text: str, minutes: int) -> None:
    assert put("p1", "--for", text)["for"] == minutes


@pytest.mark.parametrize(
    "text", ["", "0", "-5m", "h", "m", "1h-30m", "1_0m", "٣h", "5minm", "1.5h", "32d", "745h", "9" * 4301]
)
def test_durations_that_are_none_are_refused(text: str) -> None:
    refusal("p1", "--for", text)


@pytest.mark.parametrize("odd", ["\ud800", "a\udcffb", "\0", "\x1b[2J", "\u202e", "日本" * 50_000])
def test_odd_text_is_taken_as_text_or_refused_with_words(odd: str) -> None:
    assert put(odd)["part"] == odd
    refusal("p1", "--count", odd)
    refusal("p1", odd, odd)
    assert step("benchctl", odd)["exit"] == 2


def test_an_unknown_program_or_an_empty_call_is_a_usage_error_and_no_exception() -> None:
    assert step("benchctI", "put")["exit"] == 2
    assert step()["exit"] == 2
    assert Bench({}, FACTS).needs(["benchctI"]) == []
    assert Bench({}, FACTS).needs([]) == []


def test_an_unknown_verb_is_told_the_valid_ones() -> None:
    assert step("benchctl", "putt")["stderr"] == "benchctl: unknown command 'putt' (one of: need, put)\n"


def test_a_program_without_verbs_takes_its_arguments_directly() -> None:
    assert step("lamp", "on")["stdout"] == "on\n"
    assert "must be one of on, off" in step("lamp", "dim")["stderr"]


def test_help_lists_commands_and_explains_each_argument() -> None:
    shown = step("benchctl", "--help")
    assert shown["kind"] == "help"
    assert shown["stdout"].startswith("usage: benchctl COMMAND [ARGUMENTS]\n\nParts on a bench.\n")
    assert "  put   put a part on the bench\n" in shown["stdout"]
    one = step("benchctl", "put", "p1", "--help")
    assert one["exit"] == 0
    assert one["stdout"].splitlines()[0] == (
        "usage: benchctl put PART [NOTE-TEXT] [--count COUNT] [--weight WEIGHT] [--for FOR]"
        " [--shelf {main,spare}] [--force] [--sheet SHEET]"
    )
    assert all(help_text in one["stdout"] for help_text in ("which part", "how many", "path of a sheet"))


def test_help_wins_over_mistakes_and_takes_no_time() -> None:
    entry = step("benchctl", "put", "--nonsense", "-h")
    assert (entry["exit"], entry["kind"], entry["clock"]) == (0, "help", 0)


def test_a_program_alone_shows_its_help_and_fails() -> None:
    assert (step("benchctl")["exit"], step("benchctl")["kind"]) == (2, "help")


def test_needs_names_the_files_of_a_call_and_none_of_a_malformed_one() -> None:
    world = Bench({}, FACTS)
    assert world.needs(["benchctl", "put", "p1", "--sheet", "../a.txt"]) == ["../a.txt"]
    assert world.needs(["benchctl", "put", "p1", "--sheet", "-"]) == ["-"]
    for argv in (["benchctl", "put", "p1"], ["benchctl", "put", "--sheet"], ["benchctl"], ["benchctl", "--help"]):
        assert world.needs(argv) == []


def test_asking_what_a_call_needs_leaves_nothing_behind() -> None:
    asked, fresh = Bench({}, FACTS), Bench({}, FACTS)
    asked.needs(["benchctl", "--help"])
    asked.needs(["benchctl", "put", "--sheet"])
    assert asked.step(1, ["benchctl", "put", "p1"], {}) == fresh.step(1, ["benchctl", "put", "p1"], {})


def test_junk_never_raises() -> None:
    draw = random.Random(20_260_302)  # noqa: S311 - repeatable, not secret
    pieces = [
        "benchctl", "lamp", "put", "need", "p1", "--count", "--weight", "--for", "--shelf", "--force", "--sheet",
        "--owner", "-h", "--help", "--", "-", "=", "", "1", "-1", "1e9", "nan", "٣", "\udcff", "\0", "9" * 400, "on",
    ]  # fmt: skip
    for _ in range(2000):
        argv = [draw.choice(pieces) + draw.choice(["", "", "=", "=1"]) for _ in range(draw.randrange(8))]
        entry = step(*argv)
        assert entry["exit"] in (0, 2)
        assert (entry["stderr"] == "") == (entry["exit"] == 0 or entry["kind"] == "help")
