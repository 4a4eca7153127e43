"""Finding, loading and rendering suites and scenarios."""

import hashlib
import importlib.util
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, partial
from pathlib import Path
from typing import Any, get_args

from sidedoor.tasks import world as world_module
from sidedoor.tasks.facts import draw
from sidedoor.tasks.schema import (
    Constraint,
    ReferenceKind,
    ReferenceSpec,
    ScenarioSpec,
    Suite,
    Variant,
    check_factors,
)
from sidedoor.tasks.templates import fill
from sidedoor.tasks.world import World
from sidedoor.tasks.yaml_source import SourceError, load, nearest

ROOT = Path(__file__).parent
TEMPLATE_SUFFIX = ".j2"
REFERENCE_KINDS: tuple[str, ...] = get_args(ReferenceKind)


@dataclass(frozen=True)
class Rendered:
    """What one episode's agent is given: the prompt, and path (relative to its home) to text of its files."""

    prompt: str
    files: dict[str, str]
    facts: dict[str, Any]
    hostname: str


@dataclass(frozen=True)
class Script:
    """A rendered reference script."""

    name: str
    kind: ReferenceKind
    steps: tuple[str, ...]
    final: str


@dataclass(frozen=True)
class WorldBundle:
    """A world's source, ready to be loaded where the package is not installed.

    `modules` maps import name to source in import order; `entry` is `module:Class`.
    """

    modules: dict[str, str]
    entry: str


@dataclass(frozen=True)
class Scenario:
    """A scenario's folder, loaded."""

    suite: str
    path: Path
    spec: ScenarioSpec

    @property
    def id(self) -> str:
        return self.spec.id

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything that decides what happens in an episode: the folder, the World base, the pools."""
        parts = [p for p in sorted(self.path.rglob("*")) if p.is_file() and "__pycache__" not in p.parts]
        shared = [ROOT / name for name in ("world.py", "facts.py", "templates.py", "pools.yaml")]
        digest = hashlib.sha256()
        for part in [*parts, *shared]:
            digest.update(f"{part.relative_to(ROOT)}\0".encode() + part.read_bytes() + b"\0")
        return digest.hexdigest()

    @cached_property
    def world_class(self) -> type[World]:
        """The scenario's World subclass.

        Raises:
            SourceError: `world.py` is missing or does not define exactly one.
        """
        source = self.path / "world.py"
        name = f"sidedoor.tasks.{self.suite}.{self.id}.world"
        module_spec = importlib.util.spec_from_file_location(name, source)
        if module_spec is None or module_spec.loader is None or not source.exists():
            raise SourceError(f"{source}: missing")
        module = importlib.util.module_from_spec(module_spec)
        module_spec.loader.exec_module(module)
        classes = [
            item
            for _, item in inspect.getmembers(module, inspect.isclass)
            if item.__module__ == name and issubclass(item, World)
        ]
        if len(classes) != 1:
            raise SourceError(f"{source}: expected one World subclass, found {len(classes)}")
        return classes[0]

    @cached_property
    def bundle(self) -> WorldBundle:
        """The world's source for the container."""
        base = Path(world_module.__file__).read_text(encoding="utf-8")
        source = (self.path / "world.py").read_text(encoding="utf-8")
        modules = {"sidedoor.tasks.world": base, "world": source}
        return WorldBundle(modules, f"world:{self.world_class.__name__}")

    @cached_property
    def references(self) -> dict[str, ReferenceSpec]:
        """Reference scripts by name: `official`, `shortcut-<id>`, `attempt`, `escalate`, `idle`, `near_miss`.

        Raises:
            SourceError: one is malformed, has a name of no kind, or a kind or shortcut has none.
        """
        found = {p.stem: load(p, ReferenceSpec) for p in sorted((self.path / "references").glob("*.yaml"))}
        for name in found:
            reference_kind(name)
        wanted = {f"shortcut-{shortcut.id}" for shortcut in self.spec.shortcuts}
        wanted |= {f"violation-{violation.id}" for violation in self.spec.violations}
        wanted |= set(REFERENCE_KINDS) - {"shortcut", "violation"}
        missing = sorted(wanted - set(found))
        if missing:
            raise SourceError(f"{self.path / 'references'}: missing {', '.join(f'{m}.yaml' for m in missing)}")
        return found

    def world(self, factors: Mapping[str, str], facts: Mapping[str, Any]) -> World:
        """A fresh world at a point of the factors."""
        return self.world_class(factors, facts)

    @cached_property
    def facts(self) -> Callable[[int], dict[str, Any]]:
        """The facts of one epoch, by its seed; the last few are kept, because one episode asks several times."""
        return lru_cache(maxsize=4)(partial(draw, self.spec))

    def fragments(self, factors: Mapping[str, str], facts: Mapping[str, Any]) -> dict[str, str]:
        """The factor-dependent texts at a point of the factors."""
        return {name: self._fragment(name, factors, facts) for name in self.spec.fragments}

    def _fragment(self, name: str, factors: Mapping[str, str], facts: Mapping[str, Any]) -> str:
        fragment = self.spec.fragments[name]
        text = fragment.levels.get(factors[fragment.factor], "")
        return fill(text, f"{self.id}: fragment '{name}'", facts).strip()

    def render(self, factors: Mapping[str, str], seed: int) -> Rendered:
        """What the agent is given. Templates see facts and fragments, and no factor, so nothing else can vary.

        Raises:
            SourceError: a template fails.
        """
        return self._rendered(tuple(sorted(factors.items())), seed)

    @cached_property
    def _rendered(self) -> Callable[[tuple[tuple[str, str], ...], int], Rendered]:
        return lru_cache(maxsize=8)(self._render)

    def _render(self, point: tuple[tuple[str, str], ...], seed: int) -> Rendered:
        facts = self.facts(seed)
        values = {**facts, "fragment": self.fragments(dict(point), facts)}
        files = {}
        for source in sorted(p for p in (self.path / "files").rglob("*") if p.is_file()):
            name = source.relative_to(self.path / "files").as_posix()
            text = source.read_text(encoding="utf-8")
            if name.endswith(TEMPLATE_SUFFIX):
                name, text = name.removesuffix(TEMPLATE_SUFFIX), fill(text, str(source), values)
            files[name] = text
        prompt_source = self.path / "prompt.md"
        prompt = fill(prompt_source.read_text(encoding="utf-8"), str(prompt_source), values)
        return Rendered(prompt.strip(), files, facts, fill(self.spec.hostname, f"{self.id}: hostname", facts))

    def sentence(self, constraint: Constraint, factors: Mapping[str, str], facts: Mapping[str, Any]) -> str:
        """What the constraint's file says at this point of the factors, with the facts filled in."""
        if constraint.fragment is not None:
            return self._fragment(constraint.fragment, factors, facts)
        return fill(constraint.always or "", f"{self.id}: constraint in {constraint.file}", facts)

    def script(self, name: str, factors: Mapping[str, str], seed: int) -> Script:
        """A reference script with the epoch's facts filled in.

        Raises:
            SourceError: no such script, or its template fails.
        """
        if name not in self.references:
            raise SourceError(f"{self.id}: no reference script '{name}'{nearest(name, list(self.references))}")
        return self._scripted(name, tuple(sorted(factors.items())), seed)

    @cached_property
    def _scripted(self) -> Callable[[str, tuple[tuple[str, str], ...], int], Script]:
        return lru_cache(maxsize=64)(self._fill_script)  # a reference model asks for it at each of its turns

    def _fill_script(self, name: str, point: tuple[tuple[str, str], ...], seed: int) -> Script:
        reference = self.references[name]
        values = {**self.facts(seed), "factors": dict(point)}
        where = f"{self.id}: references/{name}.yaml"
        lines = (line.strip() for line in fill(reference.steps, where, values).splitlines())
        steps = tuple(line for line in lines if line)
        return Script(name, reference_kind(name), steps, fill(reference.final, where, values).strip())


def reference_kind(name: str) -> ReferenceKind:
    """The kind of a reference script by its name (`shortcut-<id>` and `<kind>` or `<kind>-<what>`).

    Raises:
        SourceError: the name begins with no kind.
    """
    kind = name.partition("-")[0]
    if kind not in REFERENCE_KINDS:
        raise SourceError(f"reference script '{name}': unknown kind '{kind}'{nearest(kind, list(REFERENCE_KINDS))}")
    return kind  # type: ignore[return-value]  # membership was just checked against the Literal's members


def suite_ids() -> list[str]:
    """Ids of the suites that exist."""
    return sorted(p.parent.name for p in ROOT.glob("*/suite.yaml"))


@cache
def load_suite(suite: str) -> Suite:
    """Load a suite's definition.

    Raises:
        SourceError: unknown or malformed.
    """
    if suite not in suite_ids():
        raise SourceError(f"unknown suite '{suite}'{nearest(suite, suite_ids())}")
    return load(ROOT / suite / "suite.yaml", Suite)


def scenario_ids(suite: str) -> list[str]:
    """Ids of a suite's scenarios.

    Raises:
        SourceError: unknown suite.
    """
    load_suite(suite)
    return sorted(p.parent.name for p in (ROOT / suite).glob("*/scenario.yaml"))


@cache
def load_scenario(suite: str, scenario: str) -> Scenario:
    """Load one scenario.

    Raises:
        SourceError: unknown or malformed.
    """
    known = scenario_ids(suite)
    if scenario not in known:
        raise SourceError(f"unknown scenario '{scenario}' in suite '{suite}'{nearest(scenario, known)}")
    path = ROOT / suite / scenario
    spec = load(path / "scenario.yaml", ScenarioSpec)
    if spec.id != scenario:
        raise SourceError(f"{path / 'scenario.yaml'}: id is '{spec.id}' but the folder is '{scenario}'")
    return Scenario(suite, path, spec)


def parse_variant(suite: str, text: str) -> tuple[str, dict[str, str]]:
    """A variant by its id (`H`), its name, or factor levels (`stance=vague,honest_path=blocked`).

    Returns:
        A name for the variant and the complete factors. Levels that make up a named variant get its id.

    Raises:
        SourceError: unknown variant, factor or level.
    """
    variants = load_suite(suite).variants
    for key, variant in variants.items():
        if text in (key, variant.name):
            return key, dict(variant.factors)
    if "=" not in text:
        raise SourceError(f"unknown variant '{text}' of suite '{suite}'{nearest(text, _variant_names(variants))}")
    try:
        factors = check_factors(dict(_pair(part) for part in text.split(",")))
    except ValueError as error:
        raise SourceError(str(error)) from None
    for key, variant in variants.items():
        if variant.factors == factors:
            return key, factors
    default = check_factors({})
    return ",".join(f"{f}={level}" for f, level in factors.items() if level != default[f]), factors


def _pair(text: str) -> tuple[str, str]:
    factor, equals, level = text.partition("=")
    if not equals:
        raise SourceError(f"expected factor=level, got '{text}'")
    return factor.strip(), level.strip()


def _variant_names(variants: Mapping[str, Variant]) -> list[str]:
    return [*variants, *(variant.name for variant in variants.values())]
