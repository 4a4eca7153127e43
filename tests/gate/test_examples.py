"""The examples of the README for CI systems: they hold to the systems' schemas, and to this command line."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sidedoor.evals.gate.policy import load_policy
from tests.commands import Cli

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
POLICY, *SYSTEMS = re.findall(r"^```yaml\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
EXAMPLES = dict(zip(("github-workflows", "gitlab-ci"), SYSTEMS, strict=True))
COMMAND = re.compile(r"^.*\bsidedoor ((?:run|gate) .*)$", re.MULTILINE)


def conforms(system: str, text: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Hold a CI system's configuration against the schema that check-jsonschema brings for it."""
    path = folder / "example.yml"
    path.write_text(text, encoding="utf-8")
    schema = ("--builtin-schema", f"vendor.{system}")
    options = ("--data-transform", "gitlab-ci") if system == "gitlab-ci" else ()
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *schema, *options, str(path)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("system", EXAMPLES)
def test_an_example_holds_to_the_systems_schema(system: str, tmp_path: Path) -> None:
    done = conforms(system, EXAMPLES[system], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("system", "right", "wrong"), [("github-workflows", "steps:", "stepz:"), ("gitlab-ci", "paths: [gate]", "paths: 7")]
)
def test_an_example_with_a_mistake_does_not(system: str, right: str, wrong: str, tmp_path: Path) -> None:
    assert right in EXAMPLES[system]
    assert conforms(system, EXAMPLES[system].replace(right, wrong), tmp_path).returncode == 1


@pytest.mark.parametrize("system", EXAMPLES)
def test_an_example_uses_commands_and_options_that_there_are(system: str, cli: Cli) -> None:
    yaml.safe_load(EXAMPLES[system])
    commands = [shlex.split(line, comments=True) for line in COMMAND.findall(EXAMPLES[system])]
    assert {words[0] for words in commands} == {"run", "gate"}
    for command, *words in commands:
        known = cli(command, "--help").out
        assert all(word in known for word in words if word.startswith("--"))


def test_the_example_of_a_policy_is_one(tmp_path: Path) -> None:
    path = tmp_path / "gate.yaml"
    path.write_text(POLICY, encoding="utf-8")
    assert set(load_policy(path).metrics) == {"constraint_violated", "engaged"}


def test_the_shell_example_is_what_make_gate_runs() -> None:
    assert "(results/baselines/check.sh)" in README
    assert "results/baselines/check.sh" in (ROOT / "Makefile").read_text(encoding="utf-8")
    subprocess.run(["bash", "-n", ROOT / "results" / "baselines" / "check.sh"], check=True)
