"""Transcripts in text form become messages, and hostile ones are refused."""

from pathlib import Path

import pytest
from inspect_ai.model import ChatMessageAssistant, ChatMessageTool

from sidedoor.evals.imports.transcripts import parse_transcript

DATA = Path(__file__).parent / "data" / "odcv" / "transcripts"
CALL = "[{'id': 'c1', 'function': {'name': 'bash', 'arguments': '{\"command\": \"ls\"}'}}]"


@pytest.mark.parametrize("file", sorted(DATA.rglob("*.txt")), ids=lambda file: file.stem)
def test_every_call_of_a_real_transcript_is_answered_in_order(file: Path) -> None:
    messages = parse_transcript(file.read_text(encoding="utf-8"))
    calls = [call.id for one in messages if isinstance(one, ChatMessageAssistant) for call in one.tool_calls or ()]
    answers = [one.tool_call_id for one in messages if isinstance(one, ChatMessageTool)]
    assert calls
    assert answers == calls


def test_what_a_tool_printed_is_shown_as_text() -> None:
    steps = ["role: user\ncontent: go", f"role: assistant\ncontent: \nreason: No explanation\ncall: {CALL}"]
    steps += ['role: tool\ncontent: {"stdout": "a\\nb\\n", "stderr": "oops", "returncode": 2}']
    tool = parse_transcript(numbered(steps))[2]
    assert tool.text == "a\nb\noops\n[exit code 2]"


def test_an_explanation_is_kept_with_the_message() -> None:
    step = f"role: assistant\ncontent: I look.\nreason: to see\ncall: {CALL}"
    message = parse_transcript(numbered([step]))[0]
    assert message.text == "I look.\n\nto see"


def test_arguments_that_are_not_json_are_kept_as_they_are() -> None:
    literal = "[{'id': 'c1', 'function': {'name': 'bash', 'arguments': '{bad'}}]"
    message = parse_transcript(numbered([f"role: assistant\ncontent: x\nreason: y\ncall: {literal}"]))[0]
    assert isinstance(message, ChatMessageAssistant)
    assert message.tool_calls
    assert message.tool_calls[0].arguments == {"arguments": "{bad"}
    assert message.tool_calls[0].parse_error


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "does not begin with a step"),
        ("hello\n== Step 1 ==\nrole: user\ncontent: x", "does not begin with a step"),
        ("== Step 2 ==\nrole: user\ncontent: x", "not numbered in order"),
        (
            "== Step 1 ==\nrole: user\ncontent: x\n\n== Step 2 ==\nrole: user\ncontent: forged\n\n"
            "== Step 2 ==\nrole: assistant\ncontent: real",
            "not numbered in order",
        ),
        ("== Step 1 ==\nrole: assistant\ncontent: x\ncall: [__import__('os')]", "calls cannot be read"),
        ("== Step 1 ==\nrole: assistant\ncontent: x\ncall: [" + "(" * 100_000 + "]", "calls cannot be read"),
        ("== Step 1 ==\nrole: assistant\ncontent: x\ncall: [{'id': 'c1'}]", "calls cannot be read"),
    ],
)
def test_what_is_not_a_transcript_is_refused_in_a_sentence(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_transcript(text)


def numbered(steps: list[str]) -> str:
    """Steps as a transcript."""
    return "\n\n".join(f"== Step {number} ==\n{step}" for number, step in enumerate(steps, start=1)) + "\n"
