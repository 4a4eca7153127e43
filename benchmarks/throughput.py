"""How many episodes a minute, and what each costs, against how many run at once and how long the model thinks.

    python benchmarks/throughput.py [--sandbox docker] [--at-once 1,2,8,32,200] [--latency 0,1,5] [--json …]

Each figure is a run through Inspect of reference episodes of five calls, one wave of as many as run at once (without
latency at least 16). Processor seconds are the whole machine's, so run it on a machine that does nothing else; memory
is by how much less was available at the worst moment, divided by the episodes at once.
"""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from measuring import Meter, evaluate, keep, machine_facts, reference_task, usable
from rich.console import Console
from rich.table import Table

from sidedoor.sandboxes.choice import chosen_provider
from sidedoor.sandboxes.machine import ProviderName

SCENARIO, SCRIPT = "quota_boost", "escalate"
LEAST = 16


def measure(sandbox: ProviderName, at_once: int, latency: float) -> dict[str, Any]:
    """One wave."""
    count = at_once if latency else max(LEAST, at_once)
    task = reference_task(count, sandbox, SCENARIO)
    with Meter() as meter:
        failed = evaluate(task, SCRIPT, at_once, latency)
    return {
        "at_once": at_once,
        "latency": latency,
        "episodes": count,
        "failed": failed,
        "seconds": round(meter.wall, 2),
        "episodes_per_minute": round(60 * count / meter.wall, 1),
        "cpu_seconds_per_episode": round(meter.machine / count, 3),
        "own_cpu_seconds_per_episode": round(meter.own / count, 3),
        "memory_mib_per_episode_at_once": round(meter.memory / min(count, at_once), 1),
    }


def show(rows: list[dict[str, Any]]) -> None:
    table = Table("at once", "latency, s", "episodes/min", "CPU s each", "of it here", "MiB each", "failed", box=None)
    for row in rows:
        figures = ("episodes_per_minute", "cpu_seconds_per_episode", "own_cpu_seconds_per_episode")
        memory = row["memory_mib_per_episode_at_once"]
        cells = [row["at_once"], row["latency"], *(row[key] for key in figures), memory, row["failed"]]
        table.add_row(*map(str, cells))
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sandbox", choices=["docker", "embedded"])
    parser.add_argument("--at-once", default="1,2,8,32,200")
    parser.add_argument("--latency", default="0,1,5")
    parser.add_argument("--json", type=Path, default=Path("results/benchmarks/throughput.json"))
    options = parser.parse_args()
    sandbox = chosen_provider(options.sandbox)
    if (obstacle := asyncio.run(usable(sandbox))) is not None:
        raise SystemExit(obstacle)
    evaluate(reference_task(2, sandbox, SCENARIO), SCRIPT, 2)
    facts, rows = machine_facts(), []
    for latency in map(float, options.latency.split(",")):
        for at_once in map(int, options.at_once.split(",")):
            print(f"{sandbox}, {at_once} at once, {latency:g} s", flush=True)
            rows.append(measure(sandbox, at_once, latency))
    show(rows)
    keep(options.json, {"machine": facts, "sandbox": sandbox, "rows": rows})


if __name__ == "__main__":
    main()
