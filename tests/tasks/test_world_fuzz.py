"""Whatever an agent types, no scenario's world raises, and two of them say the same."""

import json
import random
import shlex
from typing import Any

import pytest

from sidedoor.tasks.catalogue import Scenario, load_scenario, scenario_ids, suite_ids
from sidedoor.tasks.schema import FACTOR_LEVELS
from sidedoor.tasks.world import Argument, World

SCENARIOS = [(suite, scenario) for suite in suite_ids() for scenario in scenario_ids(suite)]
SHIFTS, CALLS = 4, 60
JUNK = ["", "-", "--", "=", "\0", "\udcff", "a b", "../..", "日本", "x" * 3000, "{", "[1]", "%s", "'", "None", "nan"]
AMOUNTS = ["0", "1", "-1", "7", "100", "999999999999", "1.5", "-0.0", "0.000000001", "1e5", "٣", "9" * 4400]
DURATIONS = ["1m", "10m", "1h", "5h30m", "24h", "0", "-1h", "743h"]


def strings_in(value: Any) -> list[str]:
    """Every text and number among a scenario's facts: the words that its programs know."""
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings_in(item)]
    if isinstance(value, list):
        return [text for item in value[:12] for text in strings_in(item)]
    return [str(value)]


def calls_in_references(scenario: Scenario, factors: dict[str, str], seed: int, programs: list[str]) -> list[list[str]]:
    """The plain calls (without pipes, substitutions and the like) among the steps of all reference scripts."""
    steps = [step for name in scenario.references for step in scenario.script(name, factors, seed).steps]
    plain = [shlex.split(step) for step in steps if not set(step) & set("|$<>;&`(")]
    return [argv for argv in plain if argv[0] in programs]


class Typist:
    """Types calls at random: half-way right ones, so that handlers are reached, and nonsense."""

    def __init__(
        self, world: World, facts: dict[str, Any], files: dict[str, str], known: list[list[str]], seed: int
    ) -> None:
        self.draw = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self.commands = list(world._commands.values())
        self.paths = list(files)
        self.words = [*strings_in(facts), *strings_in(world.state)]
        self.files = files
        self.known = known

    def call(self) -> list[str]:
        if self.draw.random() < 0.5:
            return self.varied(list(self.draw.choice(self.known)))
        return self.made_up()

    def varied(self, argv: list[str]) -> list[str]:
        if self.draw.random() < 0.4:
            at = self.draw.randrange(1, len(argv))
            argv[at] = self.draw.choice([*self.words[-40:], *AMOUNTS, *JUNK])
        return argv

    def made_up(self) -> list[str]:
        command = self.draw.choice(self.commands)
        argv = list(command.words)
        for argument in command.arguments:
            if argument.required or self.draw.random() < 0.5:
                argv += [argument.name] if argument.is_option else []
                argv += [] if argument.kind == "flag" else [self.value(argument)]
        if self.draw.random() < 0.15:
            argv.insert(self.draw.randrange(1, len(argv) + 1), self.draw.choice(JUNK))
        if self.draw.random() < 0.05:
            del argv[self.draw.randrange(len(argv))]
        return argv

    def value(self, argument: Argument) -> str:
        if argument.choices and self.draw.random() < 0.9:
            return self.draw.choice(argument.choices)
        if self.draw.random() < 0.15:
            return self.draw.choice(JUNK)
        if argument.kind == "file":
            return self.draw.choice(self.paths)
        if argument.kind in ("integer", "number"):
            return self.draw.choice(AMOUNTS)
        if argument.kind == "duration":
            return self.draw.choice(DURATIONS)
        return self.draw.choice(self.words)

    def heard(self, output: str) -> None:
        """Remember words from an answer, as an agent would use a reference number that it was given."""
        self.words += [word.strip(".,:;()'") for word in output.split()[:30]]

    def content(self, path: str) -> dict[str, str]:
        if self.draw.random() < 0.1:
            return {"error": "Permission denied"}
        text = self.files.get(path, self.draw.choice(JUNK))
        if self.draw.random() < 0.3:
            at = self.draw.randrange(len(text) + 1)
            text = text[:at] + self.draw.choice([*JUNK, "\n", ",", ":"]) + text[at + self.draw.randrange(40) :]
        return {"text": text}


@pytest.mark.parametrize("seed", range(SHIFTS))
@pytest.mark.parametrize(("suite", "name"), SCENARIOS, ids=lambda value: str(value))
def test_no_call_makes_a_world_raise_and_fresh_worlds_agree(suite: str, name: str, seed: int) -> None:
    scenario = load_scenario(suite, name)
    draw = random.Random(seed)  # noqa: S311 - repeatable, not secret
    factors = {factor: draw.choice(levels) for factor, levels in FACTOR_LEVELS.items()}
    factors |= {"naming": "plain", "pressure": "none"}
    rendered = scenario.render(factors, seed + 1)
    world, twin = (scenario.world(factors, rendered.facts) for _ in range(2))
    known = calls_in_references(scenario, factors, seed + 1, world.programs())
    typist = Typist(world, rendered.facts, rendered.files, known, seed)
    for seq in range(1, CALLS + 1):
        argv = typist.call()
        files = {path: typist.content(path) for path in world.needs(argv)}
        assert list(files) == list(dict.fromkeys(twin.needs(argv)))
        entry = world.step(seq, argv, files)
        assert entry == twin.step(seq, argv, files), argv
        json.dumps(entry, allow_nan=False)
        typist.heard(entry["stdout"])
    for one in (world, twin):
        one.settle()
    assert world.snapshot() == twin.snapshot()
    assert world.objective() is twin.objective()
