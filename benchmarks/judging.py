"""What judging costs of our own time: 1,680 recorded transcripts before a local judge, 32 at once.

Run with `python benchmarks/judging.py [--samples 1680] [--at-once 32] [--judge anthropic/local]`. The judge is the test
suite's model server in a process of its own; it answers at once, so that what is left is ours: reading the samples,
making cases and prompts, Inspect, the provider's SDK, checking the verdict, and writing it down with fsync. CPU time
is that of this process alone. Wall time holds the judge's as well, which has the same machine; on a busy one it says
little.

The logs hold transcripts of reference scripts, rehearsed and made different by a line, with the journal and with the
events that a run leaves.
"""

import argparse
import io
import itertools
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

from inspect_ai.event import ModelEvent
from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSample, EvalSpec, EvalStats, write_eval_log
from inspect_ai.model import ChatMessage, ChatMessageAssistant, GenerateConfig, ModelOutput
from rich.console import Console

from sidedoor.evals.judging.episodes import transcript
from sidedoor.evals.judging.run import judge_run
from sidedoor.evals.judging.study import Study, StudyFolder
from sidedoor.evals.rehearsal import rehearse
from sidedoor.scorers.judge.case import EVIDENCE
from sidedoor.scorers.judge.judgement import Judging
from sidedoor.scorers.judge.panel import Panel
from sidedoor.scorers.judge.rubric import load_rubric
from sidedoor.tasks.catalogue import load_scenario, parse_variant, scenario_ids

ROOT = Path(__file__).parent.parent
SUITE = "instrumental"
SCRIPTS = ("official", "escalate", "near_miss")
LOGS = 10
READING = ("cat docs/*", "cat notes/*", "ls -R", "cat configs/* 2>/dev/null", "head -c 6000 data/*")
THOUGHT = "There is a task and a way to do it; I read what there is, and then go step by step. " * 20
TARGET_MS = 50
SERVER = """
import sys
from tests.judge.judges import constant_no
from tests.protocols.server import ModelServer
with ModelServer("local") as server:
    service = server.serve(constant_no())
    print(server.root, flush=True)
    sys.stdin.readline()
    print(sum(1 for one in service.answers if one.conversation.tools), flush=True)
    sys.stdin.read()
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--samples", type=int, default=1680)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--judge", default="anthropic/local")
    parser.add_argument("--json", type=Path, default=Path("results/benchmarks/judging.json"))
    options = parser.parse_args()
    result = {
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        **measure(options.samples, options.at_once, options.judge),
    }
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(result, indent=2) + "\n")
    print(f"written to {options.json}")


def measure(samples: int, at_once: int, judge: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, local_judge() as server:
        run = Path(folder)
        size, characters = make_logs(run / "logs", samples)
        print(f"{samples} transcripts of {characters:,.0f} characters on average, {size / 1e6:.0f} MB of logs")
        load = os.getloadavg()[0]
        cpu, wall = time.process_time(), time.perf_counter()
        done = judge_run(run, "panel", study(judge), at_once, Console(file=io.StringIO()))
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        again = time.process_time()
        kept = judge_run(run, "panel", study(judge), at_once, Console(file=io.StringIO())).kept
        again = time.process_time() - again
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write("\n")
        server.stdin.flush()
        answered = int(server.stdout.readline())
        assert (done.made, done.undecided, kept, answered) == (samples, {}, samples, samples), (done, kept, answered)
        assert len(StudyFolder(run, "panel").judged()) == samples
    found = {
        "judge": judge,
        "samples": samples,
        "at_once": at_once,
        "mean_transcript_characters": round(characters),
        "log_bytes": size,
        "cpu_ms_each": round(1000 * cpu / samples, 1),
        "wall_ms_each": round(1000 * wall / samples, 1),
        "cpu_ms_each_when_all_is_judged": round(1000 * again / samples, 1),
        "target_ms": TARGET_MS,
        "load": round(load, 1),
    }
    print(", ".join(f"{name} {value}" for name, value in found.items()))
    return found


@contextmanager
def local_judge() -> Iterator[subprocess.Popen[str]]:
    """The judge, found through the environment; it tells how often it answered when it gets a line."""
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        root = server.stdout.readline().strip()
        os.environ |= {
            "OPENAI_BASE_URL": f"{root}/v1",
            "OPENAI_API_KEY": "local",
            "ANTHROPIC_BASE_URL": root,
            "ANTHROPIC_API_KEY": "local",
            "NO_PROXY": "127.0.0.1",
        }
        try:
            yield server
        finally:
            server.communicate()


def study(judge: str) -> Study:
    words = load_rubric()
    panel = Panel(judges=(judge,), exclude_self=False)
    return Study(panel=panel, judging=Judging(), rubric=words.id, rubric_sha256=words.digest)


def make_logs(folder: Path, samples: int) -> tuple[int, float]:
    """Write the logs.

    Returns:
        Their size in bytes, and the mean characters of a transcript.
    """
    folder.mkdir()
    made = list(itertools.islice(make_samples(), samples))
    per_log = -(-samples // LOGS)
    for number in range(LOGS):
        spec = EvalSpec(
            created="2026-01-01T00:00:00+00:00",
            task=SUITE,
            task_id=f"task{number}",
            run_id=f"run{number}",
            eval_id=f"eval{number}",
            model=f"provider/model-{number}",
            dataset=EvalDataset(),
            config=EvalConfig(),
        )
        part = made[number * per_log : (number + 1) * per_log]
        log = EvalLog(status="success", eval=spec, samples=part, stats=EvalStats())
        write_eval_log(log, str(folder / f"2026-01-01T00-00-0{number}-00-00_{SUITE}_task{number}.eval"))
    size = sum(path.stat().st_size for path in folder.iterdir())
    return size, mean(sum(len(message.text) for message in one.messages) for one in made)


def make_samples() -> Iterator[EvalSample]:
    """Samples without end: each script of each scenario in turn, a line different every time."""
    episodes = [episode(scenario, script) for scenario in scenario_ids(SUITE) for script in SCRIPTS]
    for number, (metadata, evidence, messages) in enumerate(itertools.cycle(episodes), 1):
        noted = messages[-1].model_copy(update={"content": f"{messages[-1].text} Reference {number}."})
        told = [*messages[:-1], noted]
        yield EvalSample(
            id=number,
            epoch=1,
            uuid=f"uuid-{number}",
            input=messages[1].text,
            target="",
            messages=told,
            metadata=metadata,
            store={EVIDENCE: evidence},
            events=list(model_events(told)),
        )


def episode(scenario_id: str, name: str) -> tuple[dict[str, Any], dict[str, Any], list[ChatMessage]]:
    """Metadata, evidence and transcript of a reference script."""
    scenario = load_scenario(SUITE, scenario_id)
    factors = parse_variant(SUITE, "A")[1]
    script = scenario.script(name, factors, 1)
    script = replace(script, steps=(*READING, *script.steps))
    rehearsal = rehearse(scenario, factors, 1, script)
    metadata = {
        "suite": SUITE,
        "scenario": scenario.id,
        "content_sha256": scenario.digest,
        "variant": "A",
        "factors": factors,
        "epoch": 1,
        "seed": 1,
    }
    messages = transcript(scenario.render(factors, 1).prompt, script, rehearsal, THOUGHT)
    return metadata, rehearsal.evidence.model_dump(mode="json"), messages


def model_events(messages: Sequence[ChatMessage]) -> Iterator[ModelEvent]:
    for at, message in enumerate(messages):
        if isinstance(message, ChatMessageAssistant):
            yield ModelEvent(
                model="provider/model",
                input=list(messages[:at]),
                tools=[],
                tool_choice="auto",
                config=GenerateConfig(),
                output=ModelOutput.from_message(message),
            )


if __name__ == "__main__":
    main()
