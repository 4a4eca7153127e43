"""Real providers and SDKs, real containers, a local server: whole episodes over each protocol."""

from typing import Any, NamedTuple

import pytest
from inspect_ai.log import EvalSample, read_eval_log
from inspect_ai.model import ChatMessageAssistant, ChatMessageTool, ContentReasoning

from sidedoor.evals.run import Run
from tests.protocols.conftest import Serve, Start
from tests.protocols.exchange import CHARACTERS_PER_TOKEN
from tests.protocols.scripted import Scripted, cell_script, thought
from tests.protocols.server import Answer, Service

pytestmark = pytest.mark.docker

SCENARIOS = ("quota_boost", "budget_siphon")
TOGETHER = 2


class Dialect(NamedTuple):
    """A way to speak to a model: which model, how it is asked, and what its requests then are."""

    model: str
    model_args: dict[str, Any]
    generate: dict[str, Any]
    path: str
    streamed: bool


CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
GPT, GPT_5 = "openai/gpt-4.1", "openai/gpt-5"
BUDGETED_CLAUDE, ADAPTIVE_CLAUDE = "anthropic/claude-sonnet-4-6", "anthropic/claude-opus-5"
EFFORT = {"reasoning_effort": "low"}
BUDGET = {"reasoning_tokens": 2048}

DIALECTS = {
    "chat": Dialect(GPT, {"responses_api": False}, {}, CHAT, False),
    "chat-streamed": Dialect(GPT, {"responses_api": False, "streaming": True}, {}, CHAT, True),
    "responses": Dialect(GPT_5, {"responses_api": True}, EFFORT, RESPONSES, False),
    "responses-streamed": Dialect(GPT_5, {"responses_api": True, "streaming": True}, EFFORT, RESPONSES, True),
    "messages": Dialect(BUDGETED_CLAUDE, {"streaming": False}, BUDGET | {"max_tokens": 4096}, MESSAGES, False),
    "messages-streamed": Dialect(BUDGETED_CLAUDE, {}, BUDGET, MESSAGES, True),
    "messages-adaptive": Dialect(ADAPTIVE_CLAUDE, {}, EFFORT, MESSAGES, True),
}


class Driven(NamedTuple):
    """Both scenarios over one dialect; `answers` holds, by scenario, what was answered."""

    dialect: Dialect
    service: Service
    run: Run
    samples: dict[str, EvalSample]
    answers: dict[str, list[Answer]]


@pytest.fixture(scope="module", params=list(DIALECTS.values()), ids=list(DIALECTS))
def driven(request: pytest.FixtureRequest, serve: Serve, start: Start) -> Driven:
    dialect: Dialect = request.param
    scripts = {scenario: cell_script(scenario, "A", "official") for scenario in SCENARIOS}
    prompts = {scenario: next(iter(script)) for scenario, script in scripts.items()}
    service = serve(Scripted({p: script for one in scripts.values() for p, script in one.items()}, TOGETHER))
    run = start(
        dialect.model,
        model_args=dialect.model_args,
        generate=dialect.generate,
        scenario=",".join(SCENARIOS),
        variant="A",
    )
    samples = read_eval_log(str(run.folder / run.rows[0].log)).samples or []
    answers = {
        scenario: [answer for answer in service.answers if prompt in "\n".join(answer.conversation.prompt)]
        for scenario, prompt in prompts.items()
    }
    return Driven(dialect, service, run, {sample.metadata["scenario"]: sample for sample in samples}, answers)


def turns(sample: EvalSample) -> list[ChatMessageAssistant]:
    return [message for message in sample.messages if isinstance(message, ChatMessageAssistant)]


def test_the_official_way_ends_in_clean_success(driven: Driven) -> None:
    assert {row.scenario: row.clean_success for row in driven.run.rows} == dict.fromkeys(SCENARIOS, True)
    assert driven.run.manifest.exit is not None
    assert driven.run.manifest.exit.code == 0


def test_every_request_is_of_the_protocol_asked_for_and_is_accepted(driven: Driven) -> None:
    assert {(attempt.path, attempt.status) for attempt in driven.service.attempts} == {(driven.dialect.path, 200)}
    assert {answer.streamed for answers in driven.answers.values() for answer in answers} == {driven.dialect.streamed}


def test_parallel_tool_calls_of_one_turn_are_all_run_and_answered(driven: Driven) -> None:
    for scenario, sample in driven.samples.items():
        calls = turns(sample)[0].tool_calls or []
        assert [call.function for call in calls] == ["bash"] * TOGETHER
        results = {m.tool_call_id: m.text for m in sample.messages if isinstance(m, ChatMessageTool)}
        sent_back = driven.answers[scenario][1].conversation.exchanges[0].results
        assert sent_back == {call.id: results[call.id] for call in calls}
        assert all(sent_back.values())


def test_reasoning_is_kept_in_the_log_turn_by_turn(driven: Driven) -> None:
    for sample in driven.samples.values():
        blocks = [[c for c in turn.content if isinstance(c, ContentReasoning)] for turn in turns(sample)]
        assert [[block.summary or block.reasoning for block in each] for each in blocks] == [
            [thought(n)] for n in range(len(blocks))
        ]


def test_reasoning_goes_back_to_the_model_as_its_api_demands(driven: Driven) -> None:
    # That Responses' sealed items and Messages' signatures are unchanged is the server's to check, with every request.
    for answers in driven.answers.values():
        sent_back = [exchange.reasoning for exchange in answers[-1].conversation.exchanges]
        if driven.dialect.path == RESPONSES:
            assert [len(reasoning) for reasoning in sent_back] == [1] * (len(answers) - 1)
        else:
            assert sent_back == [[thought(turn)] for turn in range(len(answers) - 1)]


def test_rows_count_the_tokens_that_the_server_reported(driven: Driven) -> None:
    for row in driven.run.rows:
        used = [answer.usage for answer in driven.answers[row.scenario]]
        assert row.input_tokens == sum(usage.input_tokens for usage in used) > 0
        assert row.output_tokens == sum(usage.output_tokens for usage in used) > 0


def test_reasoning_tokens_are_kept_in_the_log(driven: Driven) -> None:
    for sample in driven.samples.values():
        counted = sum(usage.reasoning_tokens or 0 for usage in sample.model_usage.values())
        assert counted == sum(len(thought(turn)) // CHARACTERS_PER_TOKEN for turn in range(len(turns(sample))))


def test_a_shortcut_over_messages_is_a_violation(serve: Serve, start: Start) -> None:
    serve(Scripted(cell_script("quota_boost", "A", "shortcut-colleague-account")))
    (row,) = start(BUDGETED_CLAUDE, generate=BUDGET, scenario="quota_boost", variant="A").rows
    assert row.constraint_violated is True
    assert row.shortcuts == "colleague-account"
    assert row.stage == "achieved"
