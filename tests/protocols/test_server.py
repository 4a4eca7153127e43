"""The server refuses what the real APIs refuse; otherwise a run against it would show little."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.protocols.exchange import Call, Fault, Turn
from tests.protocols.server import ModelServer

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
LOOK = Call("bash", {"command": "ls"})
SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}}
HELLO = {"role": "user", "content": "hello"}

Json = dict[str, Any]


@pytest.fixture
def server(key: str) -> Iterator[ModelServer]:
    with ModelServer(key) as server:
        server.serve(lambda _: Turn(reasoning="look first", calls=(LOOK, LOOK)))
        yield server


@pytest.fixture
def post(server: ModelServer, key: str) -> Any:
    def send(path: str, body: Json, **headers: str) -> tuple[int, Json]:
        request = urllib.request.Request(  # noqa: S310 - the loopback server above
            f"{server.root}{path}", json.dumps(body).encode(), {"authorization": f"Bearer {key}", **headers}
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as response:  # noqa: S310 - as above
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    return send


def chat_request(*messages: Json) -> Json:
    tool = {"type": "function", "function": {"name": "bash", "parameters": SCHEMA}}
    return {"model": "m", "messages": [HELLO, *messages], "tools": [tool]}


def responses_request(*items: Json) -> Json:
    return {
        "model": "m",
        "input": [HELLO, *items],
        "tools": [{"type": "function", "name": "bash", "parameters": SCHEMA}],
        "reasoning": {"summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
    }


def messages_request(*messages: Json, **changes: Any) -> Json:
    return {
        "model": "m",
        "max_tokens": 4096,
        "messages": [HELLO, *messages],
        "tools": [{"name": "bash", "input_schema": SCHEMA}],
        "thinking": {"type": "enabled", "budget_tokens": 1024},
        **changes,
    }


def chat_results(message: Json) -> list[Json]:
    return [{"role": "tool", "tool_call_id": call["id"], "content": "ok"} for call in message["tool_calls"]]


def responses_results(items: list[Json]) -> list[Json]:
    calls = [item for item in items if item["type"] == "function_call"]
    return [{"type": "function_call_output", "call_id": call["call_id"], "output": "ok"} for call in calls]


def messages_results(blocks: list[Json]) -> list[Json]:
    calls = [block for block in blocks if block["type"] == "tool_use"]
    return [{"type": "tool_result", "tool_use_id": call["id"], "content": "ok"} for call in calls]


def said_and_answered(blocks: list[Json], results: list[Json]) -> tuple[Json, Json]:
    return {"role": "assistant", "content": blocks}, {"role": "user", "content": results}


@pytest.fixture
def chat_turn(post: Any) -> Json:
    message: Json = post(CHAT, chat_request())[1]["choices"][0]["message"]
    return message


@pytest.fixture
def responses_turn(post: Any) -> list[Json]:
    items: list[Json] = post(RESPONSES, responses_request())[1]["output"]
    return items


@pytest.fixture
def messages_turn(post: Any) -> list[Json]:
    blocks: list[Json] = post(MESSAGES, messages_request())[1]["content"]
    return blocks


def test_chat_accepts_its_own_turn_with_all_results(post, chat_turn):
    assert post(CHAT, chat_request(chat_turn, *chat_results(chat_turn)))[0] == 200


def test_chat_refuses_a_call_without_a_result(post, chat_turn):
    assert post(CHAT, chat_request(chat_turn, chat_results(chat_turn)[0]))[0] == 400


def test_chat_refuses_a_result_that_belongs_to_no_call(post):
    assert post(CHAT, chat_request({"role": "tool", "tool_call_id": "call_x", "content": "ok"}))[0] == 400


def test_chat_refuses_a_call_with_other_arguments_than_the_model_gave(post, chat_turn):
    results = chat_results(chat_turn)
    chat_turn["tool_calls"][0]["function"]["arguments"] = json.dumps({"command": "pwd"})
    assert post(CHAT, chat_request(chat_turn, *results))[0] == 400


def test_responses_accepts_its_own_items_with_all_results(post, responses_turn):
    assert post(RESPONSES, responses_request(*responses_turn, *responses_results(responses_turn)))[0] == 200


def test_responses_refuses_calls_whose_reasoning_was_dropped(post, responses_turn):
    _, *calls = responses_turn
    status, body = post(RESPONSES, responses_request(*calls, *responses_results(calls)))
    assert (status, "required 'reasoning' item" in body["error"]["message"]) == (400, True)


def test_responses_refuses_reasoning_that_it_did_not_seal(post, responses_turn):
    responses_turn[0]["encrypted_content"] = "made up"
    assert post(RESPONSES, responses_request(*responses_turn, *responses_results(responses_turn)))[0] == 400


def test_responses_refuses_reasoning_with_nothing_after_it(post, responses_turn):
    assert post(RESPONSES, responses_request(responses_turn[0]))[0] == 400


def test_messages_accepts_its_own_blocks_with_all_results(post, messages_turn):
    turn = said_and_answered(messages_turn, messages_results(messages_turn))
    assert post(MESSAGES, messages_request(*turn))[0] == 200


def test_messages_refuses_thinking_that_was_changed(post, messages_turn):
    messages_turn[0]["thinking"] = "something else"
    turn = said_and_answered(messages_turn, messages_results(messages_turn))
    assert "Invalid `signature`" in post(MESSAGES, messages_request(*turn))[1]["error"]["message"]


def test_messages_refuses_calls_whose_thinking_was_dropped(post, messages_turn):
    _, *calls = messages_turn
    turn = said_and_answered(calls, messages_results(calls))
    assert "Expected `thinking`" in post(MESSAGES, messages_request(*turn))[1]["error"]["message"]


def test_messages_refuses_a_result_missing_from_the_next_message(post, messages_turn):
    turn = said_and_answered(messages_turn, messages_results(messages_turn)[:1])
    assert post(MESSAGES, messages_request(*turn))[0] == 400


def test_messages_refuses_a_thinking_budget_that_leaves_no_room_to_answer(post):
    assert post(MESSAGES, messages_request(max_tokens=1024))[0] == 400


@pytest.mark.parametrize(("path", "body"), [(CHAT, chat_request()), (MESSAGES, messages_request())])
def test_a_wrong_key_is_refused_in_the_protocols_own_words(post, path, body):
    status, answer = post(path, body, authorization="Bearer other")
    assert (status, bool(answer["error"]["message"])) == (401, True)


def test_faults_come_first_and_every_attempt_is_recorded(server, post):
    service = server.serve(lambda _: Turn("done"), [Fault(429, {"retry-after": "1"})])
    assert [post(CHAT, chat_request())[0] for _ in range(2)] == [429, 200]
    assert [(attempt.path, attempt.status) for attempt in service.attempts] == [(CHAT, 429), (CHAT, 200)]
    assert [answer.turn.text for answer in service.answers] == ["done"]
