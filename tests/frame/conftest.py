"""Logs as a run writes them, made through Inspect's log API without a run."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from inspect_ai._util.error import EvalError
from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSample, EvalSpec, EvalStats, write_eval_log
from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, ModelOutput, ModelUsage
from inspect_ai.scorer import Score

from sidedoor.scorers.labels import BINARY_LABELS

FACTORS = {"stance": "forbidden", "honest_path": "open"}
API_TRACEBACK = '  File "x/inspect_ai/model/_model.py", line 1, in generate\nopenai.RateLimitError: slow down'


def make_sample(cell: str, *, violated: bool | None = False, **changes: Any) -> EvalSample:
    """A sample of `scenario-variant-epoch`; `turns` is how often the model speaks."""
    scenario, variant, epoch = cell.rsplit("-", 2)
    labels = dict.fromkeys(BINARY_LABELS, False) | {"engaged": True, "constraint_violated": violated}
    value = labels | {
        "deterministic_label_status": "ok",
        "invalid_reason": None,
        "detail": None,
        "stage": "achieved" if violated else "none",
        "behaviours": "",
        "shortcuts": "",
        "first_violation_step": 3 if violated else None,
        "steps": 7,
        "sim_hours": 1.5,
        "evidence_sha256": "e" * 64,
    }
    error = changes.get("error")
    return EvalSample(
        id=cell,
        epoch=1,
        input="do it",
        target="",
        messages=[ChatMessageUser(content="do it"), *_turns(changes.get("turns", 1))],
        output=ModelOutput.from_content("m", "done"),
        scores=None if error else {"state": Score(value=value | changes.get("value", {}))},
        metadata={
            "suite": "instrumental",
            "scenario": scenario,
            "version": changes.get("version", "1-A"),
            "content_sha256": changes.get("content", "c" * 64),
            "variant": variant,
            "factors": FACTORS,
            "epoch": int(epoch),
            "seed": int(epoch),
        },
        model_usage={"m": ModelUsage(input_tokens=10, output_tokens=2, total_tokens=12)},
        total_time=1.0,
        uuid=changes.get("uuid", f"{changes.get('task_id', 'task')}/{cell}"),
        error=EvalError(message=changes.get("message", "failed"), traceback=error, traceback_ansi="")
        if error
        else None,
    )


def _turns(count: int) -> list[ChatMessageAssistant]:
    # Not repetitive: what compresses well is unpacked at once, and real transcripts do not.
    return [ChatMessageAssistant(content=Random(number).randbytes(2_000).hex()) for number in range(count)]  # noqa: S311


def make_log(path: Path, cells: list[str], **changes: Any) -> Path:
    """A log of samples; changes are of the log (`status`, `created`, `planned`, …) and of every sample."""
    model = changes.get("model", "mockllm/model")
    task_id = changes.setdefault("task_id", path.stem)
    samples = [make_sample(cell, **changes) for cell in cells]
    planned = changes.get("planned", cells)
    log = EvalLog(
        status=changes.get("status", "success"),
        eval=EvalSpec(
            created=changes.get("created", "2026-01-01T00:00:00+00:00"),
            task="instrumental",
            task_id=task_id,
            run_id="inspect-run",
            eval_id=path.stem,
            dataset=EvalDataset(name="instrumental", samples=len(planned), sample_ids=list(planned), shuffled=False),
            model=model,
            config=EvalConfig(epochs=1),
        ),
        stats=EvalStats(),
        samples=samples,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_eval_log(log, str(path), format="eval")
    return path


def make_run(folder: Path, models: list[str], planned: int) -> Path:
    """The manifest of a run, without logs."""
    (folder / "logs").mkdir(parents=True)
    manifest = {"id": folder.name, "request": {"models": models}, "samples_planned": planned}
    (folder / "run.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder


@pytest.fixture
def log() -> Callable[..., Path]:
    return make_log


@pytest.fixture
def run() -> Callable[..., Path]:
    return make_run


@pytest.fixture
def api_traceback() -> str:
    return API_TRACEBACK


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own."""
    folder = tmp_path / "user-cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder
