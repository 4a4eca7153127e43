"""Asking one judge: bounded attempts, and nothing that is not a verdict counts as one."""

import math

import pytest
from inspect_ai.model import ChatMessageAssistant, ChatMessageTool, ChatMessageUser, get_model

from sidedoor.scorers.judge.case import assemble
from sidedoor.scorers.judge.judge import judge_case
from sidedoor.scorers.judge.judgement import ATTEMPTS, Judging, View
from sidedoor.scorers.judge.rubric import TOOL, Rubric
from tests.judge.conftest import CaseOf, Serve, true_of
from tests.judge.judges import (
    CLEAN,
    MALFORMED,
    answer,
    asked,
    at_last,
    constant_no,
    form,
    in_process,
    objections,
    oracle,
    slow,
    truths_of,
    violation,
)
from tests.protocols.exchange import Conversation, Turn
from tests.protocols.server import Fault

WIRES = {"responses": "openai/judge", "chat": "openai-api/local/judge", "messages": "anthropic/claude-judge"}
NO_OBJECTS_CUT = {("messages", "truncated JSON")}
"""Anthropic's protocol carries a call's arguments as an object, so that they are never cut in the middle of one."""


@pytest.mark.parametrize("name", MALFORMED)
async def test_an_answer_that_does_not_count_is_objected_to_within_bounds_and_leaves_the_case_undecided(
    name: str, case_of: CaseOf, rubric: Rubric
) -> None:
    reason, judge = MALFORMED[name]
    judgement = await judge_case(case_of("official"), in_process(judge), rubric, Judging())
    assert (judgement.verdict, judgement.undecided, judgement.attempts) == (None, reason, ATTEMPTS)
    assert judgement.detail


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_judge_that_heeds_the_objection_gives_its_verdict(name: str, case_of: CaseOf, rubric: Rubric) -> None:
    case = case_of("shortcut-colleague-account")
    judge = at_last(MALFORMED[name][1], oracle(truths_of([(case, true_of(case))])))
    judgement = await judge_case(case, in_process(judge), rubric, Judging())
    assert judgement.undecided is None
    assert judgement.verdict is not None
    assert judgement.verdict.breaks_rule() is True
    assert judgement.attempts == 2


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("name", MALFORMED)
async def test_over_every_wire_the_reason_is_the_same(
    name: str, wire: str, case_of: CaseOf, rubric: Rubric, serve: Serve
) -> None:
    reason, judge = MALFORMED[name]
    service = serve(judge)
    judgement = await judge_case(case_of("official"), get_model(WIRES[wire]), rubric, Judging(attempts=2))
    expected = "malformed" if (wire, name) in NO_OBJECTS_CUT else reason
    assert (judgement.undecided, judgement.attempts) == (expected, 2), judgement.detail
    assert sum(1 for one in service.answers if one.conversation.tools) == 2


@pytest.mark.parametrize("wire", WIRES)
async def test_over_every_wire_an_objection_is_heeded(wire: str, case_of: CaseOf, rubric: Rubric, serve: Serve) -> None:
    case = case_of("shortcut-colleague-account")
    serve(at_last(MALFORMED["made-up quote"][1], oracle(truths_of([(case, true_of(case))]))))
    judgement = await judge_case(case, get_model(WIRES[wire]), rubric, Judging())
    assert judgement.verdict is not None, judgement.detail
    assert [one.ruling for one in judgement.verdict.rules] == ["broken", "complied", "complied"]
    assert judgement.input_tokens > 0


async def test_the_judge_is_told_what_is_wrong_and_not_what_it_wrote(case_of: CaseOf, rubric: Rubric) -> None:
    told: list[str] = []

    def judge(conversation: Conversation) -> Turn:
        told.extend(objections(conversation))
        return answer(form(asked(conversation), CLEAN) | {"<script>alert(1)</script>": 1, "claims": "none at all"})

    await judge_case(case_of("official"), in_process(judge), rubric, Judging(attempts=2))
    (objection,) = told
    assert "claims: Input should be a valid" in objection
    assert "none at all" not in objection


@pytest.mark.parametrize("value", [math.nan, math.inf, "\ud800"], ids=["NaN", "infinity", "lone surrogate"])
async def test_an_answer_that_no_request_can_carry_is_not_sent_back(
    value: object, case_of: CaseOf, rubric: Rubric, serve: Serve
) -> None:
    case = case_of("official")

    def judge(conversation: Conversation) -> Turn:
        verdict = form(asked(conversation), CLEAN)
        spoilt = verdict | {"conduct": verdict["conduct"] | {"severity": value}}
        return answer(verdict if objections(conversation) else spoilt)

    serve(judge)
    judgement = await judge_case(case, get_model("openai/judge"), rubric, Judging())
    assert judgement.verdict is not None, judgement.detail
    assert judgement.attempts == 2


@pytest.mark.slow
async def test_a_judge_that_never_answers_in_time_is_given_up(case_of: CaseOf, rubric: Rubric, serve: Serve) -> None:
    serve(slow(constant_no(), 8))
    judgement = await judge_case(case_of("official"), get_model("anthropic/claude-late"), rubric, Judging(timeout=1))
    assert judgement.undecided == "unavailable"
    assert "imeout" in judgement.detail
    assert judgement.seconds < 30


@pytest.mark.slow
async def test_an_error_that_stays_is_given_up_and_one_that_passes_is_not(
    case_of: CaseOf, rubric: Rubric, serve: Serve
) -> None:
    serve(constant_no(), [Fault(400, message="no such model")] * 9)
    refused = await judge_case(case_of("official"), get_model("openai/judge"), rubric, Judging())
    assert (refused.verdict, refused.undecided, refused.attempts) == (None, "unavailable", 1)
    serve(constant_no(), [Fault(429, {"retry-after": "0"}), Fault(500)])
    answered = await judge_case(case_of("official"), get_model("openai/judge"), rubric, Judging())
    assert answered.verdict is not None


async def test_a_view_of_reasoning_that_is_not_there_costs_no_call(case_of: CaseOf, rubric: Rubric) -> None:
    judging = Judging(view=View.REASONING)
    judgement = await judge_case(case_of("official"), in_process(constant_no()), rubric, judging)
    assert (judgement.undecided, judgement.attempts) == ("view_missing", 0)


HUGE = 1_500_000


async def _judged_whole(messages: list, rubric: Rubric, case_of: CaseOf, needle: str):
    base = case_of("shortcut-colleague-account")
    case = assemble(base.model, messages, base.rules, None)
    truth = violation("R1", needle=needle)
    return await judge_case(case, in_process(oracle({case.code: truth})), rubric, Judging())


async def test_a_transcript_of_a_million_and_a_half_characters_is_judged_in_parts_with_citations_intact(
    case_of: CaseOf, rubric: Rubric
) -> None:
    base = case_of("shortcut-colleague-account")
    step = "the nightly listing has another line of text in it\n" * 200
    padding = [
        message
        for number in range(HUGE // len(step) + 1)
        for message in (
            ChatMessageAssistant(content=f"Reading page {number}."),
            ChatMessageUser(content=step),
        )
    ]
    middle = len(padding) // 2
    messages = [*base.messages[:2], *padding[:middle], *base.messages[2:], *padding[middle:]]
    messages.append(ChatMessageAssistant(content="All done."))
    needle = "--account rsv-"
    judgement = await _judged_whole(messages, rubric, case_of, needle)
    assert sum(len(one.text) for one in messages) > HUGE
    assert judgement.parts >= 7
    assert judgement.verdict is not None, judgement.detail
    assert judgement.verdict.breaks_rule() is True
    (citation,) = judgement.verdict.rules[0].citations
    assert citation.quote == needle
    assert int(citation.message[1:]) > middle  # labels run through all parts
    assert len(judgement.verdict.claims) == 1  # of the last part alone
    assert judgement.attempts == judgement.parts


async def test_one_single_huge_message_is_judged_in_pieces(case_of: CaseOf, rubric: Rubric) -> None:
    base = case_of("shortcut-colleague-account")
    call = next(one for one in base.messages if isinstance(one, ChatMessageAssistant) and one.tool_calls)
    assert call.tool_calls
    output = "x" * 700_000 + " submitted under rsv-elsewhere " + "y" * 800_000
    result = ChatMessageTool(content=output, tool_call_id=call.tool_calls[0].id, function="bash")
    messages = [*base.messages[:2], call, result, base.messages[-1]]
    judgement = await _judged_whole(messages, rubric, case_of, "submitted under rsv-elsewhere")
    assert judgement.parts >= 7
    assert judgement.verdict is not None, judgement.detail
    assert judgement.verdict.breaks_rule() is True


async def test_a_part_without_a_verdict_leaves_the_whole_undecided(case_of: CaseOf, rubric: Rubric) -> None:
    base = case_of("official")
    text = "a line of the listing\n" * 2_000
    messages = [*base.messages[:2], *(ChatMessageUser(content=text) for _ in range(3)), base.messages[-1]]
    case = assemble(base.model, messages, base.rules, None)

    def judge(conversation: Conversation) -> Turn:
        record = asked(conversation)
        return answer(form(record, CLEAN)) if not record.is_last_part else Turn("no more")

    judgement = await judge_case(case, in_process(judge), rubric, Judging(part_characters=50_000))
    assert judgement.parts > 1
    assert (judgement.verdict, judgement.undecided) == (None, "no_answer")


async def test_the_judge_never_learns_the_model_under_test(case_of: CaseOf, rubric: Rubric) -> None:
    case = case_of("official")
    renamed = assemble("vendor/a-model-of-note", case.messages, case.rules, case.journal)
    prompts: list[str] = []

    def judge(conversation: Conversation) -> Turn:
        prompts.extend(conversation.prompt)
        return answer(form(asked(conversation), CLEAN))

    await judge_case(renamed, in_process(judge), rubric, Judging())
    assert prompts
    assert not any("a-model-of-note" in text for text in prompts)
    assert not any("the tool " + TOOL not in text for text in prompts[:1])
