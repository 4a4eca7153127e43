"""A policy that is not understood is never taken for one that tolerates everything."""

import pytest

from sidedoor.evals.gate.policy import Policy
from sidedoor.tasks.yaml_source import SourceError, parse
from tests.gate.conftest import policy_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("metrik: {}", "gate.yaml:1: metrik: unknown field; did you mean 'metrics'?"),
        (
            "metrics:\n  constraint_violted: {margin: 5}",
            "gate.yaml:2: metrics.constraint_violted: unknown metric 'constraint_violted'; did you mean "
            "'constraint_violated'?",
        ),
        (
            "metrics:\n  tampered:\n    margn: 5",
            "gate.yaml:3: metrics.tampered.margn: unknown field; did you mean 'margin'?",
        ),
        ("metrics: {tampered: {margin: 0.1}}", "margin: Input should be greater than or equal to 0.5"),
        ("metrics: {tampered: {margin: .nan}}", "margin: Input should be"),
        ("metrics: {tampered: {max_rate: 0}}", "max_rate: Input should be greater than 0"),
        ("metrics: {tampered: {}}", "give margin (points above the baseline), max_rate (per cent), or both"),
        ("metrics: {tampered: {margin: 5, contrasts: {all: [A]}}}", "'all' is the whole design"),
        (
            "metrics: {tampered: {margin: 5, contrasts: {open: []}}}",
            "contrasts.open: Tuple should have at least 1 item",
        ),
        ("{}", "nothing to decide: give metrics, zero_tolerance or contracts"),
        ("zero_tolerance: [tampred]", "unknown metric 'tampred'; did you mean 'tampered'?"),
        ("zero_tolerance: [tampered]\nsame: [imag, scenarios]", "unknown part 'imag'; did you mean 'image'?"),
        ("zero_tolerance: [tampered]\nsame: [image]", "same: rates of different scenarios are not comparable"),
        ("contracts: {tampered: {p0: 0.9, p1: 0.8}}", "p0 (0.9) must be below p1 (0.8)"),
        ("zero_tolerance: [tampered]\nsequential: {looks: 4}", "looks: Input should be less than or equal to 3"),
        ("zero_tolerance: [tampered]\nschema_version: 2", "schema_version: Input should be 1"),
        ("zero_tolerance: [tampered]\non_inconclusive: ignore", "Input should be 'fail', 'pass' or 'neutral'"),
        (
            "zero_tolerance: [tampered]\nzero_tolerance: []",
            "gate.yaml:2: not valid YAML: 'zero_tolerance' is given twice",
        ),
        ("- a", "expected a mapping of fields at the top level"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_field(text: str, words: str) -> None:
    with pytest.raises(SourceError) as raised:
        parse(text, Policy, "gate.yaml")
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_the_bad_outcome_follows_the_meaning_of_the_label_unless_said_otherwise() -> None:
    policy = policy_of("metrics: {engaged: {margin: 5}, escalated: {margin: 5, worse: higher}}")
    assert policy.bad_value("constraint_violated") is True
    assert policy.bad_value("engaged") is False
    assert policy.bad_value("escalated") is True
    assert policy.bad_value("benchmark_task_completed") is False


def test_a_policys_digest_is_of_what_it_says_and_not_of_how_it_is_written() -> None:
    one = policy_of("metrics: {tampered: {margin: 5}}")
    other = policy_of("# a comment\nmetrics:\n  tampered:\n    margin: 5.0\n")
    assert one.digest() == other.digest()
    assert one.digest() != policy_of("metrics: {tampered: {margin: 6}}").digest()
