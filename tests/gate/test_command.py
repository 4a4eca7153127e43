"""`sidedoor gate`: exit codes that CI can rely on, and one clear line for everything that can be wrong."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sidedoor.evals.gate import command
from sidedoor.evals.gate.observed import observe
from tests.commands import Cli, Ended
from tests.gate.conftest import WriteRun

Gate = Callable[..., Ended]
# With this margin a run of 56 samples decides, unless its rate is a little higher.
WIDE = "metrics: {constraint_violated: {margin: 15}}\n"


@pytest.fixture
def gate(cli: Cli, write_run: WriteRun, policy_file: Callable[[str], Path], tmp_path: Path) -> Gate:
    """Gates a run against a baseline of three violations in 56 samples."""

    def run(candidate: Path, *options: str | Path, policy: str = WIDE) -> Ended:
        path = tmp_path / "main.json"
        if not path.exists():
            cli("baseline", "create", write_run("first", 3), path)
        return cli("gate", candidate, "--baseline", path, "--policy", policy_file(policy), *options)

    return run


def verdict_of(folder: Path) -> str:
    return str(json.loads((folder / "gate.json").read_text())["verdict"])


@pytest.mark.parametrize(("events", "code", "verdict"), [(3, 0, "PASS"), (45, 1, "FAIL"), (7, 4, "INCONCLUSIVE")])
def test_the_verdict_is_the_exit_code_and_in_every_file(
    gate: Gate, write_run: WriteRun, events: int, code: int, verdict: str
) -> None:
    run = write_run("second", events)
    ended = gate(run)
    assert ended.code == code
    assert ended.out.startswith(f"gate: {verdict}: constraint_violated {verdict}\n")
    assert ended.err == ""
    assert verdict_of(run / "gate") == verdict
    files = {path.name for path in (run / "gate").iterdir()}
    assert files == {"gate.json", "gate.txt", "junit.xml", "summary.md", "comment.md", "annotations.txt"}


@pytest.mark.parametrize(("choice", "code"), [("fail", 1), ("pass", 0), ("neutral", 4)])
def test_what_an_inconclusive_does_is_the_policys_choice(
    gate: Gate, write_run: WriteRun, choice: str, code: int
) -> None:
    run = write_run("second", 7)
    ended = gate(run, policy=f"{WIDE}on_inconclusive: {choice}\n")
    assert ended.code == code
    assert verdict_of(run / "gate") == "INCONCLUSIVE"


@pytest.mark.parametrize("events", [3, 7, 45])
def test_exit_zero_silences_the_code_and_not_the_verdict(gate: Gate, write_run: WriteRun, events: int) -> None:
    ended = gate(write_run("second", events), "--exit-zero")
    assert ended.code == 0
    assert ended.out.startswith("gate: ")


def test_exit_zero_does_not_hide_a_wrong_policy(gate: Gate, write_run: WriteRun) -> None:
    assert gate(write_run("second"), "--exit-zero", policy="metrik: 1").code == 2


def test_the_result_goes_where_it_is_told(gate: Gate, write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run("second")
    gate(run, "--out", tmp_path / "there")
    assert verdict_of(tmp_path / "there") == "PASS"
    assert not (run / "gate").exists()


# ---- data that are no basis -----------------------------------------------------------------------------------


def invalid(ended: Ended, folder: Path) -> str:
    """The reasons of an INVALID gate, which must be on one line, in the file, and in JUnit as an error."""
    assert ended.code == 3
    assert "Traceback" not in ended.out + ended.err
    assert verdict_of(folder) == "INVALID"
    assert "<error" in (folder / "junit.xml").read_text()
    first = ended.out.splitlines()[0]
    assert first.startswith("gate: INVALID: ")
    return first.removeprefix("gate: INVALID: ")


def test_the_run_of_the_baseline_is_invalid(gate: Gate, write_run: WriteRun, tmp_path: Path) -> None:
    gate(write_run("second"))
    assert "the same run on both sides" in invalid(gate(tmp_path / "first"), tmp_path / "first" / "gate")


def test_a_run_that_was_killed_before_any_log_was_finished_is_invalid(gate: Gate, write_run: WriteRun) -> None:
    run = write_run("second", status="started")
    assert "not one sample to count" in invalid(gate(run), run / "gate")


def test_a_run_that_was_killed_half_way_is_invalid(gate: Gate, write_run: WriteRun) -> None:
    run = write_run("second", planned=56 * 3)
    assert "112 of 168 samples missing" in invalid(gate(run), run / "gate")


def test_a_run_without_logs_is_invalid(gate: Gate, write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run("second")
    for path in (run / "logs").iterdir():
        path.unlink()
    assert "not one sample" in invalid(gate(run), run / "gate")
    (tmp_path / "nothing").mkdir()
    assert "no run, import or .eval log there" in invalid(gate(tmp_path / "nothing"), tmp_path / "nothing" / "gate")


def test_a_truncated_log_is_invalid(gate: Gate, write_run: WriteRun) -> None:
    run = write_run("second")
    for path in (run / "logs").iterdir():
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert "not one sample" in invalid(gate(run), run / "gate")


def test_another_scenario_version_is_invalid(gate: Gate, write_run: WriteRun) -> None:
    run = write_run("second", version="2-A", content="d" * 64)
    assert "scenarios changed since the baseline" in invalid(gate(run), run / "gate")


def test_errors_are_invalid_and_counted(gate: Gate, write_run: WriteRun) -> None:
    api = '  File "x/inspect_ai/model/_model.py", line 1, in generate\nopenai.RateLimitError: slow down'
    run = write_run("second", error=api)
    assert "56 of 56 samples invalid" in invalid(gate(run), run / "gate")
    assert "56 api_rate_limit" in (run / "gate" / "gate.txt").read_text()


def test_a_manifest_that_is_damaged_is_invalid(gate: Gate, write_run: WriteRun) -> None:
    run = write_run("second")
    (run / "run.json").write_text("{")
    assert "run.json" in invalid(gate(run), run / "gate")


@pytest.mark.parametrize("text", ["", "{}", '{"schema_version": 9}', "\x00", '{"schema_version": 1, "cells": 3}'])
def test_a_baseline_that_is_none_is_invalid(gate: Gate, write_run: WriteRun, tmp_path: Path, text: str) -> None:
    run = write_run("second")
    (tmp_path / "main.json").write_text(text)
    assert "main.json: " in invalid(gate(run), run / "gate")


def test_a_baseline_of_another_suite_is_invalid(gate: Gate, write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run("second")
    gate(run)
    path = tmp_path / "main.json"
    path.write_text(path.read_text().replace('"suite": "instrumental"', '"suite": "kpi"'))
    assert "the suite 'kpi'" in invalid(gate(run), run / "gate")


# ---- usage ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("none", "--policy", "none.yaml"), "none.yaml: cannot be read"),
        (("none", "--sequential"), "--sequential and --budget N belong together"),
        (("none", "--budget", "9"), "--sequential and --budget N belong together"),
        (("none", "--self-test", "--sequential", "--budget", "9"), "leave out --sequential"),
    ],
)
def test_wrong_options_are_a_usage_error(cli: Cli, arguments: tuple[str, ...], words: str) -> None:
    ended = cli("gate", *arguments)
    assert ended.code == 2
    assert words in ended.complaint


def test_a_policy_with_an_unknown_field_is_a_usage_error_that_names_the_nearest(
    gate: Gate, write_run: WriteRun
) -> None:
    ended = gate(write_run("second"), policy="metrics:\n  constraint_violated: {margn: 5}")
    assert ended.code == 2
    where = "gate.yaml:2: metrics.constraint_violated.margn"
    assert ended.complaint.endswith(f"{where}: unknown field; did you mean 'margin'?")


def test_a_run_that_is_not_there_is_a_usage_error(gate: Gate, tmp_path: Path) -> None:
    ended = gate(tmp_path / "nowhere")
    assert ended.code == 2
    assert "no such run" in ended.complaint


def test_a_baseline_that_is_not_there_is_a_usage_error(
    cli: Cli, write_run: WriteRun, policy_file: Callable[[str], Path]
) -> None:
    ended = cli("gate", write_run("x"), "--baseline", "none.json", "--policy", policy_file(WIDE))
    assert (ended.code, ended.complaint) == (2, "none.json: No such file or directory")


def test_a_margin_without_a_baseline_is_a_usage_error(
    cli: Cli, write_run: WriteRun, policy_file: Callable[[str], Path]
) -> None:
    ended = cli("gate", write_run("x"), "--policy", policy_file(WIDE))
    assert ended.code == 2
    assert "--baseline" in ended.complaint


def test_a_run_with_declared_looks_is_gated_in_looks_only(gate: Gate, write_run: WriteRun) -> None:
    run = write_run("second")
    plan = {
        "budget": 1,
        "policy_sha256": "",
        "baseline_sha256": "",
        "epochs": [1],
        "differences": [0.05],
        "ceilings": [0.05],
    }
    (run / "looks.json").write_text(json.dumps(plan))
    ended = gate(run)
    assert ended.code == 2
    assert "gate it with --sequential" in ended.complaint


def test_a_defect_is_neither_pass_nor_fail(gate: Gate, write_run: WriteRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run("second")

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(command, "judge", broken)
    ended = gate(run)
    assert ended.code == 70
    assert "ZeroDivisionError: a defect" in ended.err


# ---- what is not loaded ------------------------------------------------------------------------------------------


def test_logs_that_are_known_are_gated_without_inspect_or_pandas(write_run: WriteRun) -> None:
    run = write_run("new")
    observe(run)
    program = (
        "import sys; from pathlib import Path; from sidedoor.evals.gate.command import observe;"
        "print(len(observe(Path(sys.argv[1])).samples), sorted({'inspect_ai', 'pandas'} & {*sys.modules}))"
    )
    ended = subprocess.run([sys.executable, "-c", program, run], check=True, capture_output=True, text=True)
    assert ended.stdout == "56 []\n"
