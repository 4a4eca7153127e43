"""What a suite and a scenario may declare, and how a mistake in one is told."""

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from sidedoor.tasks.catalogue import ROOT
from sidedoor.tasks.schema import (
    FACTOR_LEVELS,
    Constraint,
    Contrast,
    Expected,
    Fragment,
    ReferenceSpec,
    ScenarioSpec,
    Suite,
    Variant,
    When,
    check_factors,
)
from sidedoor.tasks.yaml_source import SourceError, parse

TEMPLATE = (ROOT / "template" / "scenario.yaml").read_text(encoding="utf-8")


def edited(old: str, new: str) -> str:
    """What is said of the template's scenario.yaml after an edit."""
    assert old in TEMPLATE
    text = TEMPLATE.replace(old, new, 1)
    with pytest.raises(SourceError) as caught:
        parse(text, ScenarioSpec, "scenario.yaml")
    line = next(number for number, one in enumerate(text.splitlines(), 1) if new.strip().splitlines()[0] in one)
    return str(caught.value).replace(f"scenario.yaml:{line}:", "HERE:")


def template() -> dict[str, Any]:
    fields: dict[str, Any] = yaml.safe_load(TEMPLATE)
    return fields


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('{pattern: "P-####"}', '{patern: "P-####"}', "HERE: facts.part: is of no known form here (one of: choice"),
        ('{pattern: "P-####"}', "{integer: [1, 5], stpe: 2}", "HERE: facts.part.integer.stpe: unknown field; did"),
        ('{pattern: "P-####"}', "{integer: [1]}", "HERE: facts.part.integer.integer"),
        ('{pattern: "P-####"}', "5", "HERE: facts.part: is of no known form here"),
        ("{people: 2}", "{serial: x}", "HERE: facts.people: is of no known form here"),
        ("behaviour: resource_acquisition", "behaviour: resource_aquisition", "HERE: shortcuts.0.behaviour: "),
        ("severity: 3", "severity: 6", "HERE: shortcuts.0.severity: "),
        ("version: 1-A", "version: one", "HERE: version: "),
        ("factor: stance", "factor: stanse", "HERE: fragments.shelf_rule.factor: "),
        ("vague: Please", "vage: Please", "unknown level 'vage' of factor 'stance'; did you mean 'vague'?"),
        ("      watched: Every issue is reviewed the same day.\n", "", "no text for monitoring=watched"),
        ("fragment: shelf_rule", "fragment: shelf_rul", "which is none on stance; did you mean 'shelf_rule'?"),
        ("fragment: shelf_rule", "fragment: pace", "'reserved-shelf' names fragment 'pace', which is none on stance"),
        ("id: reserved-shelf", "id: check-stock", "ids used twice: check-stock"),
        ("id: request-release", "id: check-stock", "ids used twice: check-stock"),
        ("id: report-shortage", "id: issue-released", "ids used twice: issue-released"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_scenario_is_told_with_its_place(old: str, new: str, words: str) -> None:
    if new:
        assert words in edited(old, new)
        return
    with pytest.raises(SourceError, match=words):
        parse(TEMPLATE.replace(old, new, 1), ScenarioSpec, "scenario.yaml")


def test_a_table_column_is_read_by_its_form_and_a_mistake_in_it_is_told() -> None:
    table = "{table: 3, columns: {no: {serial: x-}, size: {integer: [1, 2], stpe: 1}}}"
    assert "facts.part.table.columns.size.integer.stpe: unknown field; did you mean 'step'?" in edited(
        '{pattern: "P-####"}', table
    )


def test_a_trace_must_name_a_shortcut_that_exists() -> None:
    fields = template()
    fields["traces"] = [{"id": "left", "shortcut": "reserved-shelv", "places": ["~/*"], "contains": ["x"]}]
    with pytest.raises(ValidationError, match=r"names shortcut 'reserved-shelv'; did you mean 'reserved-shelf'\?"):
        ScenarioSpec.model_validate(fields)


@pytest.mark.parametrize("form", [{}, {"always": "Do not.", "fragment": "shelf_rule"}])
def test_a_constraint_has_exactly_one_form(form: dict[str, str]) -> None:
    with pytest.raises(ValidationError, match="give either 'always' or 'fragment'"):
        Constraint.model_validate({"file": "a.md", **form})


def test_a_constraint_that_always_holds_ignores_the_stance_and_one_on_stance_is_lifted_by_permission() -> None:
    always, on_stance = Constraint(file="a.md", always="No."), Constraint(file="a.md", fragment="rule")
    held = {stance: on_stance.in_force(check_factors({"stance": stance})) for stance in FACTOR_LEVELS["stance"]}
    assert held == {"forbidden": True, "vague": True, "permitted": False}
    assert all(always.in_force(check_factors({"stance": stance})) for stance in FACTOR_LEVELS["stance"])


def test_factors_left_out_have_their_first_level() -> None:
    assert check_factors({}) == {factor: levels[0] for factor, levels in FACTOR_LEVELS.items()}
    assert check_factors({"stance": "vague"})["stance"] == "vague"


@pytest.mark.parametrize(
    ("factors", "words"),
    [
        ({"stanse": "vague"}, "unknown factor 'stanse'; did you mean 'stance'?"),
        ({"stance": "vage"}, "unknown level 'vage' of factor 'stance'; did you mean 'vague'?"),
        ({"stance": ""}, "unknown level '' of factor 'stance' (valid: forbidden, permitted, vague)"),
    ],
)
def test_an_unknown_factor_or_level_is_told_the_nearest(factors: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_factors(factors)
    assert str(caught.value) == words


def suite(baseline: dict[str, str], changed: dict[str, str], factor: str) -> Suite:
    variants = {"A": Variant(name="a", factors=baseline), "B": Variant(name="b", factors=changed)}
    contrast = Contrast(baseline="A", changed="B", factor=factor)
    return Suite(id="s", version="1", title="t", variants=variants, contrasts=(contrast,))


def test_a_contrast_of_one_factor_is_accepted() -> None:
    assert suite({}, {"stance": "vague"}, "stance").contrasts


@pytest.mark.parametrize(
    ("changed", "factor"),
    [
        ({"stance": "vague", "stakes": "critical"}, "stance"),
        ({"stance": "vague"}, "stakes"),
        ({}, "stance"),
    ],
)
def test_a_contrast_that_changes_two_factors_none_or_another_is_refused(changed: dict[str, str], factor: str) -> None:
    with pytest.raises(ValidationError, match=f"A->B changes .*, not just {factor}"):
        suite({}, changed, factor)


def test_a_fragment_on_an_optional_factor_needs_only_its_first_level() -> None:
    assert Fragment(factor="naming", levels={"plain": "transfer"}).levels
    with pytest.raises(ValidationError, match="no text for naming=plain"):
        Fragment(factor="naming", levels={"euphemistic": "rebalance"})


def test_a_scenario_offers_naming_and_pressure_only_where_it_has_texts_for_them() -> None:
    plain = ScenarioSpec.model_validate(template())
    euphemistic = check_factors({"naming": "euphemistic"})
    assert plain.offers(check_factors({})) is None
    assert plain.offers(euphemistic) == "template does not offer naming=euphemistic"
    fields = template()
    fields["fragments"]["verb"] = {"factor": "naming", "levels": {"plain": "take", "euphemistic": "rebalance"}}
    assert ScenarioSpec.model_validate(fields).offers(euphemistic) is None


def reference(**changes: Any) -> ReferenceSpec:
    labels = dict.fromkeys([name for name, field in Expected.model_fields.items() if field.is_required()], False)
    fields = {"does": "nothing", "steps": "", "final": "", "expect": labels | {"stage": "none"}, **changes}
    return ReferenceSpec.model_validate(fields)


def test_later_exceptions_to_expected_labels_win_and_others_do_not_apply() -> None:
    spec = reference(
        but=[
            {"factors": {"stance": "vague"}, "labels": {"engaged": True, "stage": "attempted"}},
            {"factors": {"stance": "vague", "stakes": "critical"}, "labels": {"stage": "achieved"}},
        ]
    )
    assert spec.expected(check_factors({})).stage == "none"
    assert spec.expected(check_factors({"stance": "vague"})).stage == "attempted"
    both = spec.expected(check_factors({"stance": "vague", "stakes": "critical"}))
    assert (both.engaged, both.stage) == (True, "achieved")


def test_an_exception_to_an_unknown_label_or_factor_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValidationError, match="unknown label 'engagd'; did you mean 'engaged'"):
        When.model_validate({"factors": {}, "labels": {"engagd": True}})
    with pytest.raises(ValidationError, match="unknown factor 'stanse'"):
        When.model_validate({"factors": {"stanse": "vague"}, "labels": {}})


def test_a_reference_applies_where_all_its_levels_match() -> None:
    spec = reference(applies={"honest_path": ["open"], "stance": ["vague", "forbidden"]})
    assert spec.applies_to(check_factors({}))
    assert not spec.applies_to(check_factors({"stance": "permitted"}))
    assert not spec.applies_to(check_factors({"honest_path": "blocked"}))
