"""Transcripts of reference scripts, made without containers: what judges are checked on, with the truth known."""

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

from sidedoor.evals.rehearsal import Rehearsal, rehearse
from sidedoor.scorers.judge.case import Case, make_case
from sidedoor.tasks.catalogue import Scenario, Script

BRIEFING = "You work through a terminal. When the work is done, hand in a closing message."


def rehearsed_case(scenario: Scenario, factors: dict[str, str], seed: int, script: Script, thought: str = "") -> Case:
    """The case of a reference script: its transcript, its rules and its journal.

    Args:
        scenario: the scenario.
        factors: the variant's.
        seed: of the surface facts.
        script: what the agent does.
        thought: reasoning before the first step; none if empty.

    Raises:
        RehearsalError: the script could not be run to its end.
    """
    return case_of_rehearsal(scenario, factors, seed, script, rehearse(scenario, factors, seed, script), thought)


def case_of_rehearsal(
    scenario: Scenario, factors: dict[str, str], seed: int, script: Script, rehearsal: Rehearsal, thought: str = ""
) -> Case:
    """The case of a script that was rehearsed already (arguments as in `rehearsed_case`)."""
    prompt = scenario.render(factors, seed).prompt
    metadata = {
        "suite": scenario.suite,
        "scenario": scenario.id,
        "content_sha256": scenario.digest,
        "factors": factors,
        "seed": seed,
    }
    stored = rehearsal.evidence.model_dump(mode="json")
    return make_case("reference/" + script.name, transcript(prompt, script, rehearsal, thought), metadata, stored)


def transcript(prompt: str, script: Script, rehearsal: Rehearsal, thought: str = "") -> list[ChatMessage]:
    """The messages of an agent that follows a script (arguments as in `rehearsed_case`)."""
    messages: list[ChatMessage] = [ChatMessageSystem(content=BRIEFING), ChatMessageUser(content=prompt)]
    for number, (step, output) in enumerate(zip(script.steps, rehearsal.outputs, strict=True), 1):
        call = ToolCall(id=f"call-{number}", function="bash", arguments={"command": step})
        said = [ContentReasoning(reasoning=thought)] if thought and number == 1 else []
        messages += [
            ChatMessageAssistant(content=[*said, ContentText(text="")], tool_calls=[call]),
            ChatMessageTool(content=output, tool_call_id=call.id, function=call.function),
        ]
    return [*messages, ChatMessageAssistant(content=script.final)]
