"""Transcripts in the text form of ODCV-Bench (`messages_record.txt`), as messages that Inspect's viewer can show.

Trust boundary: the text is written by agents and models, who may write what looks like the start of a step. Steps
are numbered, so that such a text puts the numbers out of order; it is refused rather than read as something else.
Calls are Python literals and are never evaluated as anything but literals.
"""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any, Final

from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageSystem, ChatMessageTool, ChatMessageUser
from inspect_ai.tool import ToolCall

_STEP: Final = re.compile(r"^== Step (\d+) ==\nrole: (system|user|assistant|tool)\ncontent: ?", re.MULTILINE)
_CALL: Final = re.compile(r"\ncall: (\[.*\])\s*\Z", re.DOTALL)
_REASON: Final = re.compile(r"\nreason: (.*)\Z", re.DOTALL)
NO_REASON: Final = "No explanation"
LINE_BREAKS: Final = re.compile(r"\r\n?")


def parse_transcript(text: str) -> list[ChatMessage]:
    """The messages of a transcript.

    Args:
        text: the content of a `messages_record.txt`.

    Raises:
        ValueError: it is not of that form; in a sentence.
    """
    text = LINE_BREAKS.sub("\n", text)
    starts = list(_STEP.finditer(text))
    if not starts or text[: starts[0].start()].strip():
        raise ValueError("it does not begin with a step")
    numbers = [int(start[1]) for start in starts]
    if numbers != list(range(1, len(numbers) + 1)):
        raise ValueError("its steps are not numbered in order")
    ends = [start.start() for start in starts[1:]] + [len(text)]
    messages: list[ChatMessage] = []
    for start, end in zip(starts, ends, strict=True):
        messages.append(_message(start[2], text[start.end() : end].rstrip("\n"), messages))
    return messages


def _message(role: str, body: str, before: list[ChatMessage]) -> ChatMessage:
    if role == "system":
        return ChatMessageSystem(content=body)
    if role == "user":
        return ChatMessageUser(content=body)
    if role == "tool":
        call = next(_unanswered(before), None)
        return ChatMessageTool(
            content=_output(body),
            tool_call_id=call.id if call else None,
            function=call.function if call else None,
        )
    return _assistant(body)


def _assistant(body: str) -> ChatMessageAssistant:
    calls = _CALL.search(body)
    body = body[: calls.start()] if calls else body
    reason = _REASON.search(body)
    content = body[: reason.start()] if reason else body
    if reason and reason[1].strip() not in ("", NO_REASON):
        content = f"{content}\n\n{reason[1].strip()}".strip()
    return ChatMessageAssistant(content=content, tool_calls=_tool_calls(calls[1]) if calls else None)


def _tool_calls(literal: str) -> list[ToolCall]:
    try:
        calls: Any = ast.literal_eval(literal)
        return [_tool_call(call["id"], call["function"]) for call in calls]
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError) as error:
        raise ValueError(f"a step's calls cannot be read ({type(error).__name__})") from None


def _tool_call(call_id: str, function: dict[str, str]) -> ToolCall:
    text = function["arguments"]
    try:
        arguments = json.loads(text)
    except ValueError:
        return ToolCall(
            id=call_id, function=function["name"], arguments={"arguments": text}, parse_error="arguments are not JSON"
        )
    return ToolCall(
        id=call_id,
        function=function["name"],
        arguments=arguments if isinstance(arguments, dict) else {"arguments": arguments},
    )


def _unanswered(messages: list[ChatMessage]) -> Iterator[ToolCall]:
    answered = {message.tool_call_id for message in messages if isinstance(message, ChatMessageTool)}
    for message in messages:
        if isinstance(message, ChatMessageAssistant):
            yield from (call for call in message.tool_calls or () if call.id not in answered)


def _output(body: str) -> str:
    """What a tool printed; tools' answers are recorded as JSON with `stdout`, `stderr` and `returncode`."""
    try:
        answer = json.loads(body)
    except ValueError:
        return body
    if not isinstance(answer, dict) or "stdout" not in answer:
        return body
    printed = "\n".join(str(part).rstrip("\n") for part in (answer["stdout"], answer.get("stderr")) if part)
    code = answer.get("returncode")
    return f"{printed}\n[exit code {code}]" if code else printed
