"""Showing suites and scenarios: what the agent would see, and what would be scored."""

import difflib

from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from sidedoor.tasks.catalogue import (
    Rendered,
    Scenario,
    load_scenario,
    load_suite,
    parse_variant,
    scenario_ids,
    suite_ids,
)
from sidedoor.tasks.yaml_source import SourceError, nearest


def list_suites(console: Console) -> None:
    """Print every suite with its scenarios and variants."""
    for suite_id in suite_ids():
        suite = load_suite(suite_id)
        console.print(f"[bold]{suite.id}[/] {suite.version}  {escape(suite.title)}", highlight=False)
        scenarios = Table("scenario", "version", "domain", "objective", "behaviours", box=None, pad_edge=False)
        for scenario_id in scenario_ids(suite_id):
            spec = load_scenario(suite_id, scenario_id).spec
            behaviours = ", ".join(sorted({shortcut.behaviour for shortcut in spec.shortcuts}))
            scenarios.add_row(spec.id, spec.version, spec.domain, spec.objective, behaviours)
        variants = Table("variant", "name", "levels", box=None, pad_edge=False)
        for key, variant in suite.variants.items():
            levels = [f"{f}={level}" for f, level in variant.factors.items() if level != suite.variants["A"].factors[f]]
            variants.add_row(key, variant.name, ", ".join(levels) or "the baseline")
        console.print(scenarios, "", variants, sep="\n")


def find_scenario(name: str) -> Scenario:
    """A scenario by id, or by `suite/id`.

    Raises:
        SourceError: unknown.
    """
    suite, slash, scenario = name.partition("/")
    if slash:
        return load_scenario(suite, scenario)
    known = {scenario_id: suite_id for suite_id in suite_ids() for scenario_id in scenario_ids(suite_id)}
    if name not in known:
        raise SourceError(f"unknown scenario '{name}'{nearest(name, list(known))}")
    return load_scenario(known[name], name)


def show_scenario(console: Console, name: str, variant: str, seed: int, files: bool) -> None:
    """Print one cell: prompt, files, programs, and the rules by which it is scored.

    Raises:
        SourceError: an unknown scenario or variant.
    """
    scenario = find_scenario(name)
    key, factors = parse_variant(scenario.suite, variant)
    rendered = scenario.render(factors, seed)
    console.print(Panel(Text(rendered.prompt), title=f"what the agent is told ({scenario.id}, {key}, seed {seed})"))
    console.print(_workplace(scenario, factors, rendered))
    if files:
        for path, text in rendered.files.items():
            console.print(Panel(Text(text), title=escape(path)))
    console.print(_scoring(scenario, factors, rendered))


def show_difference(console: Console, name: str, one: str, other: str, seed: int) -> None:
    """Print a diff of what the agent sees in two variants, and the factors in which they differ.

    Raises:
        SourceError: an unknown scenario or variant.
    """
    scenario = find_scenario(name)
    sides = [parse_variant(scenario.suite, variant) for variant in (one, other)]
    for factor, level in sides[0][1].items():
        if sides[1][1][factor] != level:
            console.print(f"{factor}: {level} -> {sides[1][1][factor]}", highlight=False)
    before, after = (scenario.render(factors, seed) for _, factors in sides)
    texts = [{"prompt": side.prompt, **side.files} for side in (before, after)]
    lines = [
        line for path in texts[0] for line in _diff(path, texts[0][path], texts[1][path], sides[0][0], sides[1][0])
    ]
    for line in lines or ["the agent reads the same in both; they differ in the services' state"]:
        style = "green" if line.startswith("+") else "red" if line.startswith("-") else ""
        console.print(Text(line, style=style))


def _diff(path: str, before: str, after: str, one: str, other: str) -> list[str]:
    return list(
        difflib.unified_diff(
            before.splitlines(), after.splitlines(), f"{one}/{path}", f"{other}/{path}", lineterm="", n=0
        )
    )


def _workplace(scenario: Scenario, factors: dict[str, str], rendered: Rendered) -> Group:
    files = Table("file", "lines", box=None, pad_edge=False)
    for path, text in rendered.files.items():
        files.add_row(escape(path), str(len(text.splitlines())))
    world = scenario.world(factors, rendered.facts)
    programs = Table("program", "purpose", box=None, pad_edge=False)
    for program in world.programs():
        programs.add_row(program, world.about.get(program, "the site clock"))
    return Group(Text(f"host {rendered.hostname}"), files, "", programs, "")


def _scoring(scenario: Scenario, factors: dict[str, str], rendered: Rendered) -> Group:
    spec = scenario.spec
    steps = Table("official step", "what it is", box=None, pad_edge=False)
    for step in (*spec.official, spec.way_out):
        steps.add_row(step.id + (" (way out)" if step is spec.way_out else ""), step.does)
    rules = Table("rule", "behaviour", "severity", "in force", "what the file says", box=None, pad_edge=False)
    for rule in (*spec.shortcuts, *spec.violations):
        sentence = scenario.sentence(rule.constraint, factors, rendered.facts)
        in_force = "yes" if rule.constraint.in_force(factors) else "no"
        behaviour = getattr(rule, "behaviour", "-")
        rules.add_row(rule.id, behaviour, str(rule.severity), in_force, escape(f"{rule.constraint.file}: {sentence}"))
    return Group(Text(f"objective: {spec.objective}"), "", steps, "", rules)
