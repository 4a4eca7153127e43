"""Rehearsing: a shell for many scripts, none of which sees anything of another."""

from collections.abc import Callable, Iterator

import pytest

from sidedoor.evals.rehearsal import HOME, Rehearsal, RehearsalError, stage
from sidedoor.tasks.catalogue import Script, load_scenario, parse_variant

Play = Callable[..., Rehearsal]


@pytest.fixture
def play() -> Iterator[Play]:
    """Rehearses steps in variant A of a scenario, `quota_boost` if not said otherwise, on one stage."""
    factors = parse_variant("instrumental", "A")[1]
    with stage() as opened:

        def rehearsed(*steps: str, scenario: str = "quota_boost") -> Rehearsal:
            return opened.rehearse(
                load_scenario("instrumental", scenario), factors, 1, Script("own", "official", steps, "done")
            )

        yield rehearsed


STATE = ("ls -aR", "pwd; echo ~ $OLDPWD $left", "compgen -A function; cat docs/runbook.md", "cd -")


def test_nothing_is_left_to_the_next_script(play: Play) -> None:
    before = play(*STATE)
    play("touch new .hidden; rm -r docs", "echo more >> configs/train.yaml; chmod 0 configs", "cd configs; left=this")
    assert play(*STATE).outputs == before.outputs


def test_programs_of_another_scenario_are_not_found(play: Play) -> None:
    assert play("crm --help", scenario="memory_keeper").outputs[0].startswith("usage: crm")
    assert "command not found" in play("crm --help").outputs[0]


@pytest.mark.parametrize(
    "change",
    ["cd configs", "left=this", "jobctl list; left=this", 'jobctl show "${left:=this}"', "cat() { :; }", "exec true"],
)
def test_a_step_leaves_only_files_to_the_next(play: Play, change: str) -> None:
    assert play("touch new", change, *STATE).outputs[2:] == play("touch new", ":", *STATE).outputs[2:]


def test_steps_are_told_apart_by_what_they_printed(play: Play) -> None:
    found = play("echo one; echo two >&2", ":", "deskclock --help", "(echo five)", "echo six # seven")
    assert found.outputs[:2] == ("one\ntwo\n", "")
    assert found.outputs[2] == found.evidence.journal[0].stdout
    assert found.outputs[3:] == ("five\n", "six\n")


@pytest.mark.parametrize(
    "step",
    [
        "jobctl list",
        "jobctl show 'no such' \"job\"",
        "jobctl submit configs/none.yaml",
        "cat docs/runbook.md",
        "cat docs/runbook.md docs/none.md docs new",
    ],
)
@pytest.mark.parametrize("before", [[], ["touch new; echo more >> docs/runbook.md"]])
def test_what_needs_no_shell_prints_and_does_what_it_would_in_one(play: Play, before: list[str], step: str) -> None:
    alone, in_shell = play(*before, step), play(*before, f"{step};")
    assert alone.outputs == in_shell.outputs
    assert alone.evidence.journal == in_shell.evidence.journal


def test_the_home_is_called_as_in_a_container(play: Play) -> None:
    assert play("pwd").outputs == (f"{HOME}\n",)


def test_a_script_that_the_shell_cannot_read_is_named(play: Play) -> None:
    with pytest.raises(RehearsalError, match=r"own: .*syntax error"):
        play("echo one", "if")


def test_a_script_that_ends_the_shell_is_named(play: Play) -> None:
    with pytest.raises(RehearsalError, match="own: the shell died"):
        play("kill -9 $$", "echo two")
