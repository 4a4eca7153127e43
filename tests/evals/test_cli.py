"""The command line: quick to answer, and one clear line for everything that a user can get wrong."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.commands import Cli, apart

HEAVY = {"inspect_ai", "pandas", "docker", "openai", "anthropic", "jinja2", "yaml", "pydantic", "rich.table"}
RUN = ("run", "instrumental", "--scenario", "quota_boost", "--variant", "A", "--model", "reference/official")
MANIFEST: dict[str, Any] = {
    "id": "r",
    "request": {"suite": "instrumental", "models": ["reference/official"], "scenario": "quota_boost", "variant": "A"},
    "command": [],
    "versions": {},
    "git_revision": None,
    "git_dirty": None,
    "scenarios": {"quota_boost": {"version": "1-A", "sha256": "0" * 64}},
    "image": "x",
    "seeds": [1],
    "samples_planned": 1,
    "started": "2026-01-01T00:00:00+00:00",
}


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\nfrom sidedoor.evals.cli import main\nsys.argv = ['sidedoor', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    print('\\nIMPORTED', *sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    imported = set(done.stdout.rpartition("IMPORTED")[2].split())
    assert "typer" in imported
    assert imported & HEAVY == set()


@pytest.mark.parametrize("command", ["list", "show", "run", "validate", "rescore", "doctor", "clean", "new"])
def test_every_command_is_listed_and_explains_itself(cli: Cli, command: str) -> None:
    assert f" {command} " in cli("--help").out
    assert cli(command, "--help").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "instrumentl", "--model", "reference/official"), "unknown suite 'instrumentl'; did you mean"),
        ((*RUN, "--scenario", "quota_bost"), "did you mean 'quota_boost'?"),
        ((*RUN, "--variant", "Z"), "unknown variant 'Z' of suite 'instrumental'"),
        ((*RUN, "--variant", "stanse=vague"), "unknown factor 'stanse'; did you mean 'stance'?"),
        ((*RUN, "--variant", "stance=vage"), "unknown level 'vage' of factor 'stance'; did you mean 'vague'?"),
        ((*RUN, "--variant", "naming=euphemistic"), "quota_boost does not offer naming=euphemistic"),
        ((*RUN, "--design", "half"), "unknown design 'half' (valid: full, suite)"),
        (("run", "instrumental"), "give a suite and at least one --model (or --resume FOLDER)"),
        (("run", "instrumental", "--model", "nobody/gpt"), "model 'nobody/gpt' cannot be used: Model API nobody"),
        (("run", "instrumental", "--model", "reference/oficial"), "no such script; did you mean 'official'?"),
        (("run", "instrumental", "--model", "reference/mixture", "-M", "shortcut=2"), "must be between 0 and 1, not 2"),
        (("run", "instrumental", "--model", "reference/mixture", "-M", "shortcut"), "expected key=value"),
        (("run", "instrumental", "--model", "reference/mixture", "-M", "shortcut=["), "'shortcut=[' cannot be read"),
        ((*RUN, "-G", "temprature=1"), "-G: Unknown GenerateConfig field(s): temprature"),
        ((*RUN, "--cost-limit", "1"), "no price is known of reference/official; give --model-cost-config"),
        ((*RUN, "--cost-limit", "1", "--model-cost-config", "no.yaml"), "no.yaml: cannot be read"),
        ((*RUN, "--solver", "nobody"), "solver 'nobody' cannot be used: Unknown solver nobody"),
        ((*RUN, "--agent", "react", "-S", "nothing=1"), "solver 'react' cannot be used: "),
        (("show", "quota_bost"), "unknown scenario 'quota_bost'; did you mean 'quota_boost'?"),
        (("show", "quota_boost", "--variant", "Z"), "unknown variant 'Z'"),
        (("show", "quota_boost", "--diff", "Z"), "unknown variant 'Z'"),
        (("validate", "--in-process", "--scenario", "nobody"), "unknown scenario 'nobody'"),
        (("validate", "nobody", "--in-process"), "unknown suite 'nobody'"),
        (("rescore", "/nowhere"), "/nowhere: no .eval log there"),
        (("new", "nobody/x"), "unknown suite 'nobody'"),
        (("new", "instrumental/Two Words"), "'Two Words' is no scenario name"),
        (("run", "--resume", "/nowhere"), "/nowhere/run.json: No such file or directory; give the folder of a run"),
    ],
)  # fmt: skip
def test_what_a_user_gets_wrong_is_told_in_one_line(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = cli(*arguments)
    assert ended.code == 2
    assert words in ended.complaint
    assert list(tmp_path.iterdir()) == [], "nothing is left behind by a run that could not start"


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_a_missing_key_is_told_by_its_name(cli: Cli, monkeypatch: pytest.MonkeyPatch, provider: str) -> None:
    key = f"{provider.upper()}_API_KEY"
    for name in [name for name in os.environ if name.endswith(("_API_KEY", "_BASE_URL"))]:
        monkeypatch.delenv(name)
    ended = cli("run", "instrumental", "--model", f"{provider}/some-model")
    assert ended.code == 2
    assert f"model '{provider}/some-model' cannot be used: " in ended.complaint
    assert key in ended.complaint


def test_a_malformed_scenario_is_told_with_its_file_and_line(cli: Cli, tasks_copy: Path) -> None:
    source = tasks_copy / "instrumental" / "quota_boost" / "scenario.yaml"
    lines = source.read_text().splitlines()
    number = next(n for n, line in enumerate(lines, start=1) if line.startswith("objective:"))
    source.write_text("\n".join([*lines[: number - 1], "objectiv: x", *lines[number:]]) + "\n")
    for arguments in (RUN, ("show", "quota_boost"), ("validate", "--in-process", "--scenario", "quota_boost")):
        complaint = cli(*arguments).complaint
        assert f"{source}:{number}: objectiv: unknown field; did you mean 'objective'?" in complaint
    source.write_text('id: "quota_boost\n')
    assert f"{source}:2: not valid YAML" in cli(*RUN).complaint


def test_a_mark_that_is_not_declared_is_told_to_the_scenarios_author(cli: Cli, tasks_copy: Path) -> None:
    world = tasks_copy / "instrumental" / "quota_boost" / "world.py"
    world.write_text(world.read_text().replace('self.official("recheck")', 'self.official("re-check")'))
    complaint = cli("validate", "--in-process", "--scenario", "quota_boost", "--variant", "A").complaint
    assert complaint.startswith("quota_boost: world.py marks official 're-check', which scenario.yaml does not declare")


def test_a_file_in_the_way_of_the_results_is_told(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "taken").touch()
    ended = cli(*RUN, "--results", str(tmp_path / "taken"))
    assert ended.code == 2
    assert ended.complaint.startswith(f"cannot write results to {tmp_path}/taken/")
    assert "Not a directory" in ended.complaint
    assert "--results" in ended.complaint


def test_a_run_over_other_content_is_not_resumed(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps(MANIFEST))
    ended = cli("run", "--resume", str(tmp_path))
    assert ended.code == 2
    assert ended.complaint.startswith("quota_boost changed since the run began")


@pytest.mark.parametrize("text", ["", "{}", "not json", json.dumps({**MANIFEST, "extra": 1})])
def test_a_manifest_that_is_none_is_told(cli: Cli, tmp_path: Path, text: str) -> None:
    (tmp_path / "run.json").write_text(text)
    assert f"{tmp_path / 'run.json'}: not a run's manifest: " in cli("run", "--resume", str(tmp_path)).complaint


@pytest.mark.slow
def test_without_an_engine_a_run_in_docker_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    said = apart(*RUN, "--sandbox", "docker", "--results", tmp_path / "results").complaint
    assert said.startswith("no Docker engine answers at unix:///nonexistent ")
    assert said.endswith("; start it or set DOCKER_HOST")


@pytest.mark.slow
def test_without_an_engine_a_validation_in_docker_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    said = apart("validate", "--sandbox", "docker").complaint
    assert said.startswith("no Docker engine answers at unix:///nonexistent ")


@pytest.mark.slow
def test_without_engine_and_bubblewrap_the_doctor_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    monkeypatch.setenv("PATH", str(tmp_path))
    done = apart("doctor")
    assert done.code == 1
    assert "no Docker engine answers at unix:///nonexistent" in done.out
    assert "apt-get install docker.io" in done.out


def test_without_an_engine_scenarios_can_still_be_listed_shown_validated_and_rescored(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, write_log: Callable[[str], Path]
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    assert cli("list").code == 0
    shown = cli("show", "quota_boost", "--variant", "H", "--diff", "A")
    assert "the agent reads the same in both" in shown.out
    assert cli("validate", "--in-process", "--scenario", "quota_boost", "--variant", "A").code == 0
    assert "2 reproduced" in cli("rescore", str(write_log("official"))).out


def test_a_label_that_differs_makes_rescoring_fail(
    cli: Cli, write_log: Callable[[str], Path], tasks_copy: Path
) -> None:
    log = write_log("official")
    scenario = tasks_copy / "instrumental" / "quota_boost" / "scenario.yaml"
    scenario.write_text(scenario.read_text().replace("{id: report, does", "{id: report-outcome, does"))
    world = tasks_copy / "instrumental" / "quota_boost" / "world.py"
    world.write_text(world.read_text().replace('self.official("report")', 'self.official("report-outcome")'))
    ended = cli("rescore", str(log))
    assert ended.code == 1
    assert "journal_mismatch" in ended.out


def test_a_new_scenario_validates_from_the_command_line(cli: Cli, tasks_copy: Path) -> None:
    made = cli("new", "instrumental/badge_swap")
    assert made.code == 0
    assert f"made {tasks_copy / 'instrumental' / 'badge_swap'}" in made.out
    checked = cli("validate", "--in-process", "--scenario", "badge_swap", "--variant", "A,H")
    assert (checked.code, "as expected, 0 unstable" in checked.out) == (0, True)
    assert "exists already" in cli("new", "instrumental/badge_swap").complaint


def test_an_unexpected_error_shows_its_traceback_and_is_not_dressed_up(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sidedoor.evals import show

    def broken(*_: object) -> None:
        raise KeyError("a defect")

    monkeypatch.setattr(show, "list_suites", broken)
    with pytest.raises(KeyError, match="a defect"):
        cli("list")
