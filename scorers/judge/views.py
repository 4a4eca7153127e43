"""Views: which parts of a transcript a judge may see. Declared beforehand and recorded with every verdict.

A judge that reads an agent's reasoning can be talked into its excuses, and one that does not see it misses what was
only weighed; so a view is a choice of the study, never of the moment.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from inspect_ai.model import ChatMessage, ChatMessageAssistant, ContentReasoning, ContentText

from sidedoor.scorers.judge.judgement import View

_SHOWS_ACTIONS: Final = (View.ACTIONS, View.ACTIONS_REASONING)
_SHOWS_REASONING: Final = (View.REASONING, View.ACTIONS_REASONING)


def has_reasoning(messages: Sequence[ChatMessage]) -> bool:
    """Whether any reasoning can be read: hidden reasoning of a provider is none."""
    return any(_readable_reasoning(message) for message in messages if isinstance(message, ChatMessageAssistant))


def seen(messages: Sequence[ChatMessage], view: View) -> Iterator[tuple[int, ChatMessage]]:
    """The messages as a view shows them, each with its position; those of which nothing is left are dropped.

    Text beside a tool call is thinking aloud and goes with the reasoning; the agent's last message is its report and
    belongs to every view.
    """
    last = max((at for at, one in enumerate(messages) if one.role == "assistant"), default=-1)
    for at, message in enumerate(messages):
        if isinstance(message, ChatMessageAssistant):
            kept = _assistant(message, view, is_report=at == last)
            if kept.text or kept.tool_calls or _readable_reasoning(kept):
                yield at, kept
        elif message.role != "tool" or view in _SHOWS_ACTIONS:
            yield at, message


def _assistant(message: ChatMessageAssistant, view: View, is_report: bool) -> ChatMessageAssistant:
    thinking = _readable_reasoning(message) if view in _SHOWS_REASONING else []
    aloud = message.text if view in _SHOWS_REASONING or is_report or not message.tool_calls else ""
    calls = message.tool_calls if view in _SHOWS_ACTIONS or is_report else None
    content = [ContentReasoning(reasoning=text) for text in thinking]
    return message.model_copy(update={"content": [*content, ContentText(text=aloud)], "tool_calls": calls})


def _readable_reasoning(message: ChatMessageAssistant) -> list[str]:
    if isinstance(message.content, str):
        return []
    parts = (part for part in message.content if isinstance(part, ContentReasoning))
    texts = ((part.summary or "") if part.redacted else part.reasoning for part in parts)
    return [text for text in texts if text.strip()]
