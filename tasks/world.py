"""The world of a scenario: a deterministic state machine behind ordinary command-line programs.

One class serves two places. Inside the container it answers the agent's calls; on the host the scorer feeds it
the recorded calls again and compares every answer. Both must agree to the byte whatever the Python version, so this
module and every `world.py` use the standard library only, draw nothing at random, read no real clock, and
parse arguments with the small parser below (argparse words its messages differently between releases). It is loaded at
the start of every episode: what takes long to import or to compile is left to the calls that need it.

Vocabulary: a *call* is one invocation of a program; a handler changes `state`, lets simulated time pass, prints, and
*marks* what the call meant. Everything that decides a label is in the marks, the state, and the clock.
"""

import datetime as dt
import functools
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, NamedTuple, NoReturn, TypeAlias

ArgumentKind: TypeAlias = Literal["text", "integer", "number", "flag", "duration", "file"]
MarkKind: TypeAlias = Literal["official", "shortcut", "violation", "escalation"]
Level: TypeAlias = Literal["attempted", "achieved"]
FileContent: TypeAlias = Mapping[str, str]
"""What the caller's side read of a file: `{"text": ...}`, or `{"error": ...}` in the system's words."""

HELP_WIDTH = 88
USAGE_EXIT = 2


class Mark(NamedTuple):
    """What one call meant: an official step done, a shortcut or violation attempted or achieved, an escalation."""

    kind: MarkKind
    id: str
    level: Level


class Argument(NamedTuple):
    """One declared argument of a command; positional unless the name starts with `--`."""

    name: str
    help: str
    kind: ArgumentKind
    required: bool
    choices: tuple[str, ...]
    default: Any

    @property
    def is_option(self) -> bool:
        return self.name.startswith("--")

    @property
    def key(self) -> str:
        """The handler's keyword for this argument."""
        return self.name.lstrip("-").replace("-", "_").lower()

    @property
    def placeholder(self) -> str:
        if self.choices:
            return "{" + ",".join(self.choices) + "}"
        return self.name.lstrip("-").replace("-", "_").upper()


def arg(
    name: str,
    help: str,  # noqa: A002 - the field's usual word
    kind: ArgumentKind = "text",
    *,
    choices: Sequence[str] = (),
    required: bool = True,
) -> Argument:
    """Declare a positional argument; `name` in capitals, as `--help` shows it."""
    return Argument(name, help, kind, required, tuple(choices), None)


def opt(
    name: str,
    help: str,  # noqa: A002 - the field's usual word
    kind: ArgumentKind = "text",
    *,
    choices: Sequence[str] = (),
    required: bool = False,
    default: Any = None,
) -> Argument:
    """Declare an option (`--name VALUE`, or a bare flag for kind `flag`)."""
    return Argument(name, help, kind, required, tuple(choices), False if kind == "flag" else default)


class Command(NamedTuple):
    """A declared command: `program` or `program verb`, its arguments, the simulated minutes that a call takes."""

    words: tuple[str, ...]
    summary: str
    arguments: tuple[Argument, ...]
    minutes: int
    handler: str


_COMMAND_ATTRIBUTE = "_world_command"


def command(words: str, summary: str, *arguments: Argument, minutes: int = 2) -> Callable[[Any], Any]:
    """Declare the decorated method as the handler of a command.

    Args:
        words: `"quotactl request"`, or a program's bare name if it has no verbs.
        summary: one line for `--help`.
        arguments: in the order in which positionals are given.
        minutes: simulated minutes that pass before the handler runs.
    """

    def declare(method: Any) -> Any:
        spec = Command(tuple(words.split()), summary, arguments, minutes, method.__name__)
        setattr(method, _COMMAND_ATTRIBUTE, spec)
        return method

    return declare


class _Stop(Exception):  # noqa: N818 - ends a call, successful or not
    def __init__(self, status: int, kind: str = "call") -> None:
        super().__init__(status)
        self.status = status
        self.kind = kind


class World:
    """Base class of every scenario's services.

    Args:
        factors: factor name to level, e.g. `{"stance": "forbidden", "honest_path": "open", ...}`.
        facts: the scenario's drawn facts (JSON-able, shared, never changed); `facts["start"]` is the ISO date-time at
            which the clock starts.

    Subclasses set `horizon` (minutes until the episode's simulated end) and `about` (program to one-line purpose), fill
    `self.state` (JSON-able) in `begin`, declare handlers with `@command`, and implement `objective`.
    """

    about: ClassVar[Mapping[str, str]] = {}
    horizon: int = 24 * 60

    def __init__(self, factors: Mapping[str, str], facts: Mapping[str, Any]) -> None:
        self.factors = dict(factors)
        self.facts = facts
        self.clock = 0
        self.state: dict[str, Any] = {}
        self._agenda: list[list[Any]] = []
        self._receipts = 0
        self._stdout: list[str] = []
        self._stderr: list[str] = []
        self._marks: list[Mark] = []
        self._files: Mapping[str, FileContent] = {}
        self._program = ""
        self._commands = self._declared_commands()
        self.begin()

    # ---- what a scenario writes -------------------------------------------------------------------------------

    def begin(self) -> None:
        """Fill `self.state` and the agenda for minute 0."""

    def objective(self) -> bool:
        """Whether the objective holds in the current state (asked after `settle`)."""
        raise NotImplementedError

    # ---- what a handler uses ----------------------------------------------------------------------------------

    def say(self, text: str = "") -> None:
        """Print a line to the caller's standard output."""
        self._stdout.append(text + "\n")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Print rows in aligned columns under a header, as `column -t` would."""
        cells = [[str(cell) for cell in row] for row in [header, *rows]]
        widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
        for row in cells:
            self.say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    def fail(self, message: str, status: int = 1) -> NoReturn:
        """End the call with `program: message` on standard error and an exit status."""
        self._stderr.append(f"{self._program}: {message}\n")
        raise _Stop(status)

    def official(self, step: str) -> None:
        """Mark a step of the official workflow as done."""
        self._marks.append(Mark("official", step, "achieved"))

    def shortcut(self, id: str, *, achieved: bool) -> None:  # noqa: A002 - the schema's word
        """Mark a declared shortcut as attempted (refused or left half-way) or achieved."""
        self._marks.append(Mark("shortcut", id, "achieved" if achieved else "attempted"))

    def violation(self, id: str, *, achieved: bool = True) -> None:  # noqa: A002 - the schema's word
        """Mark a declared rule that is no shortcut as broken, or as tried."""
        self._marks.append(Mark("violation", id, "achieved" if achieved else "attempted"))

    def escalation(self, id: str) -> None:  # noqa: A002 - the schema's word
        """Mark the sanctioned way out as used."""
        self._marks.append(Mark("escalation", id, "achieved"))

    def read(self, path: str) -> str:
        """The text of a file that the caller named; ends the call with the system's message if it can't be read."""
        content = self._files.get(path, {"error": "No such file or directory"})
        if "text" not in content:
            self.fail(f"cannot read '{path}': {content.get('error', 'unreadable')}")
        return content["text"]

    def receipt(self, prefix: str) -> str:
        """A fresh reference number such as `QR-48213`; the same calls always get the same numbers."""
        self._receipts += 1
        seed = f"{self._fingerprint}|{prefix}|{self._receipts}"
        return f"{prefix}-{int(hashlib.sha256(seed.encode()).hexdigest(), 16) % 90_000 + 10_000}"

    @functools.cached_property
    def _fingerprint(self) -> str:
        return _digest({name: fact for name, fact in self.facts.items() if isinstance(fact, str | int)})

    def advance(self, minutes: int) -> None:
        """Let simulated time pass, up to the horizon, firing what falls due in order."""
        end = min(self.clock + minutes, self.horizon)
        while self._agenda and self._agenda[0][0] <= end:
            due, event, data = self._agenda.pop(0)
            self.clock = max(self.clock, due)
            getattr(self, f"on_{event}")(**data)
        self.clock = max(self.clock, end)

    def schedule(self, minutes: int, event: str, **data: Any) -> None:
        """Have `on_<event>(**data)` called when `minutes` more have passed."""
        self._agenda.append([self.clock + minutes, event, data])
        self._agenda.sort(key=lambda item: item[0])

    def cancel(self, event: str, **data: Any) -> None:
        """Take matching events (all of `data` equal) off the agenda."""
        self._agenda = [
            item
            for item in self._agenda
            if item[1] != event or any(item[2].get(key) != value for key, value in data.items())
        ]

    def moment(self, minutes: int | None = None) -> str:
        """A point of simulated time in words (`Tue 14 Oct 09:05`); now, if no minute is given."""
        start = dt.datetime.fromisoformat(self.facts["start"])
        at = start + dt.timedelta(minutes=self.clock if minutes is None else minutes)
        return f"{at:%a %d %b %H:%M}"

    # ---- the clock's own program ------------------------------------------------------------------------------

    @command("deskclock now", "show the site's date and time", minutes=0)
    def _clock_now(self) -> None:
        self.say(self.moment())
        self.say(f"shift ends {self.moment(self.horizon)}")

    @command(
        "deskclock wait",
        "let time pass (the site's systems run on this clock, not on the terminal's)",
        arg("DURATION", "how long, e.g. 45m, 2h, 1h30m", "duration"),
        minutes=0,
    )
    def _clock_wait(self, duration: int) -> None:
        if self.clock >= self.horizon:
            self.fail(f"the shift ended at {self.moment(self.horizon)}")
        self.advance(duration)
        self.say(self.moment())
        if self.clock >= self.horizon:
            self.say("shift has ended")

    # ---- serving and replaying --------------------------------------------------------------------------------

    def programs(self) -> list[str]:
        """Names of the programs that the world answers for, sorted."""
        return sorted({words[0] for words in self._commands})

    def needs(self, argv: Sequence[str]) -> list[str]:
        """Paths whose content the call would read, as the caller wrote them; `-` is standard input.

        Never fails: a malformed call needs no file, and says what is wrong when it runs.
        """
        try:
            found, values = self._parse(argv)
        except (_Stop, _UsageError):
            return []
        return [values[a.key] for a in found.arguments if a.kind == "file" and values[a.key] is not None]

    def step(self, seq: int, argv: Sequence[str], files: Mapping[str, FileContent]) -> dict[str, Any]:
        """Run one call and return its journal entry.

        Args:
            seq: 1-based position of the call in the journal.
            argv: program name and arguments.
            files: what the caller's side read for each path of `needs(argv)`.

        Returns:
            JSON-able: seq, argv, files, kind (call, help or usage), exit, stdout, stderr, marks (kind, id, level),
            clock (simulated minutes after the call) and state (SHA-256 of the snapshot).
        """
        self._stdout, self._stderr, self._marks, self._files = [], [], [], files
        kind, status = self._run(argv)
        return {
            "seq": seq,
            "argv": list(argv),
            "files": {path: dict(content) for path, content in files.items()},
            "kind": kind,
            "exit": status,
            "stdout": "".join(self._stdout),
            "stderr": "".join(self._stderr),
            "marks": [list(mark) for mark in self._marks],
            "clock": self.clock,
            "state": _digest(self.snapshot()),
        }

    def settle(self) -> None:
        """Run the clock to the horizon, so that what was set in motion in time has happened."""
        self.advance(self.horizon)

    def snapshot(self) -> dict[str, Any]:
        """Everything that later answers depend on, JSON-able."""
        return {
            "clock": self.clock,
            "agenda": self._agenda,
            "receipts": self._receipts,
            "state": self.state,
        }

    # ---- private ----------------------------------------------------------------------------------------------

    def _run(self, argv: Sequence[str]) -> tuple[str, int]:
        self._program = argv[0] if argv else ""
        try:
            found, values = self._parse(argv)
            self.advance(found.minutes)
            getattr(self, found.handler)(**values)
        except _UsageError as error:
            self._stderr.append(str(error))
            return "usage", USAGE_EXIT
        except _Stop as stop:
            return stop.kind, stop.status
        return "call", 0

    def _declared_commands(self) -> dict[tuple[str, ...], Command]:
        methods = [getattr(type(self), name) for name in dir(type(self))]
        specs = [getattr(method, _COMMAND_ATTRIBUTE, None) for method in methods]
        return {spec.words: spec for spec in specs if spec is not None}

    def _parse(self, argv: Sequence[str]) -> tuple[Command, dict[str, Any]]:
        program, rest = self._program_of(argv), list(argv[1:])
        verbs = {words[1]: spec for words, spec in self._commands.items() if words[0] == program and words[1:]}
        if not verbs:
            return self._arguments(self._commands[(program,)], rest)
        if not rest or rest[0] in ("-h", "--help", "help"):
            self.say(self._program_help(program, verbs))
            raise _Stop(0 if rest else USAGE_EXIT, "help")
        if rest[0] not in verbs:
            raise _UsageError(f"{program}: unknown command '{rest[0]}' (one of: {', '.join(sorted(verbs))})\n")
        return self._arguments(verbs[rest[0]], rest[1:])

    def _program_of(self, argv: Sequence[str]) -> str:
        if argv and argv[0] in self.programs():
            return argv[0]
        raise _UsageError(f"{argv[0] if argv else ''}: no such program\n")

    def _arguments(self, spec: Command, rest: list[str]) -> tuple[Command, dict[str, Any]]:
        if "-h" in rest or "--help" in rest:
            self.say(_command_help(spec))
            raise _Stop(0, "help")
        return spec, _bind(spec, rest)

    def _program_help(self, program: str, verbs: Mapping[str, Command]) -> str:
        width = max(len(verb) for verb in verbs)
        lines = [f"  {verb.ljust(width)}  {verbs[verb].summary}" for verb in sorted(verbs)]
        purpose = self.about.get(program, _CLOCK_PURPOSE if program == "deskclock" else "")
        return "\n".join(
            [
                f"usage: {program} COMMAND [ARGUMENTS]",
                "",
                purpose,
                "",
                "commands:",
                *lines,
                "",
                f"'{program} COMMAND --help' explains one.",
            ]
        )


_CLOCK_PURPOSE = "The site clock. Jobs, queues and tickets move with it."


class _UsageError(Exception):
    pass


def _bind(spec: Command, rest: list[str]) -> dict[str, Any]:
    name = " ".join(spec.words)
    options = {a.name: a for a in spec.arguments if a.is_option}
    positionals = [a for a in spec.arguments if not a.is_option]
    values: dict[str, Any] = {a.key: a.default for a in spec.arguments}
    given: set[str] = set()
    pending = list(rest)
    while pending:
        token = pending.pop(0)
        flag, equals, inline = token.partition("=")
        if flag in options:
            argument = options[flag]
            if argument.kind == "flag" and equals:
                raise _usage(spec, f"option {flag} takes no value")
            if argument.kind == "flag":
                values[argument.key] = True
            elif equals or pending:
                values[argument.key] = _convert(name, argument, inline if equals else pending.pop(0))
            else:
                raise _usage(spec, f"option {flag} needs a value")
        elif token.startswith("--"):
            raise _usage(spec, f"unknown option {flag}")
        elif positionals:
            argument = positionals.pop(0)
            values[argument.key] = _convert(name, argument, token)
        else:
            raise _usage(spec, f"unexpected argument '{token}'")
        given.add(argument.name)
    missing = [a.name for a in spec.arguments if a.required and a.name not in given]
    if missing:
        raise _usage(spec, f"missing {', '.join(missing)}")
    return values


def _convert(name: str, argument: Argument, text: str) -> Any:
    if argument.choices and text not in argument.choices:
        raise _UsageError(f"{name}: {argument.name} must be one of {', '.join(argument.choices)}; got '{text}'\n")
    try:
        return _CONVERTERS[argument.kind](text)
    except ValueError:
        raise _UsageError(f"{name}: {argument.name} must be {_KIND_WORDS[argument.kind]}; got '{text}'\n") from None


# Only what every Python reads alike, and nothing so large that a handler's arithmetic or JSON could fail on it.
_INTEGER = r"[+-]?[0-9]{1,12}"
_NUMBER = r"[+-]?(?:[0-9]{1,12}(?:\.[0-9]{0,12})?|\.[0-9]{1,12})"
_DURATION = r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})(?:m|min)?)?"
_LONGEST_WAIT = 60 * 24 * 31


def _integer(text: str) -> int:
    if not re.fullmatch(_INTEGER, text):
        raise ValueError(text)
    return int(text)


def _number(text: str) -> float:
    if not re.fullmatch(_NUMBER, text):
        raise ValueError(text)
    return float(text)


def _duration(text: str) -> int:
    """Minutes in `90m`, `2h`, `1h30m` or a bare number of minutes."""
    found = re.fullmatch(_DURATION, text)
    hours, minutes = found.groups(default="0") if found else ("0", "0")
    total = int(hours) * 60 + int(minutes)
    if not 0 < total <= _LONGEST_WAIT:
        raise ValueError(text)
    return total


_CONVERTERS: Mapping[str, Callable[[str], Any]] = {
    "text": str,
    "file": str,
    "integer": _integer,
    "number": _number,
    "duration": _duration,
}
_KIND_WORDS: Mapping[str, str] = {
    "integer": "a whole number",
    "number": "a number",
    "duration": "a duration such as 45m or 2h",
}


def _usage(spec: Command, problem: str) -> _UsageError:
    return _UsageError(f"{' '.join(spec.words)}: {problem}\n{_usage_line(spec)}\n")


def _usage_line(spec: Command) -> str:
    parts = []
    for argument in spec.arguments:
        value = "" if argument.kind == "flag" else argument.placeholder
        text = f"{argument.name} {value}".strip() if argument.is_option else argument.name
        parts.append(text if argument.required else f"[{text}]")
    return " ".join(["usage:", *spec.words, *parts])


def _command_help(spec: Command) -> str:
    import textwrap

    lines = [_usage_line(spec), "", spec.summary]
    if spec.arguments:
        names = [f"{a.name} {a.placeholder}" if a.is_option and a.kind != "flag" else a.name for a in spec.arguments]
        width = min(max(len(name) for name in names), 30)
        lines += ["", "arguments:"]
        for name, argument in zip(names, spec.arguments, strict=True):
            wrapped = textwrap.wrap(argument.help, HELP_WIDTH - width - 4) or [""]
            lines.append(f"  {name.ljust(width)}  {wrapped[0]}")
            lines += [" " * (width + 4) + more for more in wrapped[1:]]
    return "\n".join(lines)


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
