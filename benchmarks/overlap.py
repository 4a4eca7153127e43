"""What it gains that a workplace opens while the model thinks its first answer, and what a pool of open ones would.

    python benchmarks/overlap.py [--samples 8] [--latency 0,1,5] [--json results/benchmarks/overlap.json]

Times are wall milliseconds from a sample's request for a sandbox to the result of its first command, the median over
samples, two at once: if the model begins to think when the workplace is open, as it is now, and as it would be at best
if workplaces stood ready (the model's latency and the command; a pool cannot shorten those, and its own work is not
counted).
"""

import argparse
import asyncio
import functools
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from inspect_ai.model import ModelAPI, ModelOutput, get_model
from inspect_ai.util import ExecResult, sandbox
from measuring import evaluate, keep, machine_facts, reference_task, usable
from rich.console import Console
from rich.table import Table

from sidedoor.sandboxes.choice import PROVIDERS
from sidedoor.sandboxes.machine import ProviderName
from sidedoor.sandboxes.provider import WorkplaceSandbox
from sidedoor.sandboxes.workplace import Workplace

SCENARIO, SCRIPT, AT_ONCE = "quota_boost", "idle", 2


@contextmanager
def stopwatch(first_results: list[float], first_commands: list[float], *, overlap: bool) -> Iterator[None]:
    """Collect the seconds to each sample's first result, and those that its first command took."""
    asked: dict[int, float] = {}
    begin, execute, run = WorkplaceSandbox.sample_init.__func__, WorkplaceSandbox.exec, Workplace.run
    model = type(get_model(f"reference/{SCRIPT}").api)
    think = model.generate

    async def sample_init(cls: type[WorkplaceSandbox], *arguments: Any) -> Any:
        start = time.perf_counter()
        environments = await begin(cls, *arguments)
        asked[id(environments["default"])] = start
        return environments

    @functools.wraps(think)
    async def generate(self: ModelAPI, *arguments: Any, **options: Any) -> ModelOutput:
        if not overlap:
            await sandbox().as_type(WorkplaceSandbox).workplace()
        return await think(self, *arguments, **options)

    @functools.wraps(execute)
    async def timed_exec(self: WorkplaceSandbox, *arguments: Any, **options: Any) -> ExecResult[str]:
        result = await execute(self, *arguments, **options)
        if (start := asked.pop(id(self), None)) is not None:
            first_results.append(time.perf_counter() - start)
        return result

    @functools.wraps(run)
    async def timed_run(self: Workplace, *arguments: Any, **options: Any) -> Any:
        start = time.perf_counter()
        finished = await run(self, *arguments, **options)
        if len(self.commands) == 1:
            first_commands.append(time.perf_counter() - start)
        return finished

    with (
        mock.patch.object(WorkplaceSandbox, "sample_init", classmethod(sample_init)),
        mock.patch.object(model, "generate", generate),
        mock.patch.object(WorkplaceSandbox, "exec", timed_exec),
        mock.patch.object(Workplace, "run", timed_run),
    ):
        yield


def measure(provider: ProviderName, samples: int, latency: float) -> dict[str, Any]:
    results: dict[bool, list[float]] = {False: [], True: []}
    commands: list[float] = []
    for overlap, seconds in results.items():
        with stopwatch(seconds, commands, overlap=overlap):
            if evaluate(reference_task(samples, provider, SCENARIO), SCRIPT, AT_ONCE, latency):
                raise RuntimeError(f"samples failed with {provider}")
    before, now = (round(1000 * statistics.median(results[overlap]), 1) for overlap in (False, True))
    least = round(1000 * (latency + statistics.median(commands)), 1)
    return {"sandbox": provider, "latency": latency, "waited_for_ms": before, "overlapped_ms": now, "at_best_ms": least}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--latency", default="0,1,5")
    parser.add_argument("--json", type=Path, default=Path("results/benchmarks/overlap.json"))
    options = parser.parse_args()
    facts, rows = machine_facts(), []
    table = Table("sandbox", "latency, s", "waited for, ms", "overlapped, ms", "at best, ms", box=None)
    for name in PROVIDERS:
        if (obstacle := asyncio.run(usable(name))) is not None:
            print(f"{name} did not run: {obstacle}")
            continue
        evaluate(reference_task(AT_ONCE, name, SCENARIO), SCRIPT, AT_ONCE)
        for latency in map(float, options.latency.split(",")):
            print(f"{name}, {latency:g} s", flush=True)
            rows.append(measure(name, options.samples, latency))
            table.add_row(*map(str, rows[-1].values()))
    Console().print(table)
    keep(options.json, {"machine": facts, "rows": rows})


if __name__ == "__main__":
    main()
