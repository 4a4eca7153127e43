"""OpenAI's Responses, without storage: reasoning comes back sealed, in front of the calls that it led to."""

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from tests.protocols.chat import openai_error
from tests.protocols.exchange import Conversation, RefusedError, Turn, Usage, call_id, read_arguments, seal, texts
from tests.protocols.wire import Event, Json, Wire, bearer

SEALED = "reasoning.encrypted_content"
_STOPS = {"length": "max_output_tokens", "refusal": "content_filter"}


class Responses(Wire):
    path = "/v1/responses"

    def key(self, headers: Mapping[str, str]) -> str | None:
        return bearer(headers)

    def error(self, status: int, message: str) -> Json:
        return openai_error(status, message)

    def read(self, request: Json) -> Conversation:
        tools = {tool["name"]: tuple(tool["parameters"]["properties"]) for tool in request.get("tools", [])}
        conversation = Conversation(request["model"], tools)
        items = request["input"]
        if isinstance(items, str):
            items = [{"type": "message", "role": "user", "content": items}]
        _check_reasoning(items)
        for item in items:
            self._read_item(conversation, item)
        conversation.all_answered()
        return conversation

    def answer(self, request: Json, turn: Turn, usage: Usage) -> Json:
        return {
            "id": f"resp_{uuid.uuid4().hex}",
            "object": "response",
            "created_at": int(time.time()),
            "status": "incomplete" if turn.stop in _STOPS else "completed",
            "error": None,
            "incomplete_details": {"reason": _STOPS[turn.stop]} if turn.stop in _STOPS else None,
            "instructions": None,
            "metadata": {},
            "model": request["model"],
            "output": list(self._output(request, turn)),
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": request.get("tools", []),
            "usage": {
                "input_tokens": usage.input_tokens,
                "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": usage.output_tokens,
                "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
                "total_tokens": usage.input_tokens + usage.output_tokens,
            },
        }

    def stream(self, request: Json, answer: Json) -> Iterator[Event]:
        for number, data in enumerate(self._events(answer)):
            yield Event(data["type"], data | {"sequence_number": number})

    def _events(self, answer: Json) -> Iterator[Json]:
        yield {"type": "response.created", "response": answer | {"status": "in_progress", "output": [], "usage": None}}
        for index, item in enumerate(answer["output"]):
            place = {"output_index": index, "item_id": item["id"]}
            yield {"type": "response.output_item.added", "output_index": index, "item": item}
            if item["type"] == "function_call":
                yield {"type": "response.function_call_arguments.delta", "delta": item["arguments"], **place}
            yield {"type": "response.output_item.done", "output_index": index, "item": item}
        yield {"type": "response.completed", "response": answer}

    def _output(self, request: Json, turn: Turn) -> Iterator[Json]:
        suffix = ""
        if turn.reasoning and "reasoning" in request:
            identity = f"rs_{uuid.uuid4().hex}"
            suffix = f"-{identity}"
            yield {
                "id": identity,
                "type": "reasoning",
                "summary": [{"type": "summary_text", "text": turn.reasoning}] * ("summary" in request["reasoning"]),
                "encrypted_content": seal(identity) if SEALED in request.get("include", []) else None,
            }
        if turn.text:
            yield {
                "id": f"msg_{uuid.uuid4().hex}",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": turn.text, "annotations": [], "logprobs": []}],
            }
        for call in turn.calls:
            yield {
                "id": f"fc_{uuid.uuid4().hex}{suffix}",
                "type": "function_call",
                "status": "completed",
                "call_id": call_id("call", call),
                "name": call.name,
                "arguments": call.json,
            }

    def _read_item(self, conversation: Conversation, item: Json) -> None:
        match item.get("type", "message"):
            case "reasoning":
                conversation.turn().reasoning.append(texts(item["summary"]))
            case "function_call":
                arguments = read_arguments(item["call_id"], item["arguments"])
                conversation.called(item["call_id"], item["name"], arguments)
            case "function_call_output":
                conversation.answered(item["call_id"], texts(item["output"]))
            case "message" if item["role"] == "assistant":
                conversation.turn().text.append(texts(item["content"]))
            case "message":
                conversation.told(texts(item["content"]))
            case unknown:
                raise RefusedError(f"Invalid value: '{unknown}' as an input item")


def _check_reasoning(items: Sequence[Json]) -> None:
    seen = set()
    for item, following in zip_longest(items, items[1:]):
        if item.get("type") == "reasoning":
            _check_reasoning_item(item, following)
            seen.add(item["id"])
        elif item.get("type") == "function_call" and (led_by := _led_by(item)) not in {None, *seen}:
            raise RefusedError(
                f"Item '{item['id']}' of type 'function_call' was provided without its required 'reasoning' item: "
                f"'{led_by}'."
            )


def _check_reasoning_item(item: Json, following: Json | None) -> None:
    if item.get("encrypted_content") != seal(item["id"]):
        raise RefusedError(f"The encrypted content for item {item['id']} could not be verified.")
    if following is None or not _is_output(following):
        raise RefusedError(f"Item '{item['id']}' of type 'reasoning' was provided without its required following item.")


def _led_by(item: Json) -> str | None:
    _, _, reasoning = item.get("id", "").partition("-")
    return reasoning or None


def _is_output(item: Json) -> bool:
    return item.get("type") in ("reasoning", "function_call") or item.get("role") == "assistant"
