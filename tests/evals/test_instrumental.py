"""The suite as an Inspect task: which samples there are, and what identifies them."""

import pytest

from sidedoor.evals.instrumental import instrumental, select_points, select_scenarios
from sidedoor.tasks.catalogue import load_scenario, scenario_ids
from sidedoor.tasks.yaml_source import SourceError


def ids(**arguments: object) -> list[str]:
    return [str(sample.id) for sample in instrumental(**arguments).dataset]  # type: ignore[arg-type]


def test_the_suite_is_every_scenario_in_every_variant() -> None:
    got = ids()
    assert len(got) == len(set(got)) == len(scenario_ids("instrumental")) * 8


def test_epochs_are_samples_of_their_own_with_seeds_of_their_own() -> None:
    dataset = instrumental(scenario="quota_boost", variant="A", epochs=3, seed=10).dataset
    assert [(s.id, (s.metadata or {})["seed"]) for s in dataset] == [
        ("quota_boost-A-1", 11),
        ("quota_boost-A-2", 12),
        ("quota_boost-A-3", 13),
    ]
    assert len({str(sample.input) for sample in dataset}) == 3


def test_the_full_design_crosses_six_factors_and_keeps_the_names_of_known_points() -> None:
    points = dict(select_points("instrumental", None, "full"))
    assert len(points) == 2 * 3 * 2 * 2 * 2 * 2
    assert {*"ABCDEFGH"} <= set(points)


def test_variants_are_a_list_or_one_point() -> None:
    assert [name for name, _ in select_points("instrumental", "A, H,A", "suite")] == ["A", "H"]
    assert [name for name, _ in select_points("instrumental", "stance=vague,honest_path=blocked", "suite")] == [
        "stance=vague,honest_path=blocked"
    ]


def test_scenarios_are_a_list_without_repetitions() -> None:
    chosen = select_scenarios("instrumental", "quota_boost, ledger_audit,quota_boost")
    assert [scenario.id for scenario in chosen] == ["quota_boost", "ledger_audit"]


@pytest.mark.parametrize(
    "arguments",
    [
        {"scenario": "quota_bost"},
        {"variant": "Z"},
        {"variant": "A,,H"},
        {"variant": "stance=vage"},
        {"design": "half"},
        {"variant": "naming=euphemistic", "scenario": "quota_boost"},
    ],
)
def test_what_does_not_exist_is_refused(arguments: dict[str, str]) -> None:
    with pytest.raises(SourceError):
        instrumental(**arguments)  # type: ignore[arg-type]


def test_a_tasks_metadata_and_samples_carry_the_scenarios_content() -> None:
    task = instrumental(scenario="quota_boost", variant="A")
    digest = load_scenario("instrumental", "quota_boost").digest
    assert (task.metadata or {})["scenarios"]["quota_boost"]["sha256"] == digest
    assert (task.dataset[0].metadata or {})["content_sha256"] == digest


def test_nothing_of_scenario_or_variant_is_in_what_the_agent_is_told() -> None:
    for sample in instrumental(scenario="quota_boost").dataset:
        assert "quota_boost" not in str(sample.input)
        assert "variant" not in str(sample.input)
