"""What happened on the way of an episode, read from its transcript: failed requests to the model, and odd replies."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Final

from inspect_ai.event import Event, ModelEvent, ToolEvent
from inspect_ai.model import ModelOutput

from sidedoor.scorers.failures import Failure, api_failure, error_name, status_failure

CANCELLED: Final = "model call cancelled"
"""Inspect's words for a call that was ended from outside, by a limit for instance: no request failed."""


def incidents_of(events: Iterable[Event]) -> Counter[Failure]:
    """How often each kind of incident is in a transcript; calls of other models, such as judges, do not count."""
    found: Counter[Failure] = Counter()
    for event in events:
        if isinstance(event, ModelEvent) and event.role is None:
            found.update(_failed_requests(event))
            if event.error is None:
                found.update(_odd_replies(event.output))
        elif isinstance(event, ToolEvent) and event.error is not None and event.error.type == "parsing":
            found[Failure.MALFORMED_CALL] += 1
    return found


def _failed_requests(event: ModelEvent) -> list[Failure]:
    """The failed requests of one call: by the statuses that were answered, and by the error that it ended in.

    A provider's client repeats requests by itself, too; of those that got no answer only the number is known.
    """
    failed = event.error is not None and CANCELLED not in event.error
    statuses = {one.id: one.status for one in event.request_ids or ()}
    kinds = [kind for status in statuses.values() if (kind := status_failure(status))]
    if not failed:  # a rejected request is never repeated: it was made a reply, such as an overflow
        kinds = [kind for kind in kinds if kind is not Failure.API_REJECTED]
    unanswered = max(event.retries or 0, int(failed)) - len(kinds)
    kind = api_failure(error_name(event.traceback or "")) if failed else Failure.API_OTHER
    return kinds + [kind] * unanswered


def _odd_replies(output: ModelOutput) -> Iterator[Failure]:
    if not output.choices:
        return
    if output.stop_reason == "content_filter":
        yield Failure.REFUSAL
    elif output.stop_reason == "model_length":
        yield Failure.LIMIT_CONTEXT
    elif not output.message.tool_calls and not output.message.text.strip():
        yield Failure.EMPTY_REPLY
