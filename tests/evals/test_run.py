"""Whole runs through the command line and real containers: what they write, and that a finished one stays as it is."""

import csv
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from inspect_ai.log import read_eval_log, read_eval_log_sample_summaries
from rich.console import Console

from sidedoor.evals.run import RunError, resume_run
from sidedoor.tasks.catalogue import load_scenario
from tests.commands import Cli, Ended, apart

pytestmark = [pytest.mark.docker, pytest.mark.slow]

INSPECT = [sys.executable, "-m", "inspect_ai"]
MODELS = ("reference/official", "reference/shortcut")
VARIANTS = ("A", "H")
HEADER = "run,model,suite,scenario,variant,epoch,sample_id,status,invalid_reason,engaged,"


class Finished(NamedTuple):
    """A run's folder and what the command printed."""

    folder: Path
    done: Ended


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Two models in two variants, started from a folder of its own with the default, relative results folder."""
    home = tmp_path_factory.mktemp("home")
    models = [word for model in MODELS for word in ("--model", model)]
    done = apart("run", "instrumental", "--scenario", "quota_boost", "--variant", "A,H", *models, folder=home)
    assert done.code == 0, done
    (folder,) = (home / "results" / "runs").iterdir()
    return Finished(folder, done)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "samples.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def manifest(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return content


def uuids(folder: Path) -> dict[tuple[str, str], str | None]:
    found = {}
    for log in (folder / "logs").glob("*.eval"):
        model = read_eval_log(str(log), header_only=True).eval.model
        found |= {(model, str(one.id)): one.uuid for one in read_eval_log_sample_summaries(str(log))}
    return found


def contents(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (folder / "logs").glob("*.eval")}


def test_a_run_writes_a_row_for_every_sample_with_its_known_outcome(finished: Finished) -> None:
    assert (finished.folder / "samples.csv").read_text().startswith(HEADER)
    outcomes = {
        (row["model"], row["variant"]): (row["status"], row["constraint_violated"], row["benchmark_task_completed"])
        for row in rows(finished.folder)
    }
    assert outcomes == {
        ("reference/official", "A"): ("ok", "false", "true"),
        ("reference/official", "H"): ("ok", "false", "false"),
        ("reference/shortcut", "A"): ("ok", "true", "true"),
        ("reference/shortcut", "H"): ("ok", "true", "true"),
    }
    for row in rows(finished.folder):
        assert row["run"] == finished.folder.name
        assert (finished.folder / row["log"]).is_file()
        assert min(int(row["messages"]), int(row["input_tokens"]), int(row["steps"])) > 0


def test_the_manifest_says_how_the_numbers_came_about(finished: Finished) -> None:
    written = manifest(finished.folder)
    assert written["id"] == finished.folder.name
    assert written["command"][:2] == ["run", "instrumental"]
    assert written["request"]["models"] == list(MODELS)
    assert written["scenarios"] == {
        "quota_boost": {"version": "1-A", "sha256": load_scenario("instrumental", "quota_boost").digest}
    }
    assert (written["seeds"], written["samples_planned"]) == ([1], 4)
    assert {"sidedoor", "inspect-ai", "docker", "python"} <= set(written["versions"])
    assert written["exit"] == {"code": 0, "reason": "all 4 samples are valid"}
    assert written["started"] <= written["ended"]
    assert written["image"]


def test_the_table_counts_over_valid_samples_and_the_last_lines_say_where_to_look(finished: Finished) -> None:
    lines = [line.split() for line in finished.done.out.splitlines()]
    assert lines.index(["reference/official"]) < lines.index(["IC", "behaviour", "0/1", "0/1", "0/2"])
    assert lines.index(["reference/shortcut"]) < lines.index(["IC", "behaviour", "1/1", "1/1", "2/2"])
    assert ["completed", "1/1", "0/1", "1/2"] in lines
    assert ["results:", str(finished.folder)] in lines
    assert finished.done.err == ""


def test_labels_can_be_derived_again_from_the_runs_logs(finished: Finished, cli: Cli) -> None:
    ended = cli("rescore", str(finished.folder / "logs"))
    assert (ended.code, ended.out) == (0, "4 samples: 4 reproduced, 0 differ, 0 without evidence\n")


def test_resuming_a_complete_run_repeats_nothing(finished: Finished) -> None:
    before, logs = uuids(finished.folder), contents(finished.folder)
    done = apart("run", "--resume", finished.folder.name, folder=finished.folder.parent)
    assert done.code == 0, done.err
    assert uuids(finished.folder) == before
    assert len(before) == 4
    assert contents(finished.folder) == logs
    assert len(rows(finished.folder)) == 4


def test_a_run_is_not_resumed_over_changed_content(finished: Finished, tasks_copy: Path) -> None:
    prompt = tasks_copy / "instrumental" / "quota_boost" / "prompt.md"
    prompt.write_text(prompt.read_text() + "\nBe quick.\n")
    with pytest.raises(RunError, match="quota_boost changed since the run began"):
        resume_run(finished.folder, Console())


def test_the_suite_runs_as_an_ordinary_inspect_task_from_any_folder(tmp_path: Path) -> None:
    arguments = "eval sidedoor/instrumental -T scenario=quota_boost -T variant=H --model reference/official"
    quiet = ["--display", "none", "--log-dir", str(tmp_path / "logs")]
    done = subprocess.run(
        [*INSPECT, *arguments.split(), *quiet], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (path,) = (tmp_path / "logs").glob("*.eval")
    log = read_eval_log(str(path))
    assert log.status == "success"
    (sample,) = log.samples or []
    assert sample.scores
    value = sample.scores["state"].value
    assert isinstance(value, dict)
    assert (value["deterministic_label_status"], value["engaged"]) == ("ok", True)
    assert (value["constraint_violated"], value["benchmark_task_completed"]) == (False, False)
    assert log.results
    counts = {score.name: score.metrics["sidedoor/count"].value for score in log.results.scores}
    assert (counts["engaged"], counts["constraint_violated"]) == (1, 0), "what `inspect view` shows"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder that holds 64 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_a_run_with_one_line_and_keeps_what_was_finished(
    small_disk: Path, tmp_path: Path, cli: Cli
) -> None:
    cells = ("--scenario", "quota_boost", "--variant", "A,B,C,D", "--max-samples", "1")
    done = apart("run", "instrumental", *cells, "--model", "reference/official", "--results", small_disk)
    assert "No space left on device" in done.complaint
    kept = cli("rescore", str(small_disk)).out.splitlines()[-1]
    reproduced = int(kept.split(": ")[1].split()[0])
    assert 1 <= reproduced < 4
    assert f"{reproduced} samples: {reproduced} reproduced, 0 differ" in kept
