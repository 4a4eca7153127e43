"""Reference models: scripted policies of known behaviour that act through the same loop, tools and containers.

They exist to prove the machinery: the labels of `reference/official` and the rates of `reference/mixture` are known
before the run. They know the episode from the sample's store, not from the prompt, and need no network.

Names: `reference/<kind>` (official, shortcut, attempt, escalate, idle, near_miss), `reference/<script>` for one script
by its file name, and `reference/mixture[-<label>]`, which draws a kind per sample. They answer at once, or after a
`latency` like that of a real model, so that the cost of a run can be measured without one.
"""

import random
from collections.abc import Mapping
from typing import Any

import anyio
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    modelapi,
)
from inspect_ai.tool import ToolCall, ToolChoice, ToolInfo
from inspect_ai.util import store_as

from sidedoor.scorers.record import EpisodeRecord
from sidedoor.tasks.catalogue import REFERENCE_KINDS, Scenario, Script, load_scenario
from sidedoor.tasks.yaml_source import SourceError, nearest

MIXABLE = tuple(kind for kind in REFERENCE_KINDS if kind != "violation")
"""What a mixture may draw: every scenario has these."""

DEFAULT_MIXTURE = {"shortcut": 0.2, "escalate": 0.1}
COMMAND_PARAMETERS = ("command", "cmd", "code")
CHARACTERS_PER_TOKEN = 4


KNOWN = (*REFERENCE_KINDS, "mixture", "scripted")
"""What a model's name may begin with; `scripted` follows the script named in each sample."""


@modelapi(name="reference")
class ReferenceModel(ModelAPI):
    """A scripted model.

    Args:
        model_name: what follows `reference/`.
        base_url: unused.
        api_key: unused.
        config: unused.
        latency: seconds before each answer.
        seed: mixture only: seed of the draws.
        rates: mixture only: kind to probability, e.g. `shortcut=0.2`; `shortcut@H=0.4` for one variant. What is
            left over is `official`. Without any, shortcut 0.2 and escalate 0.1.

    Raises:
        SourceError: an unknown name, kind or rate.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 - Inspect's signature
        latency: float = 0.0,
        seed: int = 0,
        **rates: float,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config)
        self.seed = seed
        self.latency = check_latency(latency)
        kind = model_name.partition("-")[0]
        if kind not in KNOWN:
            raise SourceError(f"reference/{model_name}: no such script{nearest(kind, list(KNOWN))}")
        self.mixed = kind == "mixture"
        self.rates = check_rates(rates or DEFAULT_MIXTURE)
        if rates and not self.mixed:
            raise SourceError(f"reference/{model_name} takes no rates; reference/mixture does")

    async def generate(
        self,
        input: list[ChatMessage],  # noqa: A002 - Inspect's signature
        tools: list[ToolInfo],
        tool_choice: ToolChoice,  # noqa: ARG002 - Inspect's signature
        config: GenerateConfig,  # noqa: ARG002 - Inspect's signature
    ) -> ModelOutput:
        """The script's next step as a tool call; after the last one, the closing message."""
        await anyio.sleep(self.latency)
        record = store_as(EpisodeRecord)
        script = self._script(record)
        turn = sum(1 for message in input if isinstance(message, ChatMessageAssistant))
        call = _call(script, turn, tools)
        text = script.final if turn >= len(script.steps) else ""
        message = ChatMessageAssistant(
            content=text, tool_calls=[call] if call else None, model=self.model_name, source="generate"
        )
        output = ModelOutput.from_message(message, stop_reason="tool_calls" if call else "stop")
        output.model = self.model_name
        output.usage = _usage(input, f"{text}{call.arguments if call else ''}")
        return output

    def _script(self, record: EpisodeRecord) -> Script:
        episode = record.identity()
        scenario = load_scenario(episode.suite, episode.scenario)
        factors = dict(episode.factors)
        wanted = record.script or (self._drawn(record) if self.mixed else self.model_name)
        return scenario.script(script_name(scenario, wanted), factors, episode.seed)

    def _drawn(self, record: EpisodeRecord) -> str:
        episode = record.identity()
        rng = random.Random(f"{self.seed}/{self.model_name}/{episode.scenario}/{record.variant}/{record.epoch}")  # noqa: S311
        rates = rates_for(self.rates, record.variant)
        point = rng.random()
        for kind, rate in rates.items():
            point -= rate
            if point < 0:
                return kind
        return "official"


def script_name(scenario: Scenario, wanted: str) -> str:
    """The script that a reference name means: its own name, or `shortcut` for the scenario's first shortcut.

    Raises:
        SourceError: there is none.
    """
    if wanted == "shortcut":
        return f"shortcut-{scenario.spec.shortcuts[0].id}"
    if wanted not in scenario.references:
        raise SourceError(
            f"reference/{wanted}: no such script{nearest(wanted, [*scenario.references, 'shortcut', 'mixture'])}"
        )
    return wanted


def reference_args(name: str, args: Mapping[str, Any]) -> dict[str, Any]:
    """Which of a run's model arguments a model takes: all, but of reference models only mixtures take rates."""
    rateless = name.startswith("reference/") and not name.startswith("reference/mixture")
    return {key: value for key, value in args.items() if not rateless or key == "latency"}


def check_latency(seconds: Any) -> float:
    """Check a latency.

    Raises:
        SourceError: it is no number of seconds from 0 up.
    """
    if not isinstance(seconds, int | float) or not 0 <= seconds < float("inf"):
        raise SourceError(f"reference models: latency must be a number of seconds from 0 up, not {seconds}")
    return float(seconds)


def check_rates(rates: dict[str, Any]) -> dict[str, float]:
    """Check a mixture's rates.

    Raises:
        SourceError: an unknown kind, a rate outside [0, 1], or rates of one variant adding up to more than 1.
    """
    for key, rate in rates.items():
        kind = key.partition("@")[0]
        if kind not in MIXABLE:
            raise SourceError(f"reference/mixture: unknown kind '{kind}'{nearest(kind, list(MIXABLE))}")
        if not isinstance(rate, int | float) or not 0 <= rate <= 1:
            raise SourceError(f"reference/mixture: {key} must be between 0 and 1, not {rate}")
    for variant in {key.partition("@")[2] for key in rates}:
        if sum(rates_for(rates, variant).values()) > 1 + 1e-9:
            raise SourceError(f"reference/mixture: rates add up to more than 1 for {variant or 'all variants'}")
    return {key: float(rate) for key, rate in rates.items()}


def rates_for(rates: dict[str, float], variant: str) -> dict[str, float]:
    """Rates by kind for one variant: its own where given, the general ones otherwise."""
    general = {key: rate for key, rate in rates.items() if "@" not in key}
    own = {key.partition("@")[0]: rate for key, rate in rates.items() if key.partition("@")[2] == variant and variant}
    return general | own


def _call(script: Script, turn: int, tools: list[ToolInfo]) -> ToolCall | None:
    if turn < len(script.steps):
        for tool in tools:
            for parameter in COMMAND_PARAMETERS:
                if parameter in tool.parameters.properties:
                    return ToolCall(
                        id=f"call-{turn + 1}", function=tool.name, arguments={parameter: script.steps[turn]}
                    )
        raise SourceError("reference models need a tool with a 'command' parameter; this agent has none")
    for tool in tools:
        if tool.name == "submit":
            parameter = next(iter(tool.parameters.properties))
            return ToolCall(id=f"call-{turn + 1}", function=tool.name, arguments={parameter: script.final})
    return None


def _usage(input: list[ChatMessage], text: str) -> ModelUsage:  # noqa: A002 - Inspect's word
    """A rough count, so that Inspect needs no tokenizer (which it would download)."""
    read = sum(len(message.text) for message in input) // CHARACTERS_PER_TOKEN
    written = len(text) // CHARACTERS_PER_TOKEN
    return ModelUsage(input_tokens=read, output_tokens=written, total_tokens=read + written)
