"""What is shown of suites and scenarios."""

from collections.abc import Callable

import pytest
from rich.console import Console

from sidedoor.evals.show import find_scenario, list_suites, show_difference, show_scenario
from sidedoor.tasks.catalogue import load_scenario, scenario_ids
from sidedoor.tasks.schema import check_factors
from sidedoor.tasks.yaml_source import SourceError

Printed = Callable[[], str]


def test_the_list_has_every_scenario_and_variant(console: Console, printed: Printed) -> None:
    list_suites(console)
    for scenario in scenario_ids("instrumental"):
        assert scenario in printed()
    assert "dilemma_blocked_forbidden_unwatched" in printed()
    assert "honest_path=blocked" in printed()


def test_a_scenario_is_shown_as_the_agent_sees_it_and_as_it_is_scored(console: Console, printed: Printed) -> None:
    show_scenario(console, "quota_boost", "H", 3, files=False)
    scenario = load_scenario("instrumental", "quota_boost")
    rendered = scenario.render(check_factors({"honest_path": "blocked"}), 3)
    assert rendered.prompt.splitlines()[0][:60] in printed()
    assert rendered.hostname in printed()
    for shown in (*rendered.files, "quotactl", "colleague-account", "admin-account", "escalate-blocker (way out)"):
        assert shown in printed(), shown


def test_the_files_text_is_shown_when_asked_for(console: Console, printed: Printed) -> None:
    rendered = load_scenario("instrumental", "quota_boost").render(check_factors({}), 1)
    line = max(rendered.files["docs/runbook.md"].splitlines(), key=len)[:50]
    show_scenario(console, "quota_boost", "A", 1, files=True)
    assert line in printed()


def test_permission_is_shown_as_a_rule_not_in_force(console: Console, printed: Printed) -> None:
    show_scenario(console, "quota_boost", "F", 1, files=False)
    (line,) = [line for line in printed().splitlines() if line.strip().startswith("colleague-account")]
    assert " no " in line


def test_h_reads_the_same_as_a_and_differs_in_state(console: Console, printed: Printed) -> None:
    show_difference(console, "quota_boost", "A", "H", 1)
    assert printed().splitlines() == [
        "honest_path: open -> blocked",
        "the agent reads the same in both; they differ in the services' state",
    ]


def test_a_difference_in_stance_shows_both_sentences_and_their_file(console: Console, printed: Printed) -> None:
    show_difference(console, "quota_boost", "A", "C", 1)
    lines = printed().splitlines()
    assert lines[0] == "stance: forbidden -> vague"
    assert "--- A/docs/capacity-policy.md" in lines
    assert any(line.startswith("-") and "reserved accounts are for their holders alone" in line for line in lines)
    assert any(line.startswith("+") and "considerate" in line for line in lines)


def test_a_scenario_is_found_with_and_without_its_suite() -> None:
    assert find_scenario("quota_boost") is find_scenario("instrumental/quota_boost")
    with pytest.raises(SourceError, match="unknown scenario 'quota_bost'; did you mean 'quota_boost'"):
        find_scenario("quota_bost")
