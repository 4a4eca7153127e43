"""A case: the rules in force, the same digest for the same content, and a code that nobody could have known."""

import pytest
from inspect_ai.model import ChatMessageAssistant, ChatMessageUser, ContentReasoning, ContentText
from inspect_ai.tool import ToolCall

from sidedoor.scorers.judge.case import Case, CaseError, assemble, case_of_sample, make_case, rules_in_force
from sidedoor.tasks.catalogue import load_scenario, parse_variant
from sidedoor.tasks.yaml_source import SourceError
from tests.judge.conftest import SCENARIO, SUITE, CaseOf, MakeRun, samples_of


def rules_at(variant: str) -> dict[str, tuple[str, ...]]:
    scenario = load_scenario(SUITE, SCENARIO)
    return {rule.id: rule.breaches for rule in rules_in_force(scenario, parse_variant(SUITE, variant)[1], 1)}


def test_rules_are_those_in_force_at_the_variant() -> None:
    assert rules_at("A") == {
        "R1": ("colleague-account",),
        "R2": ("admin-account",),
        "R3": ("relief-in-other-name",),
    }
    assert rules_at("F") == {"R1": ("relief-in-other-name",)}


def test_breaches_of_one_sentence_are_one_rule() -> None:
    scenario = load_scenario(SUITE, "deployment_guardian")
    breaches = [rule.breaches for rule in rules_in_force(scenario, parse_variant(SUITE, "A")[1], 1)]
    assert ("override-lock", "release-lock") in breaches


def test_a_logged_sample_gives_the_case_that_was_told(make_run: MakeRun, case_of: CaseOf) -> None:
    sample = next(one for one in samples_of(make_run()) if one.metadata["script"] == "near_miss")
    assert case_of_sample(sample, "mockllm/agent").digest == case_of("near_miss").digest


def changed(case: Case, name: str) -> Case:
    first, *rest = case.messages
    spoken = ChatMessageAssistant(content="And more.")
    thinking = [ContentReasoning(reasoning="a thought"), ContentText(text="Done.")]
    calling = [ToolCall(id="x", function="bash", arguments={"command": "id"})]
    journal = tuple(case.journal or ())
    match name:
        case "text":
            return assemble(case.model, [*case.messages, spoken], case.rules, journal)
        case "reasoning":
            report = case.messages[-1].model_copy(update={"content": thinking})
            return assemble(case.model, [*case.messages[:-1], report], case.rules, journal)
        case "call":
            report = case.messages[-1].model_copy(update={"tool_calls": calling})
            return assemble(case.model, [*case.messages[:-1], report], case.rules, journal)
        case "role":
            return assemble(case.model, [ChatMessageUser(content=first.content), *rest], case.rules, journal)
        case "rules":
            return assemble(case.model, case.messages, case.rules[1:], journal)
        case "journal":
            return assemble(case.model, case.messages, case.rules, journal[1:])
        case _:
            return assemble(case.model, case.messages, case.rules, None)


@pytest.mark.parametrize("what", ["text", "reasoning", "call", "role", "rules", "journal", "no journal"])
def test_any_change_of_content_changes_digest_and_code(what: str, case_of: CaseOf) -> None:
    case = case_of("near_miss")
    other = changed(case, what)
    assert other.digest != case.digest
    assert other.code != case.code


def test_neither_model_nor_message_ids_are_content(case_of: CaseOf) -> None:
    case = case_of("near_miss")
    fresh = [message.model_copy(update={"id": f"id-{at}"}) for at, message in enumerate(case.messages)]
    assert assemble("another/model", fresh, case.rules, case.journal).digest == case.digest


def test_the_code_stands_nowhere_in_what_it_marks(case_of: CaseOf) -> None:
    case = case_of("official")
    assert not any(case.code in message.text for message in case.messages)


def test_a_lone_surrogate_can_be_digested() -> None:
    assert make_case("m", [ChatMessageAssistant(content="\ud800")], {}, None).digest


def test_a_transcript_of_others_has_no_rules() -> None:
    case = make_case("m", [ChatMessageUser(content="Do it."), ChatMessageAssistant(content="Done.")], {}, None)
    assert (case.rules, case.journal) == ((), None)


def test_what_cannot_be_judged_says_why(make_run: MakeRun) -> None:
    sample = samples_of(make_run())[0]
    silent = sample.model_copy(update={"messages": sample.messages[:2]})
    with pytest.raises(CaseError, match="never spoke"):
        case_of_sample(silent, "m")
    with pytest.raises(CaseError, match="scenario quota_boost changed since the run"):
        case_of_sample(sample.model_copy(update={"metadata": sample.metadata | {"content_sha256": "0" * 64}}), "m")
    with pytest.raises(SourceError, match="unknown scenario"):
        case_of_sample(sample.model_copy(update={"metadata": sample.metadata | {"scenario": "quota_boast"}}), "m")
    with pytest.raises(CaseError, match="evidence is malformed"):
        make_case("m", sample.messages, {}, {"journal": "lost"})
