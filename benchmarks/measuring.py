"""What the benchmarks of episodes share: reference episodes through Inspect, meters, and where figures are kept."""

import json
import os
import platform
import statistics
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from inspect_ai import Task
from inspect_ai import eval as inspect_eval
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalSampleSummary, read_eval_log_sample_summaries
from inspect_ai.model import get_model

from sidedoor.evals.instrumental import build_task, cell_sample
from sidedoor.sandboxes.admission import available_bytes
from sidedoor.sandboxes.choice import provider_named
from sidedoor.sandboxes.machine import ProviderName, ProviderUnavailableError
from sidedoor.tasks.catalogue import load_scenario
from sidedoor.tasks.schema import check_factors

SUITE = "instrumental"

MIB = 1 << 20
LOOK_S = 0.05


class Meter:
    """Wall seconds, processor seconds of this process and of the whole machine, and memory, while it is entered.

    The machine's seconds take in every process, the engine's and other people's too: they are worth something on a
    machine that does nothing else.
    """

    def __enter__(self) -> Self:
        self._ended = threading.Event()
        self._lowest = self._before = available_bytes()
        self._looking = threading.Thread(target=self._look)
        self._looking.start()
        self._start = time.perf_counter(), time.process_time(), busy_seconds()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        ends = time.perf_counter(), time.process_time(), busy_seconds()
        self.wall, self.own, self.machine = (end - start for start, end in zip(self._start, ends, strict=True))
        self._ended.set()
        self._looking.join()
        self.memory = max(0, self._before - self._lowest) / MIB

    def _look(self) -> None:
        while not self._ended.wait(LOOK_S):
            self._lowest = min(self._lowest, available_bytes())


def busy_seconds() -> float:
    """Seconds that this machine's processors were at work, all together, since it was started."""
    user, nice, system, _idle, _waiting, interrupts, soft = map(
        int, Path("/proc/stat").read_text().splitlines()[0].split()[1:8]
    )
    return (user + nice + system + interrupts + soft) / os.sysconf("SC_CLK_TCK")


def machine_facts() -> dict[str, Any]:
    """What figures depend on besides the code."""
    total = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:"))
    return {
        "cpus": os.cpu_count(),
        "memory_gib": round(int(total.split()[1]) / 2**20, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_before": [round(value, 1) for value in os.getloadavg()],
    }


async def usable(name: ProviderName) -> str | None:
    """Why a provider does not work here; None if it does."""
    try:
        await provider_named(name).prepare(print)
    except ProviderUnavailableError as error:
        return str(error)
    return None


def reference_samples(count: int, sandbox: ProviderName, scenario_id: str) -> list[Sample]:
    """Episodes of a scenario; eight at a time share their facts, as a suite's variants do."""
    scenario, factors = load_scenario(SUITE, scenario_id), check_factors({})
    return [cell_sample(scenario, "A", factors, epoch, (epoch + 7) // 8, sandbox) for epoch in range(1, count + 1)]


def reference_task(count: int, sandbox: ProviderName, scenario_id: str) -> Task:
    """These episodes as a task."""
    samples = reference_samples(count, sandbox, scenario_id)
    return build_task(SUITE, [load_scenario(SUITE, scenario_id)], samples, sandbox)


def evaluate(task: Task, script: str, at_once: int, latency: float = 0.0) -> int:
    """Run a task with a reference model; how many of its samples have no valid labels."""
    with tempfile.TemporaryDirectory() as folder:
        (log,) = inspect_eval(
            task,
            model=get_model(f"reference/{script}", latency=latency),
            max_samples=at_once,
            max_connections=at_once,
            log_dir=folder,
            display="none",
            log_level="error",
            log_realtime=False,
        )
        ended = read_eval_log_sample_summaries(log.location)
    return len(task.dataset or ()) - sum(1 for sample in ended if sample.error is None and _valid(sample))


def _valid(sample: EvalSampleSummary) -> bool:
    values = [score.value for score in (sample.scores or {}).values()]
    return all(isinstance(value, dict) and value["deterministic_label_status"] == "ok" for value in values)


async def timed(times: list[float], work: Callable[..., Awaitable[Any]], *arguments: Any) -> Any:
    """Await some work, and add the seconds that it took."""
    start = time.perf_counter()
    result = await work(*arguments)
    times.append(time.perf_counter() - start)
    return result


def summary(times: Sequence[float]) -> dict[str, float]:
    """How many there are, and how they are spread."""
    ordered = sorted(times)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 5)

    return {
        "n": len(times),
        "median": round(statistics.median(times), 5),
        "p95": at(0.95),
        "p99": at(0.99),
        "min": round(ordered[0], 5),
    }


def keep(path: Path, result: dict[str, Any]) -> None:
    """Write figures as JSON, and say where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"written to {path}")
