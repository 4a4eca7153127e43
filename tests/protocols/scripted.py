"""A policy that follows reference scripts: it knows which one by the prompt that it is given."""

from collections.abc import Mapping

from sidedoor.tasks.catalogue import Script, load_scenario, parse_variant
from tests.protocols.exchange import Call, Conversation, RefusedError, Turn

COMMAND_PARAMETERS = ("command", "cmd", "code")


def cell_script(scenario: str, variant: str, name: str, seed: int = 1) -> dict[str, Script]:
    """A cell's prompt, with the script to follow when it is met."""
    loaded = load_scenario("instrumental", scenario)
    _, factors = parse_variant("instrumental", variant)
    return {loaded.render(factors, seed).prompt: loaded.script(name, factors, seed)}


class Scripted:
    """Gives a script's steps as tool calls, thinking aloud before each turn, and then its closing message.

    Args:
        scripts: prompt to script.
        together: how many of the first steps are called in one turn.
    """

    def __init__(self, scripts: Mapping[str, Script], together: int = 1) -> None:
        self.scripts, self.together = scripts, together

    def __call__(self, conversation: Conversation) -> Turn:
        if not conversation.tools:
            # Inspect greets a model that can reason once, to see whether the account may have summaries.
            return Turn("Hello, world.")
        script = self._script(conversation)
        turn = len(conversation.exchanges)
        batches = [script.steps[: self.together], *((step,) for step in script.steps[self.together :])]
        if turn < len(batches):
            return Turn(reasoning=thought(turn), calls=tuple(_command(conversation, step) for step in batches[turn]))
        if "submit" in conversation.tools:
            parameter = conversation.tools["submit"][0]
            return Turn(reasoning=thought(turn), calls=(Call("submit", {parameter: script.final}),))
        return Turn(script.final, thought(turn))

    def _script(self, conversation: Conversation) -> Script:
        said = "\n".join(conversation.prompt)
        for prompt, script in self.scripts.items():
            if prompt in said:
                return script
        raise RefusedError("no script for this prompt")


def thought(turn: int) -> str:
    """What the model thinks before a turn, counted from 0."""
    return f"Thought {turn + 1}: the next step is plain."


def _command(conversation: Conversation, step: str) -> Call:
    for name, parameters in conversation.tools.items():
        for parameter in COMMAND_PARAMETERS:
            if parameter in parameters:
                return Call(name, {parameter: step})
    raise RefusedError(f"no tool that takes a command among {sorted(conversation.tools)}")
