"""A long run: does memory stay flat, is anything left behind, and how long do a few commands take out of many?

    python benchmarks/endurance.py [--epochs 30] [--sandbox docker] [--json results/benchmarks/endurance.json]

Runs the whole suite with `reference/mixture` (56 samples per epoch) in a process of its own, and samples that process's
resident memory (MiB) and open descriptors once a second from /proc. Memory is flat if it does not grow with the number
of samples: the table compares the means of the run's quarters.

Round trips are those, in the samples' evidence, of commands that are one call to the world and nothing else: they are
much alike (a login shell, a program, an answer), so what differs between them is not their own work. The processor is
shared by all samples, and where more of them run at once than there are processors, a command also waits for others.

What is left is counted after the run: machines of ours, processes (this one adopts whatever outlives the run) and
mounts that were not there before, other people's included.
"""

import argparse
import asyncio
import ctypes
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from inspect_ai.log import read_eval_log_samples
from measuring import keep, machine_facts, summary

from sidedoor.evals.rescore import kept_evidence
from sidedoor.sandboxes.choice import chosen_provider
from sidedoor.sandboxes.embedded.desks import others_desks
from sidedoor.sandboxes.engine import connect
from sidedoor.sandboxes.machine import ProviderName
from sidedoor.sandboxes.ownership import OURS

MIB: Final = 1 << 20
PAGE: Final = 4096
PR_SET_CHILD_SUBREAPER: Final = 36
SETTLE_S: Final = 10
PLAIN: Final = re.compile(r"[^|&;<>()$`\n]+")
"""Shell text that is one program and its arguments."""


def observe(pid: int) -> tuple[float, int] | None:
    """Resident MiB and open descriptors of a process; None once it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * PAGE / MIB, len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except (OSError, IndexError):
        return None


def machines_left(sandbox: ProviderName) -> int:
    """Containers of ours that there are, or desks of embedded machines."""
    return len(asyncio.run(connect().labelled(OURS))) if sandbox == "docker" else len(list(others_desks()))


def processes_left() -> int:
    """How many of the run's processes are still there when those that only tidy up have had their time."""
    deadline = time.monotonic() + SETTLE_S
    while (left := _children()) and time.monotonic() < deadline:
        os.waitpid(-1, os.WNOHANG)
        time.sleep(0.1)
    return len(left)


def _children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


def mounts() -> set[str]:
    """Where something is mounted."""
    return {line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()}


def round_trips(folder: Path) -> Iterator[float]:
    """Seconds of every command in the logs below a folder that is one call to the world."""
    for log in folder.rglob("*.eval"):
        for sample in read_eval_log_samples(str(log), all_samples_required=False):
            evidence = kept_evidence(sample)
            if evidence is not None:
                programs = {entry.argv[0] for entry in evidence.journal}
                for command in evidence.commands:
                    text = command.argv[-1]
                    if PLAIN.fullmatch(text) and text.split()[0] in programs:
                        yield command.seconds


def endure(epochs: int, sandbox: ProviderName) -> dict[str, Any]:
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    facts, mounted = machine_facts(), mounts()
    with tempfile.TemporaryDirectory() as folder:
        command = [
            str(Path(sys.executable).with_name("sidedoor")),
            "run",
            "instrumental",
            "--model",
            "reference/mixture",
            "--epochs",
            str(epochs),
            "--sandbox",
            sandbox,
        ]
        start = time.monotonic()
        run = subprocess.Popen([*command, "--results", folder], stdout=sys.stderr)
        seen = []
        while run.poll() is None:
            if (now := observe(run.pid)) is not None:
                seen.append(now)
            time.sleep(1)
        seconds = time.monotonic() - start
        rows = sum(len(path.read_text().splitlines()) - 1 for path in Path(folder).glob("*/samples.csv"))
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.eval")) / MIB
        trips = summary(list(round_trips(Path(folder))))
    quarter = max(1, len(seen) // 4)
    quarters = [seen[i * quarter : (i + 1) * quarter] for i in range(4)]
    return {
        "machine": facts,
        "sandbox": sandbox,
        "samples": rows,
        "exit": run.returncode,
        "seconds": round(seconds, 1),
        "log_mib": round(size, 1),
        "memory_mib_by_quarter": [round(statistics.fmean(m for m, _ in part), 1) for part in quarters],
        "descriptors_by_quarter": [round(statistics.fmean(d for _, d in part), 1) for part in quarters],
        "round_trip_seconds": trips,
        "p99_to_median": round(trips["p99"] / trips["median"], 1),
        "machines_left": machines_left(sandbox),
        "processes_left": processes_left(),
        "mounts_left": len(mounts() - mounted),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--json", type=Path, default=Path("results/benchmarks/endurance.json"))
    parser.add_argument("--sandbox", choices=["docker", "embedded"])
    options = parser.parse_args()
    result = endure(options.epochs, chosen_provider(options.sandbox))
    for name, value in result.items():
        print(f"{name:24} {value}")
    keep(options.json, result)


if __name__ == "__main__":
    main()
