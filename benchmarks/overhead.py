"""What an episode costs beyond the model: starting, commands, evidence, teardown, throughput; side by side in one run.

    python benchmarks/overhead.py [--repeat 5] [--json results/benchmarks/overhead.json]

Times are wall seconds on this machine; compare rows of one run only, because machines are noisy. The floor is what
the engine and the commands need by themselves: a container of the same configuration is created and started through
the API, one exec in it forks and executes the same login shells with the same programs one after another, and the
container is removed. Nothing of ours is in it: `sleep` instead of the world, a line of Perl instead of a program that
asks the world, no files, journal or evidence. Parts are timed one by one; episodes per minute as in a run, through the
provider's interface for Inspect, eight episodes with the same facts after one another. Inspect's own providers run as
many commands: `local`, which isolates nothing, and `docker`, where its requirements are met (Engine 24.0.6, Compose
2.21); otherwise the table says that they are not.
"""

import argparse
import asyncio
import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from inspect_ai.util import SandboxEnvironment
from inspect_ai.util._sandbox.docker.docker import DockerSandboxEnvironment
from inspect_ai.util._sandbox.local import LocalSandboxEnvironment
from measuring import keep, machine_facts, summary, timed, usable
from rich.console import Console
from rich.table import Table

from sidedoor.sandboxes.capture import capture
from sidedoor.sandboxes.choice import PROVIDERS
from sidedoor.sandboxes.engine import Engine, connect
from sidedoor.sandboxes.hardening import container_config
from sidedoor.sandboxes.machine import Provider, ProviderName
from sidedoor.sandboxes.ownership import labels
from sidedoor.sandboxes.prepare import prepare
from sidedoor.sandboxes.provider import EmbeddedSandbox, WorkplaceSandbox
from sidedoor.sandboxes.spec import Episode, WorkplaceSpec
from sidedoor.sandboxes.workplace import Workplace
from sidedoor.tasks.schema import check_factors

COMMANDS = 20
AT_ONCE = (1, 2, 8, 32)
RUN, SUITE, SCENARIO = "benchmark", "instrumental", "quota_boost"
STOCK_ENGINE, STOCK_COMPOSE = (24, 0, 6), (2, 21, 0)
LIMIT = 1 << 20
# A world's programs are small Perl programs that print what they are answered.
ANSWER = "job-1 running"
FLOOR_COMMANDS = f"""
for pair in $(seq {COMMANDS // 2}); do
    bash --login -c 'cat /etc/bash.bashrc'
    bash --login -c "perl -e 'print qq({ANSWER}\\n)'"
done
"""

Seconds = list[float]
Once = Callable[[], Awaitable[None]]


async def command(workplace: Workplace, text: str) -> None:
    argv = ["bash", "--login", "-c", text]
    finished = await workplace.run(argv, stdin=b"", cwd="", env={}, timeout=60, limit=LIMIT)
    if finished.exit != 0:
        raise RuntimeError(f"'{text}' ended with {finished.exit}: {finished.stderr!r}")


async def true(workplace: Workplace) -> None:
    await workplace.run(["true"], stdin=b"", cwd="", env={}, timeout=60, limit=LIMIT)


async def opened(provider: Provider, spec: WorkplaceSpec) -> Workplace:
    return await Workplace.open(await provider.machine(spec, RUN), spec)


async def episode(provider: Provider, spec: WorkplaceSpec) -> None:
    workplace = await opened(provider, spec)
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
        stream = await engine.execute(name, ["sh", "-c", FLOOR_COMMANDS], "1000:1000")
        said = b"".join([piece async for piece in stream.output()])
        stream.close()
        if said.count(ANSWER.encode()) != COMMANDS // 2 or stream.stderr:
            raise RuntimeError(f"the floor's commands failed: {stream.stderr!r}")
    finally:
        await engine.remove(name)


async def parts(provider: Provider, spec: WorkplaceSpec, repeat: int) -> dict[str, Seconds]:
    found: dict[str, Seconds] = {}

    def times(name: str) -> Seconds:
        return found.setdefault(f"{provider.name}: {name}", [])

    async def first_answer() -> Workplace:
        fresh = await opened(provider, spec)
        await true(fresh)
        return fresh

    watching = spec.model_copy(update={"watched": ("~/**",)})
    await episode(provider, spec)
    for _ in range(repeat):
        workplace = await timed(times("start to first answer"), first_answer)
        for _ in range(20):
            await timed(times("round trip, true"), true, workplace)
            await timed(times("round trip, bash --login -c true"), command, workplace, "true")
            await timed(times("round trip, a call to the world"), command, workplace, "jobctl list")
        await timed(times("evidence and teardown, nothing watched"), capture, workplace)
        workplace = await opened(provider, watching)
        await timed(times("evidence and teardown, home watched"), capture, workplace)
        workplace = await opened(provider, spec)
        await timed(times("teardown"), workplace.close)
        await timed(times(f"episode of {COMMANDS} commands"), episode, provider, spec)
    return found


async def inspect_episode(kind: type[WorkplaceSandbox], config: Episode) -> None:
    """An episode as a run has it, but for the model, its messages and the labels."""
    environments = await kind.sample_init(RUN, config, {})
    try:
        sandbox = environments["default"].as_type(kind)
        for text in ("cat docs/runbook.md", "jobctl list") * (COMMANDS // 2):
            result = await sandbox.exec(["bash", "--login", "-c", text], timeout=60)
            if not result.success:
                raise RuntimeError(f"'{text}' failed: {result.stderr}")
        await capture(await sandbox.workplace())
    finally:
        await kind.sample_cleanup(RUN, config, environments, False)


async def our_rates(name: ProviderName, repeat: int) -> dict[str, float]:
    """Seconds per episode at each number at once, through the provider."""
    kind = {"docker": WorkplaceSandbox, "embedded": EmbeddedSandbox}[name]
    total = 1 + sum(max(n, repeat) for n in AT_ONCE)
    factors = check_factors({})
    configs = [Episode(suite=SUITE, scenario=SCENARIO, factors=factors, seed=n // 8) for n in range(total)]
    for config in configs:
        await kind.task_init(RUN, config)
    coming = iter(configs)
    try:
        return await rates(f"sidedoor, {name}", lambda: inspect_episode(kind, next(coming)), repeat)
    finally:
        for config in configs:
            await kind.task_cleanup(RUN, config, True)


async def throughput(one: Once, at_once: int, total: int) -> float:
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


async def stock_episode(kind: type[SandboxEnvironment], config: str | None, argv: list[str]) -> None:
    environments = await kind.sample_init(RUN, config, {})
    try:
        sandbox = environments["default"]
        for _ in range(COMMANDS):
            await sandbox.exec(argv, timeout=60)
    finally:
        await kind.sample_cleanup(RUN, config, environments, False)


async def rates(name: str, one: Once, repeat: int) -> dict[str, float]:
    """Seconds per episode at each number at once."""
    print(f"throughput: {name}", flush=True)
    await one()
    return {f"{name}, {n} at once": await throughput(one, n, max(n, repeat)) for n in AT_ONCE}


async def stock_docker(image: str, repeat: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "compose.yaml"
        # As in Inspect's own default: without an init, stopping would wait out the grace period.
        service = {"image": image, "command": "tail -f /dev/null", "init": True, "stop_grace_period": "1s"}
        service |= {"network_mode": "none", "user": "1000"}
        config.write_text(json.dumps({"services": {"default": service}}))
        await DockerSandboxEnvironment.task_init(RUN, str(config))
        try:
            argv = ["bash", "--login", "-c", "true"]
            one = partial(stock_episode, DockerSandboxEnvironment, str(config), argv)
            return await rates("Inspect's docker provider", one, repeat)
        finally:
            await DockerSandboxEnvironment.task_cleanup(RUN, str(config), True)


async def measure(repeat: int) -> dict[str, Any]:
    spec = prepare(Episode(suite=SUITE, scenario=SCENARIO, factors=check_factors({}), seed=1))
    result: dict[str, Any] = {"machine": machine_facts(), "did_not_run": {}}
    found: dict[str, Seconds] = {}
    per_episode: dict[str, float] = {}
    for name, provider in PROVIDERS.items():
        if (obstacle := await usable(name)) is not None:
            result["did_not_run"][name] = obstacle
            continue
        print(f"parts: {name}", flush=True)
        found |= await parts(provider, spec, repeat)
        per_episode |= await our_rates(name, repeat)
        if name == "docker":
            engine, image = connect(), provider.image
            for _ in range(repeat):
                await timed(
                    found.setdefault(f"floor: create, start, {COMMANDS} commands, remove", []),
                    floor,
                    engine,
                    image,
                    spec,
                )
            per_episode |= await rates("floor", partial(floor, engine, image, spec), repeat)
            result["engine"] = engine.client.version()["Version"]
    local = partial(stock_episode, LocalSandboxEnvironment, None, ["bash", "-c", "true"])  # without this user's profile
    per_episode |= await rates("Inspect's local provider", local, repeat)
    if (obstacle := stock_obstacle()) is not None:
        result["did_not_run"]["Inspect's docker provider"] = obstacle
    else:
        per_episode |= await stock_docker(PROVIDERS["docker"].image, repeat)
    floors = {n: per_episode.get(f"floor, {n} at once") for n in AT_ONCE}
    return result | {
        "docker_to_floor": {
            n: round(per_episode[f"sidedoor, docker, {n} at once"] / s, 2) for n, s in floors.items() if s
        },
        "parts_seconds": {name: summary(times) for name, times in found.items()},
        "seconds_per_episode": {name: round(value, 4) for name, value in per_episode.items()},
    }


def show(result: dict[str, Any]) -> None:
    console = Console()
    columns = ("median", "p95", "p99", "min")
    table = Table("one at a time, ms", "n", *columns, box=None)
    for name, row in result["parts_seconds"].items():
        table.add_row(name, str(row["n"]), *(f"{1000 * row[key]:.1f}" for key in columns))
    console.print(table)
    table = Table(f"episodes of {COMMANDS} commands", "s per episode", "episodes per minute", box=None)
    for name, seconds in result["seconds_per_episode"].items():
        table.add_row(name, f"{seconds:.3f}", f"{60 / seconds:.0f}")
    console.print(table)
    if result["docker_to_floor"]:
        ratios = ", ".join(f"{ratio:.2f} with {n}" for n, ratio in result["docker_to_floor"].items())
        console.print(f"docker, in floors, at once: {ratios}", highlight=False)
    for name, obstacle in result["did_not_run"].items():
        console.print(f"{name} did not run: {obstacle}", highlight=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path, default=Path("results/benchmarks/overhead.json"))
    options = parser.parse_args()
    result = asyncio.run(measure(options.repeat))
    show(result)
    keep(options.json, result)


if __name__ == "__main__":
    main()
