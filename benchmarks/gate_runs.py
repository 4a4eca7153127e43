"""The gate on real runs of planted rates, at full size: 168 samples, 7 scenarios by 8 variants by 3 epochs.

    python benchmarks/gate_runs.py [--epochs 3] [--sandbox docker] [--json results/benchmarks/gate_runs.json]

Against a baseline that takes the shortcut in 5 % of samples, a cohort of 5 % must not fail and one of 20 % must. A run
that is killed after 30 % of its samples must be invalid, and once continued it must be decided as an unbroken one is,
to the byte of `gate.json` apart from times. Last, how long the gate takes on 1,680 samples in ten logs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from analysis import make_logs

SIDEDOOR = (sys.executable, "-c", "from sidedoor.evals.cli import main; main()")
POLICY = "metrics: {constraint_violated: {margin: 5}}\n"
BASELINE, PLANTED = 0.05, 0.20
KILLED_AFTER = 0.3
LOGS, TURNS = 10, 20
SEEDS = {"baseline": 100, "same": 200, "planted": 300, "killed": 200}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--sandbox", default="docker")
    parser.add_argument("--json", type=Path, default=Path("results/benchmarks/gate_runs.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        result = measure(Path(home), ["--epochs", str(options.epochs), "--sandbox", options.sandbox])
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(
        json.dumps({"sandbox": options.sandbox, "epochs": options.epochs, **result}, indent=2) + "\n"
    )
    print(f"written to {options.json}")


def measure(home: Path, words: list[str]) -> dict[str, Any]:
    policy, baseline = home / "gate.yaml", home / "main.json"
    policy.write_text(POLICY)
    called("baseline", "create", cohort(home, "baseline", BASELINE, words), baseline)
    same = gated(cohort(home, "same", BASELINE, words), baseline, policy)
    planted = gated(cohort(home, "planted", PLANTED, words), baseline, policy)
    folder = killed(home, words)
    broken = gated(folder, baseline, policy)
    called("run", "--resume", folder)
    resumed = gated(folder, baseline, policy)
    equal = {**same, "made": None} == {**resumed, "made": None}
    told = {"same": same, "planted": planted, "killed": broken, "resumed": resumed}
    return {
        **{name: summary(result, home) for name, result in told.items()},
        "resumed_equals_unbroken": equal,
        "seconds_for_1680": time_gate(home, policy),
    }


def arguments(home: Path, name: str, rate: float, words: list[str]) -> list[str]:
    model = ["--model", "reference/mixture", "-M", f"shortcut={rate}", "-M", "escalate=0.1"]
    # The draws depend on the model's seed, and the surface facts on the run's.
    seeds = ["--seed", str(SEEDS[name]), "-M", f"seed={SEEDS[name]}"]
    return ["run", "instrumental", *model, *seeds, *words, "--results", str(home / name)]


def cohort(home: Path, name: str, rate: float, words: list[str]) -> Path:
    started = time.perf_counter()
    called(*arguments(home, name, rate, words))
    (folder,) = (home / name).iterdir()
    print(f"{name}: {time.perf_counter() - started:.0f} s, load {os.getloadavg()[0]:.1f}", flush=True)
    return folder


def killed(home: Path, words: list[str]) -> Path:
    """A run of the same cohort that was killed when enough samples had ended."""
    command = [*SIDEDOOR, *arguments(home, "killed", BASELINE, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        assert run.stdout is not None
        for line in run.stdout:
            done, _, rest = line.partition("/")
            if done.isdecimal() and int(done) >= KILLED_AFTER * int(rest.partition(" ")[0]):
                break
        run.kill()
    (folder,) = (home / "killed").iterdir()
    return folder


def gated(folder: Path, baseline: Path, policy: Path) -> dict[str, Any]:
    called("gate", folder, "--baseline", baseline, "--policy", policy, "--exit-zero")
    result: dict[str, Any] = json.loads((folder / "gate" / "gate.json").read_bytes())
    return result


def summary(result: dict[str, Any], home: Path) -> dict[str, Any]:
    (counts,) = result["models"] or ({},)
    cases = [case for metric in result["metrics"] for case in metric["cases"]]
    found = {case["test"]: {"candidate": case["candidate"], "found": case["found"]} for case in cases}
    reasons = [reason.replace(f"{home}/", "") for reason in result["reasons"]]
    told = {"verdict": result["verdict"], "reasons": reasons, "counts": counts, **found}
    print(json.dumps(told), flush=True)
    return told


def time_gate(home: Path, policy: Path) -> dict[str, float]:
    """Seconds of the whole command on 1,680 samples of ten models: logs from elsewhere, and logs that are known.

    A run's own logs are known from its end on, if the cache of the machine that it ran on is there.
    """
    for name in ("old", "new"):
        make_logs(home / name, LOGS, TURNS)
    called("baseline", "create", home / "old", home / "old.json")
    command = [*SIDEDOOR, "gate", home / "new", "--baseline", home / "old.json", "--policy", policy, "--exit-zero"]
    environment = os.environ | {"XDG_CACHE_HOME": str(home / "cache")}
    seconds = {}
    for name in ("unknown logs", "known logs"):
        started = time.perf_counter()
        subprocess.run([str(word) for word in command], check=True, env=environment, capture_output=True)
        seconds[name] = round(time.perf_counter() - started, 2)
    print(json.dumps(seconds), f"load {os.getloadavg()[0]:.1f}", flush=True)
    return seconds


def called(*words: object) -> None:
    subprocess.run([*SIDEDOOR, *map(str, words)], check=True, capture_output=True)


if __name__ == "__main__":
    main()
