"""Where each millisecond of one reference episode goes: Inspect's bookkeeping against ours.

    python benchmarks/profile_episode.py [--episodes 10] [--json results/benchmarks/profile.json]

A reference episode has 20 calls: 19 commands and the closing message. Episodes run one at a time through Inspect, once
with each provider and once with a sandbox that does nothing and no scorer; what that one costs is Inspect's own, and
the rest is ours. Phases are wall milliseconds per episode; opening has the two phases below it, which overlap.
"""

import argparse
import asyncio
import functools
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock

from inspect_ai import Task
from inspect_ai.dataset import MemoryDataset
from inspect_ai.util import ExecResult, SandboxEnvironment, sandboxenv
from measuring import Meter, evaluate, keep, machine_facts, reference_samples, reference_task, usable
from rich.console import Console
from rich.table import Column, Table

from sidedoor.evals.agents import operator
from sidedoor.evals.instrumental import open_record
from sidedoor.sandboxes import provider as provider_module
from sidedoor.sandboxes.choice import PROVIDERS
from sidedoor.sandboxes.gateway import Gateway
from sidedoor.sandboxes.workplace import Workplace
from sidedoor.scorers import state

SCENARIO, SCRIPT, COMMANDS = "deployment_guardian", "official", 19

PHASES: Final[tuple[tuple[str, Any, str], ...]] = (
    ("render the scenario", provider_module, "prepare"),
    ("open the workplace", Workplace, "open"),
    ("  world started", Gateway, "boot"),
    ("  session and files", Workplace, "_furnish"),
    (f"{COMMANDS} commands", Workplace, "run"),
    ("evidence, removal", state, "capture"),
    ("replay and labels", state, "score_evidence"),
)


@sandboxenv(name="nothing")
class Nothing(SandboxEnvironment):
    """A sandbox in which every command ends at once."""

    @classmethod
    async def sample_init(cls, *_: Any) -> dict[str, SandboxEnvironment]:
        return {"default": cls()}

    @classmethod
    async def sample_cleanup(cls, *_: Any) -> None:
        return None

    async def exec(self, *_: Any, **__: Any) -> ExecResult[str]:
        return ExecResult(True, 0, "", "")

    async def write_file(self, file: str, contents: str | bytes) -> None:
        raise NotImplementedError("an episode of the bare task has no files")

    async def read_file(self, file: str, text: bool = True) -> Any:
        raise NotImplementedError("an episode of the bare task has no files")


def bare_task(count: int) -> Task:
    """The same episodes with nothing of ours but the agent."""
    samples = reference_samples(count, "embedded", SCENARIO)
    for sample in samples:
        sample.sandbox = None
    return Task(MemoryDataset(samples), setup=open_record(), solver=operator(), sandbox="nothing")


@contextmanager
def stopwatches(seconds: dict[str, float]) -> Iterator[None]:
    """Add up what each phase takes."""

    def watched(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(work)
        async def asynchronous(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return await work(*args, **kwargs)
            finally:
                seconds[name] += time.perf_counter() - start

        @functools.wraps(work)
        def direct(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return work(*args, **kwargs)
            finally:
                seconds[name] += time.perf_counter() - start

        return asynchronous if asyncio.iscoroutinefunction(work) else direct

    with ExitStack() as patched:
        for label, owner, name in PHASES:
            patched.enter_context(mock.patch.object(owner, name, watched(label, getattr(owner, name))))
        yield


def measure(task: Callable[[int], Task], episodes: int, at_once: int) -> tuple[Meter, dict[str, float]]:
    """Meter and seconds by phase of so many episodes, after a few that do not count."""
    evaluate(task(2), SCRIPT, at_once)
    seconds: dict[str, float] = defaultdict(float)
    with stopwatches(seconds), Meter() as meter:
        failed = evaluate(task(episodes), SCRIPT, at_once)
    if failed:
        raise RuntimeError(f"{failed} of {episodes} episodes failed")
    return meter, seconds


def per_episode(meter: Meter, seconds: dict[str, float], episodes: int) -> dict[str, Any]:
    """Milliseconds per episode."""

    def scaled(value: float) -> float:
        return round(1000 * value / episodes, 1)

    return {
        "wall_ms": scaled(meter.wall),
        "own_cpu_ms": scaled(meter.own),
        "machine_cpu_ms": scaled(meter.machine),
        "phases_ms": {label: scaled(seconds[label]) for label, _, _ in PHASES if label in seconds},
    }


def profile(episodes: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for at_once in (1, 2):
        print(f"Inspect alone, {at_once} at once", flush=True)
        found[f"nothing x{at_once}"] = per_episode(*measure(bare_task, episodes, at_once), episodes)
        for name in PROVIDERS:
            if (obstacle := asyncio.run(usable(name))) is not None:
                found[f"{name} x{at_once}"] = {"obstacle": obstacle}
                continue
            print(f"{name}, {at_once} at once", flush=True)
            task = functools.partial(reference_task, sandbox=name, scenario_id=SCENARIO)
            found[f"{name} x{at_once}"] = per_episode(*measure(task, episodes, at_once), episodes)
    return {"machine": machine_facts(), "episodes": episodes, "per_episode": found}


def show(result: dict[str, Any]) -> None:
    rows = {name: row for name, row in result["per_episode"].items() if "obstacle" not in row}
    table = Table(Column("per episode, ms", no_wrap=True), *rows, box=None)
    for label, _, _ in PHASES:
        table.add_row(
            label, *(f"{row['phases_ms'].get(label, 0):.1f}" if row["phases_ms"] else "" for row in rows.values())
        )
    for label, key in (("wall", "wall_ms"), ("CPU, this process", "own_cpu_ms"), ("CPU, machine", "machine_cpu_ms")):
        table.add_row(label, *(f"{row[key]:.1f}" for row in rows.values()))
    bare = {at_once: rows[f"nothing x{at_once}"]["wall_ms"] for at_once in (1, 2)}
    beyond = [f"{row['wall_ms'] - bare[int(name[-1])]:.1f}" for name, row in rows.items()]
    table.add_row("wall beyond Inspect alone", *beyond)
    Console().print(table)
    for name, row in result["per_episode"].items():
        if "obstacle" in row:
            print(f"{name}: {row['obstacle']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--episodes", type=int, default=10)
    parser.add_argument("--json", type=Path, default=Path("results/benchmarks/profile.json"))
    options = parser.parse_args()
    result = profile(options.episodes)
    show(result)
    keep(options.json, result)


if __name__ == "__main__":
    main()
