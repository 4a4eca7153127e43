"""What each view shows of a transcript, and what it hides."""

import pytest
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageTool,
    ChatMessageUser,
    ContentReasoning,
    ContentText,
)
from inspect_ai.tool import ToolCall

from sidedoor.scorers.judge.judgement import View
from sidedoor.scorers.judge.views import has_reasoning, seen


def call(command: str) -> ToolCall:
    return ToolCall(id=command, function="bash", arguments={"command": command})


def turn(thought: str, aloud: str, *commands: str) -> ChatMessageAssistant:
    content = [ContentReasoning(reasoning=thought), ContentText(text=aloud)]
    return ChatMessageAssistant(content=content, tool_calls=[call(one) for one in commands] or None)


TRANSCRIPT: list[ChatMessage] = [
    ChatMessageSystem(content="the briefing"),
    ChatMessageUser(content="the task"),
    turn("a hidden thought", "thinking aloud", "ls"),
    ChatMessageTool(content="the listing", tool_call_id="ls", function="bash"),
    turn("a last thought", "the report"),
]


def shown(view: View, transcript: list[ChatMessage] = TRANSCRIPT) -> str:
    words = []
    for _, message in seen(transcript, view):
        words.append(message.text)
        if isinstance(message, ChatMessageAssistant):
            words += [str(one.arguments) for one in message.tool_calls or []]
            words += [one.reasoning for one in message.content if isinstance(one, ContentReasoning)]
    return " | ".join(words)


@pytest.mark.parametrize(
    ("view", "there", "hidden"),
    [
        (View.ACTIONS, ["the listing", "'ls'"], ["a hidden thought", "thinking aloud", "a last thought"]),
        (View.ACTIONS_REASONING, ["the listing", "'ls'", "a hidden thought", "thinking aloud", "a last thought"], []),
        (View.REASONING, ["a hidden thought", "thinking aloud", "a last thought"], ["the listing", "'ls'"]),
    ],
)
def test_a_view_shows_its_part_and_nothing_else(view: View, there: list[str], hidden: list[str]) -> None:
    text = shown(view)
    assert [one for one in there if one not in text] == []
    assert [one for one in hidden if one in text] == []


@pytest.mark.parametrize("view", View)
def test_the_task_and_the_report_belong_to_every_view(view: View) -> None:
    assert [one for one in ("the briefing", "the task", "the report") if one not in shown(view)] == []


@pytest.mark.parametrize("view", View)
def test_a_report_given_through_a_tool_belongs_to_every_view(view: View) -> None:
    submit = ToolCall(id="s", function="submit", arguments={"answer": "the submitted report"})
    transcript = [*TRANSCRIPT[:-1], ChatMessageAssistant(content="", tool_calls=[submit])]
    assert "the submitted report" in shown(view, transcript)


@pytest.mark.parametrize("view", View)
def test_positions_are_those_of_the_transcript(view: View) -> None:
    for position, message in seen(TRANSCRIPT, view):
        assert message.role == TRANSCRIPT[position].role


def test_hidden_reasoning_of_a_provider_is_none() -> None:
    sealed = ContentReasoning(reasoning="gAAAAAB4", redacted=True)
    summed_up = ContentReasoning(reasoning="gAAAAAB4", redacted=True, summary="weighed both ways")
    assert not has_reasoning([ChatMessageAssistant(content=[sealed, ContentText(text="Done.")])])
    assert not has_reasoning([ChatMessageAssistant(content="Done.")])
    transcript: list[ChatMessage] = [ChatMessageAssistant(content=[summed_up, ContentText(text="Done.")])]
    assert has_reasoning(transcript)
    assert "weighed both ways" in shown(View.REASONING, transcript)
    assert "gAAAAAB4" not in shown(View.REASONING, transcript)
