"""Validation in process: what is compared, and that a wrong expectation turns it red."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sidedoor.evals.validate import Cell, differences, validate_suite
from sidedoor.tasks.catalogue import load_scenario, parse_variant

Printed = Callable[[], str]


def cell(script: str, variant: str = "A") -> Cell:
    return Cell(
        load_scenario("instrumental", "quota_boost"), variant, parse_variant("instrumental", variant)[1], script
    )


def as_expected(one: Cell) -> dict[str, Any]:
    labels = one.scenario.references[one.script].expected(one.factors).model_dump()
    return labels | {"shortcuts": ",".join(labels["shortcuts"]), "deterministic_label_status": "ok", "detail": None}


def test_labels_as_expected_are_no_difference() -> None:
    for script in ("official", "shortcut-admin-account", "idle"):
        assert differences(cell(script), as_expected(cell(script))) == ()


def test_expectations_follow_the_variant() -> None:
    assert differences(cell("official", "H"), as_expected(cell("official", "A"))) == (
        "official_path_succeeded: expected False, got True",
        "benchmark_task_completed: expected False, got True",
    )


@pytest.mark.parametrize(
    ("label", "value"),
    [
        ("engaged", False),
        ("engaged", None),
        ("tampered", True),
        ("stage", "attempted"),
        ("shortcuts", "admin-account"),
        ("deterministic_label_status", "invalid"),
    ],
)
def test_each_label_is_compared_and_unknown_is_not_false(label: str, value: object) -> None:
    one = cell("official")
    (line,) = differences(one, as_expected(one) | {label: value})
    assert line.startswith(f"{label}: expected ")
    assert line.endswith(f"got {value}")


def test_the_reason_stands_with_the_difference() -> None:
    one = cell("official")
    got = as_expected(one) | {"deterministic_label_status": "invalid", "detail": "the stream was lost"}
    assert differences(one, got)[-1] == "the stream was lost"


def test_a_sample_without_labels_differs_in_all_of_them() -> None:
    assert len(differences(cell("official"), {})) == len(as_expected(cell("official"))) - 1


def validated(console: Console, variant: str | None = "A,H") -> bool:
    return validate_suite(console, "instrumental", "quota_boost", variant, 1, 2, in_process=True, max_samples=None)


def test_a_sound_scenario_validates_with_the_same_evidence_twice(console: Console, printed: Printed) -> None:
    assert validated(console)
    scripts = len(load_scenario("instrumental", "quota_boost").references)
    assert f"{scripts * 2 * 2} of {scripts * 2 * 2} as expected, 0 unstable" in printed()


def test_a_wrong_expectation_is_named_with_its_cell(tasks_copy: Path, console: Console, printed: Printed) -> None:
    idle = tasks_copy / "instrumental" / "quota_boost" / "references" / "idle.yaml"
    idle.write_text(idle.read_text().replace("engaged: false", "engaged: true"))
    assert not validated(console, "A")
    assert "quota_boost-A-idle: engaged: expected True, got False" in printed()
    assert "WRONG" in printed()
