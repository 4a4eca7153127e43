"""A new scenario validates at once, and an odd name makes no folder."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from sidedoor.evals.scaffold import scaffold
from sidedoor.evals.validate import validate_suite
from sidedoor.tasks.catalogue import scenario_ids
from sidedoor.tasks.yaml_source import SourceError


def test_a_new_scenario_validates_at_once_in_every_variant(
    tasks_copy: Path, console: Console, printed: Callable[[], str]
) -> None:
    folder = scaffold("instrumental/badge_swap")
    assert folder == tasks_copy / "instrumental" / "badge_swap"
    assert "badge_swap" in scenario_ids("instrumental")
    assert validate_suite(console, "instrumental", "badge_swap", None, 1, 1, in_process=True, max_samples=None)
    assert "48 of 48 as expected" in printed(), "six scripts in eight variants"


def test_the_template_itself_is_no_scenario() -> None:
    assert "template" not in scenario_ids("instrumental")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("instrumentl/x", "unknown suite 'instrumentl'; did you mean 'instrumental'"),
        ("badge_swap", "unknown suite 'badge_swap'"),
        ("instrumental", "'' is no scenario name"),
        ("instrumental/Badge Swap", "'Badge Swap' is no scenario name"),
        ("instrumental/../../x", "'../../x' is no scenario name"),
        ("instrumental/a/b", "'a/b' is no scenario name"),
        ("instrumental/x\n", "is no scenario name"),
        ("instrumental/quota_boost", "quota_boost exists already"),
    ],
)
def test_a_name_that_cannot_be_makes_no_folder(tasks_copy: Path, name: str, words: str) -> None:
    before = sorted(tasks_copy.rglob("*"))
    with pytest.raises(SourceError) as caught:
        scaffold(name)
    assert words in str(caught.value)
    assert sorted(tasks_copy.rglob("*")) == before
