"""How long until something happens: the command line, imports, the image, and the first result in a fresh checkout.

    python benchmarks/startup.py [--image] [--fresh] [--json results/benchmarks/startup.json]

Without options: the command line and imports (wall seconds, best of some), and the first result of `sidedoor run` with
each sandbox that works here. `--image` builds the image anew (about a minute without a registry, and the engine's own
cache counts); `--fresh` clones this checkout and times `make` to its environment, and from there to the first result.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from measuring import keep, machine_facts, usable
from rich.console import Console
from rich.table import Table

from sidedoor.sandboxes.choice import PROVIDERS
from sidedoor.sandboxes.engine import EngineUnavailableError, connect
from sidedoor.sandboxes.image import ensure_image, image_tag

REPEAT = 5
CHECKOUT = Path(__file__).parent.parent
SIDEDOOR = Path(sys.executable).with_name("sidedoor")
ONE_SAMPLE = ("run", "instrumental", "--model", "reference/official", "--scenario", "quota_boost", "--variant", "A")


def seconds(argv: Sequence[str | Path], **options: Any) -> float:
    """How long a command takes.

    Raises:
        CalledProcessError: it failed.
    """
    start = time.perf_counter()
    subprocess.run(list(map(str, argv)), check=True, capture_output=True, **options)
    return time.perf_counter() - start


def best(argv: Sequence[str | Path]) -> float:
    return round(min(seconds(argv) for _ in range(REPEAT)), 3)


def first_result(sidedoor: Path, sandbox: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        return round(seconds([sidedoor, *ONE_SAMPLE, "--sandbox", sandbox, "--results", folder]), 2)


def image_build() -> float | str:
    """Seconds to build the image whose tag is removed first, or why it cannot be."""
    try:
        engine = connect()
    except EngineUnavailableError as error:
        return str(error)
    ensure_image(engine, print)
    engine.client.remove_image(image_tag(), force=True)
    start = time.perf_counter()
    ensure_image(engine, print)
    return round(time.perf_counter() - start, 2)


def fresh_checkout(sandbox: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", CHECKOUT, clone], check=True)
        environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
        made = seconds(
            ["make", "-C", clone, ".venv/.installed", f"PYTHON={sys.base_prefix}/bin/python3"], env=environment
        )
        return {"environment": round(made, 1), "first result": first_result(clone / ".venv/bin/sidedoor", sandbox)}


def measure(image: bool, fresh: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"sidedoor --help": best([SIDEDOOR, "--help"]), "sidedoor list": best([SIDEDOOR, "list"])}
    for module in ("inspect_ai", "sidedoor.evals.cli", "sidedoor.evals.instrumental"):
        found[f"import {module}"] = best([sys.executable, "-c", f"import {module}"])
    works = [name for name in PROVIDERS if asyncio.run(usable(name)) is None]
    for name in works:
        print(f"first result, {name}", flush=True)
        found[f"first result, {name}"] = first_result(SIDEDOOR, name)
    if image:
        found["image build"] = image_build()
    if fresh and works:
        print("fresh checkout", flush=True)
        found |= {f"fresh checkout: {name}": value for name, value in fresh_checkout(works[0]).items()}
    return {"machine": machine_facts(), "seconds": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--image", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--json", type=Path, default=Path("results/benchmarks/startup.json"))
    options = parser.parse_args()
    result = measure(options.image, options.fresh)
    table = Table("", "s", box=None)
    for name, value in result["seconds"].items():
        table.add_row(name, str(value))
    Console().print(table)
    keep(options.json, result)


if __name__ == "__main__":
    main()
