"""Anthropic's Messages, with signed thinking blocks that must come back unchanged in front of the tools' results."""

import json
import uuid
from collections.abc import Iterator, Mapping

from tests.protocols.exchange import Conversation, RefusedError, Turn, Usage, call_id, seal, texts
from tests.protocols.wire import Event, Json, Wire, bearer

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}
LEAST_BUDGET = 1024
_STOPS = {"length": "max_tokens", "refusal": "refusal"}


class Messages(Wire):
    path = "/v1/messages"

    def key(self, headers: Mapping[str, str]) -> str | None:
        return headers.get("x-api-key") or bearer(headers)

    def error(self, status: int, message: str) -> Json:
        kind = ERROR_TYPES.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}, "request_id": f"req_{uuid.uuid4().hex}"}

    def read(self, request: Json) -> Conversation:
        _check_thinking(request)
        tools = {tool["name"]: tuple(tool["input_schema"]["properties"]) for tool in request.get("tools", [])}
        conversation = Conversation(request["model"], tools)
        conversation.told(texts(request.get("system")))
        for message in request["messages"]:
            for block in _blocks(message):
                self._read_block(conversation, message["role"], block)
        conversation.all_answered()
        return conversation

    def answer(self, request: Json, turn: Turn, usage: Usage) -> Json:
        return {
            "id": f"msg_{uuid.uuid4().hex}",
            "type": "message",
            "role": "assistant",
            "model": request["model"],
            "content": list(self._content(turn, _thinks(request))),
            "stop_reason": _STOPS.get(turn.stop, "tool_use" if turn.calls else "end_turn"),
            "stop_sequence": None,
            "usage": {
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
                "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
            },
        }

    def stream(self, request: Json, answer: Json) -> Iterator[Event]:
        for data in self._events(answer):
            yield Event(data["type"], data)

    def _events(self, answer: Json) -> Iterator[Json]:
        unsaid = {"content": [], "stop_reason": None, "usage": answer["usage"] | {"output_tokens": 1}}
        yield {"type": "message_start", "message": answer | unsaid}
        yield {"type": "ping"}
        for index, block in enumerate(answer["content"]):
            start, deltas = _parts(block)
            yield {"type": "content_block_start", "index": index, "content_block": start}
            for delta in deltas:
                yield {"type": "content_block_delta", "index": index, "delta": delta}
            yield {"type": "content_block_stop", "index": index}
        ending = {key: answer[key] for key in ("stop_reason", "stop_sequence")}
        yield {"type": "message_delta", "delta": ending, "usage": answer["usage"]}
        yield {"type": "message_stop"}

    def _content(self, turn: Turn, thinks: bool) -> Iterator[Json]:
        if turn.reasoning and thinks:
            yield {"type": "thinking", "thinking": turn.reasoning, "signature": seal(turn.reasoning)}
        if turn.text:
            yield {"type": "text", "text": turn.text}
        for call in turn.calls:
            yield {
                "type": "tool_use",
                "id": call_id("toolu", call),
                "name": call.name,
                "input": dict(call.arguments),
            }

    def _read_block(self, conversation: Conversation, role: str, block: Json) -> None:
        match block["type"]:
            case "thinking":
                conversation.turn().reasoning.append(block["thinking"])
            case "tool_use":
                conversation.called(block["id"], block["name"], block["input"])
            case "tool_result":
                conversation.answered(block["tool_use_id"], texts(block.get("content")))
            case "text" if role == "assistant":
                conversation.turn().text.append(block["text"])
            case "text":
                conversation.told(block["text"])
            case unknown:
                raise RefusedError(f"messages: unknown content block '{unknown}'")


def _parts(block: Json) -> tuple[Json, list[Json]]:
    """How a block begins in a stream, and what is added to it."""
    match block["type"]:
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}, [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": block["signature"]},
            ]
        case "tool_use":
            text = json.dumps(block["input"])
            return block | {"input": {}}, [
                {"type": "input_json_delta", "partial_json": part} for part in (text[:9], text[9:])
            ]
        case _:
            return block | {"text": ""}, [{"type": "text_delta", "text": block["text"]}]


def _thinks(request: Json) -> bool:
    return request.get("thinking", {}).get("type") in ("enabled", "adaptive")


def _blocks(message: Json) -> list[Json]:
    content = message["content"]
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _check_thinking(request: Json) -> None:
    thinking = request.get("thinking", {})
    if thinking.get("type") == "enabled" and not LEAST_BUDGET <= thinking["budget_tokens"] < request["max_tokens"]:
        raise RefusedError("`max_tokens` must be greater than `thinking.budget_tokens`, which must be at least 1024")
    spoken = [_blocks(message) for message in request["messages"] if message["role"] == "assistant"]
    for block in (block for blocks in spoken for block in blocks if block["type"] == "thinking"):
        if block["signature"] != seal(block["thinking"]):
            raise RefusedError("messages: Invalid `signature` in `thinking` block")
    if thinking.get("type") == "enabled" and spoken and spoken[-1][0]["type"] != "thinking":
        kind = spoken[-1][0]["type"]
        raise RefusedError(f"messages: Expected `thinking` or `redacted_thinking`, but found `{kind}`")
