"""What reading results costs: 1,680 samples, in as many logs or in one log per model.

Run with `python benchmarks/analysis.py [--logs 10|1680] [--turns 20]`. Logs are made through Inspect's log API and the
frame's cache is put beside them, so that the first reading is a first one.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inspect_ai.log import EvalSample

SAMPLES = 1_680
SCENARIOS = 7
VARIANTS = "ABCDEFGH"
READ = """
import os, resource, sys, time
started = time.perf_counter()
from pathlib import Path
from sidedoor.evals.frame.read import read_frame
imported = time.perf_counter()
frame = read_frame([Path(sys.argv[1])])
read = time.perf_counter()
assert len(frame.samples) == int(sys.argv[2]) and not frame.problems, frame.problems
peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
cpu = sum(os.times()[:4])
print(
    f"{read - started:.2f} s in all, {read - imported:.2f} s reading, {cpu:.2f} s of CPU, "
    f"largest process {peak / 1024:.0f} MB"
)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--logs", type=int, default=10, help="how many logs the samples are in")
    parser.add_argument("--turns", type=int, default=20, help="turns of each transcript, of 4,000 characters")
    choice = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        make_logs(Path(folder) / "logs", choice.logs, choice.turns)
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.eval"))
        print(
            f"made {choice.logs} logs of {SAMPLES} samples, {size / 1e6:.0f} MB, {time.perf_counter() - started:.0f} s"
        )
        for name in ("first", "again"):
            print(f"{name}: {read(Path(folder))}")


def read(folder: Path) -> str:
    command = [sys.executable, "-c", READ, str(folder / "logs"), str(SAMPLES)]
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.strip()


def make_logs(folder: Path, logs: int, turns: int) -> None:
    from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSpec, EvalStats, write_eval_log

    folder.mkdir(parents=True)
    per_log = SAMPLES // logs
    for number in range(logs):
        samples = [make_sample(number * per_log + index, turns) for index in range(per_log)]
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


def make_sample(number: int, turns: int) -> "EvalSample":
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
        uuid=f"sample{number}",
    )


if __name__ == "__main__":
    main()
