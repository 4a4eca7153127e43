"""What it gains that a workplace opens while the model thinks its first answer, and that machines are started ahead.

    python benchmarks/overlap.py [--samples 16] [--latency 0,1,5] [--json results/benchmarks/overlap.json]

Times are wall milliseconds from a sample's request for a sandbox to the result of its first command, the median over
samples, two at once: if the model begins to think when the workplace is open; if it opens meanwhile; and if, besides,
the machine was started ahead, which embedded ones are not.
"""

import argparse
import asyncio
import functools
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from inspect_ai.model import ModelAPI, ModelOutput, get_model
from inspect_ai.util import ExecResult, sandbox
from measuring import evaluate, keep, machine_facts, reference_task, usable
from rich.console import Console
from rich.table import Table

from sidedoor.sandboxes.choice import PROVIDERS
from sidedoor.sandboxes.machine import ProviderName
from sidedoor.sandboxes.provider import WorkplaceSandbox

SCENARIO, SCRIPT, AT_ONCE = "quota_boost", "idle", 2


class Way(NamedTuple):
    """How a sample comes by its machine."""

    name: str
    overlap: bool
    ahead: bool


WAYS = (
    Way("opened_first_ms", overlap=False, ahead=False),
    Way("opened_meanwhile_ms", overlap=True, ahead=False),
    Way("started_ahead_ms", overlap=True, ahead=True),
)


@contextmanager
def stopwatch(first_results: list[float], way: Way) -> Iterator[None]:
    """Collect the seconds to each sample's first result."""
    asked: dict[int, float] = {}
    begin, execute = WorkplaceSandbox.sample_init.__func__, WorkplaceSandbox.exec
    model = type(get_model(f"reference/{SCRIPT}").api)
    think = model.generate

    async def sample_init(cls: type[WorkplaceSandbox], *arguments: Any) -> Any:
        start = time.perf_counter()
        environments = await begin(cls, *arguments)
        asked[id(environments["default"])] = start
        return environments

    @functools.wraps(think)
    async def generate(self: ModelAPI, *arguments: Any, **options: Any) -> ModelOutput:
        if not way.overlap:
            await sandbox().as_type(WorkplaceSandbox).workplace()
        return await think(self, *arguments, **options)

    @functools.wraps(execute)
    async def timed_exec(self: WorkplaceSandbox, *arguments: Any, **options: Any) -> ExecResult[str]:
        result = await execute(self, *arguments, **options)
        if (start := asked.pop(id(self), None)) is not None:
            first_results.append(time.perf_counter() - start)
        return result

    with (
        mock.patch.object(WorkplaceSandbox, "sample_init", classmethod(sample_init)),
        mock.patch.object(model, "generate", generate),
        mock.patch.object(WorkplaceSandbox, "exec", timed_exec),
        mock.patch.object(WorkplaceSandbox, "worth_starting_ahead", way.ahead),
    ):
        yield


def measure(provider: ProviderName, samples: int, latency: float) -> dict[str, Any]:
    row: dict[str, Any] = {"sandbox": provider, "latency": latency}
    for way in WAYS:
        seconds: list[float] = []
        with stopwatch(seconds, way):
            if evaluate(reference_task(samples, provider, SCENARIO), SCRIPT, AT_ONCE, latency):
                raise RuntimeError(f"samples failed with {provider}")
        row[way.name] = round(1000 * statistics.median(seconds), 1)
    return row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--latency", default="0,1,5")
    parser.add_argument("--json", type=Path, default=Path("results/benchmarks/overlap.json"))
    options = parser.parse_args()
    facts, rows = machine_facts(), []
    table = Table("sandbox", "latency, s", "opened first, ms", "meanwhile, ms", "started ahead, ms", box=None)
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
