"""What an episode costs beyond the model: starting, commands, evidence, teardown, throughput; side by side in one run.

    python benchmarks/overhead.py [--repeat 20] [--json results/benchmarks/overhead.json]

Times are wall seconds on this machine; compare rows of one run only, because machines are noisy. The floor is what
the engine itself needs: create, start, one exec and remove through its API. Inspect's own docker provider runs the same
commands where its requirements are met (Engine 24.0.6, Compose 2.21); otherwise the table says that they are not.
"""

import argparse
import asyncio
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from inspect_ai.util._sandbox.docker.docker import DockerSandboxEnvironment
from rich.console import Console
from rich.table import Table

from sidedoor.sandboxes.capture import capture
from sidedoor.sandboxes.containers import Container
from sidedoor.sandboxes.engine import Engine, connect
from sidedoor.sandboxes.hardening import container_config
from sidedoor.sandboxes.image import ensure_image
from sidedoor.sandboxes.ownership import labels
from sidedoor.sandboxes.prepare import prepare
from sidedoor.sandboxes.spec import Episode, WorkplaceSpec
from sidedoor.sandboxes.workplace import Workplace
from sidedoor.tasks.schema import check_factors

COMMANDS = 20
AT_ONCE = (1, 2, 4, 8)
RUN = "benchmark"
STOCK_ENGINE, STOCK_COMPOSE = (24, 0, 6), (2, 21, 0)
LIMIT = 1 << 20

Seconds = list[float]


async def timed(times: Seconds, work: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    start = time.perf_counter()
    result = await work(*arguments)
    times.append(time.perf_counter() - start)
    return result


async def command(workplace: Workplace, text: str) -> None:
    argv = ["bash", "--login", "-c", text]
    finished = await workplace.run(argv, stdin=b"", cwd="", env={}, timeout=60, limit=LIMIT)
    if finished.exit != 0:
        raise RuntimeError(f"'{text}' ended with {finished.exit}: {finished.stderr!r}")


async def true(workplace: Workplace) -> None:
    await workplace.run(["true"], stdin=b"", cwd="", env={}, timeout=60, limit=LIMIT)


async def opened(engine: Engine, image: str, spec: WorkplaceSpec) -> Workplace:
    return await Workplace.open(Container(engine, image, spec, RUN), spec)


async def episode(engine: Engine, image: str, spec: WorkplaceSpec) -> None:
    workplace = await opened(engine, image, spec)
    try:
        for _ in range(COMMANDS // 2):
            await command(workplace, "cat docs/runbook.md")
            await command(workplace, "jobctl list")
        await capture(workplace)
    finally:
        await workplace.close()


async def floor(engine: Engine, image: str, spec: WorkplaceSpec) -> None:
    name = f"sidedoor-floor-{time.perf_counter_ns()}"
    await engine.create(container_config(image, spec, labels(RUN, 600)) | {"Cmd": ["sleep", "600"]}, name)
    try:
        await engine.start(name)
        stream = await engine.execute(name, ["true"], "1000:1000")
        stream.close()
    finally:
        await engine.remove(name)


async def parts(engine: Engine, image: str, spec: WorkplaceSpec, repeat: int) -> dict[str, Seconds]:
    found: dict[str, Seconds] = {}

    def times(name: str) -> Seconds:
        return found.setdefault(name, [])

    async def first_answer() -> Workplace:
        fresh = await opened(engine, image, spec)
        await true(fresh)
        return fresh

    watching = spec.model_copy(update={"watched": ("~/**",)})
    for _ in range(repeat):
        await timed(times("floor: create, start, exec, remove"), floor, engine, image, spec)
        workplace = await timed(times("start to first answer"), first_answer)
        for _ in range(10):
            await timed(times("round trip: true (fork and exec in the session)"), true, workplace)
            await timed(times("round trip: bash --login -c true"), command, workplace, "true")
            await timed(times("round trip: a call to the world"), command, workplace, "jobctl list")
        await timed(times("evidence and teardown, nothing watched"), capture, workplace)
        workplace = await opened(engine, image, watching)
        await timed(times("evidence and teardown, home watched"), capture, workplace)
        workplace = await opened(engine, image, spec)
        await timed(times("teardown"), workplace.close)
        await timed(times(f"reference episode, {COMMANDS} commands"), episode, engine, image, spec)
    return found


async def throughput(one: Callable[[], Awaitable[None]], at_once: int, total: int) -> float:
    """Seconds per episode with so many at once."""
    gate = asyncio.Semaphore(at_once)

    async def guarded() -> None:
        async with gate:
            await one()

    start = time.perf_counter()
    await asyncio.gather(*(guarded() for _ in range(total)))
    return (time.perf_counter() - start) / total


def stock_obstacle() -> str | None:
    """Why Inspect's docker provider can't run here; None if it can."""

    def version_of(*argv: str) -> tuple[int, ...]:
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        found = re.search(r"(\d+)\.(\d+)\.(\d+)", done.stdout)
        return tuple(map(int, found.groups())) if found and done.returncode == 0 else (0,)

    if not shutil.which("docker"):
        return "no docker client"
    engine = version_of("docker", "version", "--format", "{{.Server.Version}}")
    compose = version_of("docker", "compose", "version", "--short")
    if engine < STOCK_ENGINE:
        return f"Engine {'.'.join(map(str, engine))} is older than 24.0.6"
    return f"Compose {'.'.join(map(str, compose))} is older than 2.21" if compose < STOCK_COMPOSE else None


async def stock_episode(config: str) -> None:
    environments = await DockerSandboxEnvironment.sample_init(RUN, config, {})
    try:
        sandbox = environments["default"]
        for _ in range(COMMANDS):
            await sandbox.exec(["bash", "--login", "-c", "true"], timeout=60)
    finally:
        await DockerSandboxEnvironment.sample_cleanup(RUN, config, environments, False)


async def stock(image: str, repeat: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "compose.yaml"
        # As in Inspect's own default: without an init, stopping would wait out the grace period.
        service = {"image": image, "command": "tail -f /dev/null", "init": True, "stop_grace_period": "1s"}
        service |= {"network_mode": "none", "user": "1000"}
        config.write_text(json.dumps({"services": {"default": service}}))
        await DockerSandboxEnvironment.task_init(RUN, str(config))
        rates = {}
        for n in AT_ONCE:
            rates[f"stock docker provider, {n} at once"] = await throughput(
                lambda: stock_episode(str(config)), n, max(n, repeat // 2)
            )
        await DockerSandboxEnvironment.task_cleanup(RUN, str(config), True)
    return rates


async def measure(repeat: int) -> dict[str, Any]:
    engine = connect()
    image = ensure_image(engine, print)
    factors = check_factors({})
    spec = prepare(Episode(suite="instrumental", scenario="quota_boost", factors=factors, seed=1))
    for _ in range(2):
        await episode(engine, image, spec)
    found = await parts(engine, image, spec, repeat)
    rates = {}
    for n in AT_ONCE:
        total = max(2 * n, repeat)
        rates[f"sidedoor, {n} at once"] = await throughput(lambda: episode(engine, image, spec), n, total)
        rates[f"floor, {n} at once"] = await throughput(lambda: floor(engine, image, spec), n, total)
    obstacle = stock_obstacle()
    if obstacle is None:
        rates |= await stock(image, repeat)
    return {
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "engine": engine.client.version()["Version"],
        "parts_seconds": {name: summary(times) for name, times in found.items()},
        "seconds_per_episode": {name: round(value, 4) for name, value in rates.items()},
        "stock_provider": obstacle or "ran",
    }


def summary(times: Seconds) -> dict[str, float]:
    ordered = sorted(times)
    return {
        "n": len(times),
        "median": round(statistics.median(times), 5),
        "p95": round(ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 5),
        "min": round(ordered[0], 5),
    }


def show(result: dict[str, Any]) -> None:
    console = Console()
    table = Table("one at a time, ms", "n", "median", "p95", "min", box=None)
    for name, row in result["parts_seconds"].items():
        table.add_row(name, str(row["n"]), *(f"{1000 * row[key]:.1f}" for key in ("median", "p95", "min")))
    console.print(table)
    table = Table("throughput", "s per episode", "episodes per minute", box=None)
    for name, seconds in result["seconds_per_episode"].items():
        table.add_row(name, f"{seconds:.3f}", f"{60 / seconds:.0f}")
    console.print(table)
    console.print(f"Inspect's docker provider: {result['stock_provider']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeat", type=int, default=10)
    parser.add_argument("--json", type=Path, default=Path("results/benchmarks/overhead.json"))
    options = parser.parse_args()
    result = asyncio.run(measure(options.repeat))
    show(result)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written to {options.json}")


if __name__ == "__main__":
    main()
