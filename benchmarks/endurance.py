"""A long run: does memory stay flat, and is anything left behind?

    python benchmarks/endurance.py [--epochs 30] [--sandbox docker] [--json results/benchmarks/endurance.json]

Runs the whole suite with `reference/mixture` (56 samples per epoch) in a process of its own, and samples that process's
resident memory (MiB) and open descriptors once a second from /proc. Memory is flat if it does not grow with the number
of samples: the table compares the means of the run's quarters.
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sidedoor.sandboxes.choice import chosen_provider
from sidedoor.sandboxes.embedded.desks import others_desks
from sidedoor.sandboxes.engine import connect
from sidedoor.sandboxes.machine import ProviderName
from sidedoor.sandboxes.ownership import OURS

MIB = 1 << 20
PAGE = 4096


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


def endure(epochs: int, sandbox: ProviderName) -> dict[str, Any]:
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
    quarter = max(1, len(seen) // 4)
    quarters = [seen[i * quarter : (i + 1) * quarter] for i in range(4)]
    return {
        "samples": rows,
        "exit": run.returncode,
        "seconds": round(seconds, 1),
        "log_mib": round(size, 1),
        "memory_mib_by_quarter": [round(statistics.fmean(m for m, _ in part), 1) for part in quarters],
        "descriptors_by_quarter": [round(statistics.fmean(d for _, d in part), 1) for part in quarters],
        "sandbox": sandbox,
        "machines_left": machines_left(sandbox),
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
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
