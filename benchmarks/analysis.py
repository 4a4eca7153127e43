"""What reading and analysing results costs: 1,680 samples from logs, and the tables of a million samples.

Run with `python benchmarks/analysis.py [--logs 10 1680] [--turns 20] [--repeat 5]`. Every figure is of a new process,
from its start to its end, imports included. Wall time depends on what else the machine does; CPU time, of all threads
and child processes, does so less.

Logs are made through Inspect's log API and the frame's cache is put beside them, so that the first reading is a first
one. The million samples (10 models, 50 scenarios, 8 variants, 250 epochs) come from `samples.parquet` as a report
writes it: it holds the frame as it was, typed, so that it can be analysed without a single log. Read are the columns
that tables are made of, and those of few values as categories; Arrow reads them while Python imports modules.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from inspect_ai.log import EvalSample

    from sidedoor.evals.frame.rows import FrameRow

SAMPLES = 1_680
SCENARIOS = 7
VARIANTS = "ABCDEFGH"
MODELS, MANY_SCENARIOS, EPOCHS = 10, 50, 250  # a million samples
RATES = {
    "engaged": 0.95,
    "official_path_attempted": 0.9,
    "official_path_succeeded": 0.8,
    "benchmark_task_completed": 0.7,
    "clean_success": 0.65,
}
OTHER_RATE, INVALID = 0.05, 0.01

MEASURE = """
import json, os, resource
times, who = os.times(), (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
peak = max(resource.getrusage(one).ru_maxrss for one in who) * 1024
print(json.dumps(told | {"cpu_seconds": round(sum(times[:4]), 2), "peak_bytes": peak}))
"""
READ = """
import sys
from pathlib import Path
from sidedoor.evals.frame.read import read_frame
frame = read_frame([Path(sys.argv[1])])
assert not frame.problems, frame.problems
told = {"samples": len(frame.samples)}
"""
ANALYSE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pyarrow.parquet import ParquetFile
few = ["log", "log_sha256", "content_sha256"]
with ThreadPoolExecutor(1) as thread:
    reading = thread.submit(ParquetFile(sys.argv[1], read_dictionary=few).read, sys.argv[2].split(","))
    import pandas as pd
    from sidedoor.evals.frame.problems import MissingSample
    from sidedoor.evals.frame.read import Frame
    from sidedoor.evals.report.findings import analyse
samples = reading.result().to_pandas()
data = analyse(Frame(samples, pd.DataFrame(columns=list(MissingSample.model_fields)), ()))
told = {"samples": data.samples, "rates": len(data.rates), "effects": len(data.effects), "pairs": len(data.pairs)}
"""
PLACE = ("run", "model", "suite", "scenario", "variant", "epoch", "source", "source_kind", "log", "log_sha256")
COURSE = ("status", "failure", "incidents", "first_violation_step", "steps")
SAID = ("judge_study", "judge_status", "judges", "judged_stage", "adjudicated", "adjudicated_by")
CONTENT = ("version", "content_sha256")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--logs", type=int, nargs="*", default=[10, SAMPLES], help="in how many logs 1,680 samples are")
    parser.add_argument("--turns", type=int, default=20, help="turns of each transcript, of 4,000 characters")
    parser.add_argument("--repeat", type=int, default=5, help="how often the million samples are analysed")
    parser.add_argument("--json", type=Path, default=Path("results/benchmarks/analysis.json"))
    options = parser.parse_args()
    result = {
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "analysing": analysing(options.repeat),
        "reading": [reading(logs, options.turns) for logs in options.logs],
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written to {options.json}")


def analysing(repeat: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "samples.parquet"
        # In a process of its own: the peak of a process's memory would count for those that it starts.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            columns = pool.submit(make_many, path).result()
        size = path.stat().st_size
        print(f"tables of {MODELS * MANY_SCENARIOS * len(VARIANTS) * EPOCHS:,} samples in {size / 1e6:.0f} MB")
        runs = [run(ANALYSE, path, ",".join(columns), cache=Path(folder)) for _ in range(repeat)]
    return {"bytes": size, "columns": len(columns), "runs": runs}


def reading(logs: int, turns: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        make_logs(Path(folder) / "logs", logs, turns)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.eval"))
        print(f"reading {SAMPLES:,} samples in {logs:,} logs of {size / 1e6:.0f} MB")
        runs = {name: run(READ, Path(folder) / "logs", cache=Path(folder) / "cache") for name in ("first", "again")}
    return {"logs": logs, "bytes": size, **runs}


def run(program: str, *arguments: object, cache: Path) -> dict[str, Any]:
    command = [sys.executable, "-c", program + MEASURE, *map(str, arguments)]
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    load, started = os.getloadavg()[0], time.perf_counter()
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found = {"wall_seconds": round(time.perf_counter() - started, 2), **json.loads(done.stdout), "load": round(load, 1)}
    print(", ".join(f"{name} {value}" for name, value in found.items()))
    return found


def make_many(path: Path) -> list[str]:
    """Write a million samples; gives the columns that tables are made of."""
    import numpy as np
    import pandas as pd

    from sidedoor.evals.frame.rows import ADJUDICATED, FACTOR, LABELS
    from sidedoor.evals.frame.table import to_frame
    from sidedoor.scorers.labels import BINARY_LABELS

    random = np.random.default_rng(1)
    cells = to_frame(make_cells())
    samples = cells.loc[cells.index.repeat(EPOCHS)].reset_index(drop=True)
    size = len(samples)
    samples["epoch"] = pd.array(np.tile(np.arange(1, EPOCHS + 1), len(cells)), dtype="Int64")
    for name in ("sample_id", "sample_uuid", "evidence_sha256"):
        samples[name] = pd.array([random.bytes(32).hex() for _ in range(size)], dtype="string")
    invalid = random.random(size) < INVALID
    samples["status"] = pd.Categorical.from_codes(invalid.astype(int), ["ok", "invalid"])
    samples["invalid_reason"] = pd.Categorical.from_codes(np.where(invalid, 0, -1), ["infra"])
    samples["failure"] = pd.Categorical.from_codes(np.where(invalid, 0, -1), ["machine_died"])
    blocked = np.where(samples["variant"] == "H", 0.1, 0.0)
    for label in BINARY_LABELS:
        happened = random.random(size) < RATES.get(label, OTHER_RATE) + blocked * (label == "ic_behavior_detected")
        samples[label] = samples[f"{ADJUDICATED}{label}"] = pd.arrays.BooleanArray(happened, invalid.copy())
    broken = samples["constraint_violated"].to_numpy(dtype=bool, na_value=False)
    stage = pd.Categorical.from_codes(np.where(invalid, -1, broken), ["none", "achieved"])
    samples["stage"] = samples[f"{ADJUDICATED}stage"] = stage
    steps = random.integers(5, 65, size)
    samples["steps"] = pd.arrays.IntegerArray(steps, invalid.copy())
    samples["first_violation_step"] = pd.arrays.IntegerArray(1 + random.integers(0, 1 << 30, size) % steps, ~broken)
    samples.to_parquet(path, engine="pyarrow", index=False)
    factors = [column for column in samples if column.startswith(FACTOR)]
    labels = [f"{prefix}{label}" for label in LABELS for prefix in ("", ADJUDICATED)]
    return [*PLACE, *COURSE, *SAID, *CONTENT, *labels, *factors]


def make_cells() -> list["FrameRow"]:
    """One sample of each cell, to take everything from that samples of a cell share."""
    from sidedoor.evals.frame.rows import FrameRow
    from sidedoor.tasks.catalogue import load_suite
    from sidedoor.tasks.schema import check_factors

    required = dict.fromkeys(name for name, field in FrameRow.model_fields.items() if field.is_required())
    text = dict.fromkeys(("sample_id", "behaviours", "shortcuts"), "")
    place = {"run": "run-1", "suite": "instrumental", "source": "runs/run-1", "source_kind": "run", "version": "1-A"}
    variants = load_suite("instrumental").variants
    return [
        FrameRow.model_validate(
            {
                **required,
                **text,
                **place,
                "model": f"provider/model-{model}",
                "scenario": f"scenario_{scenario:02d}",
                "variant": variant,
                "epoch": 1,
                "status": "ok",
                "log": f"logs/{model}.eval",
                "log_sha256": f"{model:064x}",
                "content_sha256": f"{scenario:064x}",
                "factors": dict(check_factors(variants[variant].factors)),
            }
        )
        for model, scenario, variant in product(range(MODELS), range(MANY_SCENARIOS), VARIANTS)
    ]


def make_logs(folder: Path, logs: int, turns: int) -> None:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSpec, EvalStats, write_eval_log

    folder.mkdir(parents=True)
    per_log = SAMPLES // logs
    for number in range(logs):
        numbers = range(number * per_log, (number + 1) * per_log)
        samples = [make_sample(one, turns, uuid=f"{folder.name}-{one}") for one in numbers]
        spec = EvalSpec(
            created="2026-01-01T00:00:00+00:00",
            task="instrumental",
            task_id=f"task{number}",
            run_id="benchmark",
            eval_id=f"eval{number}",
            dataset=EvalDataset(samples=per_log, sample_ids=[one.id for one in samples], shuffled=False),
            model=f"mockllm/model{number * 10 // logs}",
            config=EvalConfig(),
        )
        log = EvalLog(status="success", eval=spec, stats=EvalStats(), samples=samples)
        write_eval_log(log, str(folder / f"{number}.eval"), format="eval")


def make_sample(number: int, turns: int, uuid: str) -> "EvalSample":
    from inspect_ai.log import EvalSample
    from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, ModelOutput, ModelUsage
    from inspect_ai.scorer import Score

    from sidedoor.scorers.labels import BINARY_LABELS

    random = Random(number)  # noqa: S311 - no secret
    scenario, variant = f"scenario_{number % SCENARIOS}", VARIANTS[number // SCENARIOS % len(VARIANTS)]
    epoch = number // (SCENARIOS * len(VARIANTS)) + 1
    labels = {name: random.random() < 0.05 for name in BINARY_LABELS}
    rest = {"deterministic_label_status": "ok", "invalid_reason": None, "stage": "none", "steps": 9, "sim_hours": 1.5}
    findings = [{"kind": "official", "id": f"step-{index}", "level": "achieved", "step": index} for index in range(8)]
    texts = [random.randbytes(2_000).hex() for _ in range(turns)]
    return EvalSample(
        id=f"{scenario}-{variant}-{epoch}",
        epoch=1,
        input="Please raise the quota. " * 40,
        target="",
        messages=[ChatMessageUser(content="go"), *(ChatMessageAssistant(content=text) for text in texts)],
        output=ModelOutput.from_content("model", "done"),
        scores={"state": Score(value=labels | rest, explanation=json.dumps(findings), metadata={"findings": findings})},
        metadata={
            "suite": "instrumental",
            "scenario": scenario,
            "version": "1-A",
            "content_sha256": "c" * 64,
            "variant": variant,
            "factors": {"stance": "forbidden", "honest_path": "open"},
            "epoch": epoch,
            "seed": epoch,
        },
        model_usage={"model": ModelUsage(input_tokens=10, output_tokens=2, total_tokens=12)},
        uuid=uuid,
    )


if __name__ == "__main__":
    main()
