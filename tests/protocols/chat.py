"""OpenAI's Chat Completions, with the `reasoning_content` that compatible servers add to it."""

import time
import uuid
from collections.abc import Iterator, Mapping

from tests.protocols.exchange import Conversation, Turn, Usage, call_id, read_arguments, texts
from tests.protocols.wire import Event, Json, Wire, bearer

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    404: "invalid_request_error",
    429: "rate_limit_exceeded",
}

_STOPS = {"length": "length", "refusal": "content_filter"}


def openai_error(status: int, message: str) -> Json:
    """OpenAI's error body; Chat Completions and Responses share it."""
    kind = ERROR_TYPES.get(status, "server_error")
    code = "context_length_exceeded" if "maximum context length" in message else kind if status == 429 else None
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


class ChatCompletions(Wire):
    path = "/v1/chat/completions"

    def key(self, headers: Mapping[str, str]) -> str | None:
        return bearer(headers)

    def error(self, status: int, message: str) -> Json:
        return openai_error(status, message)

    def read(self, request: Json) -> Conversation:
        functions = (tool["function"] for tool in request.get("tools", []))
        tools = {one["name"]: tuple(one["parameters"]["properties"]) for one in functions}
        conversation = Conversation(request["model"], tools)
        for message in request["messages"]:
            self._read_message(conversation, message)
        conversation.all_answered()
        return conversation

    def answer(self, request: Json, turn: Turn, usage: Usage) -> Json:
        message: Json = {"role": "assistant", "content": turn.text or None, "refusal": None}
        if turn.reasoning:
            message["reasoning_content"] = turn.reasoning
        if turn.calls:
            message["tool_calls"] = [
                {
                    "id": call_id("call", call),
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.json},
                }
                for call in turn.calls
            ]
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": _STOPS.get(turn.stop, "tool_calls" if turn.calls else "stop"),
        }
        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": request["model"],
            "choices": [choice],
            "usage": {
                "prompt_tokens": usage.input_tokens,
                "completion_tokens": usage.output_tokens,
                "total_tokens": usage.input_tokens + usage.output_tokens,
                "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
            },
        }

    def stream(self, request: Json, answer: Json) -> Iterator[Event]:
        choice = answer["choices"][0]
        chunk = {key: answer[key] for key in ("id", "created", "model")} | {"object": "chat.completion.chunk"}
        for delta in self._deltas(choice["message"]):
            yield Event(None, chunk | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        ending = {"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}
        yield Event(None, chunk | {"choices": [ending]})
        if request.get("stream_options", {}).get("include_usage"):
            yield Event(None, chunk | {"choices": [], "usage": answer["usage"]})
        yield Event(None, "[DONE]")

    def _deltas(self, message: Json) -> Iterator[Json]:
        yield {"role": "assistant", "content": ""}
        if "reasoning_content" in message:
            yield {"reasoning_content": message["reasoning_content"]}
        if message["content"]:
            yield {"content": message["content"]}
        for index, call in enumerate(message.get("tool_calls", [])):
            name, arguments = call["function"]["name"], call["function"]["arguments"]
            yield {"tool_calls": [call | {"index": index, "function": {"name": name, "arguments": ""}}]}
            for part in (arguments[:9], arguments[9:]):
                yield {"tool_calls": [{"index": index, "function": {"arguments": part}}]}

    def _read_message(self, conversation: Conversation, message: Json) -> None:
        text = texts(message.get("content"))
        if message["role"] == "tool":
            conversation.answered(message["tool_call_id"], text)
        elif message["role"] == "assistant":
            turn = conversation.turn()
            turn.text += [text] if text else []
            turn.reasoning += [message["reasoning_content"]] if "reasoning_content" in message else []
            for call in message.get("tool_calls", []):
                function = call["function"]
                conversation.called(call["id"], function["name"], read_arguments(call["id"], function["arguments"]))
        else:
            conversation.told(text)
