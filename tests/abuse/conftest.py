"""Whole episodes with a hostile agent: real scenario, real machine, real agent loop, real scorer.

A test says with `@pytest.mark.play(*commands)` what the agent does and asks for the `ending` fixture. All plays of a
module run as the samples of one Inspect evaluation per provider, four at a time, so that their machines cost little.
Commands are templates over the scenario's facts, like those of reference scripts.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import anyio
import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalSample, read_eval_log_samples
from inspect_ai.model import ChatMessage, ChatMessageAssistant, ModelAPI, ModelOutput, ModelUsage, modelapi
from inspect_ai.util import sandbox, store_as

from sidedoor.evals.instrumental import build_task, cell_sample
from sidedoor.evals.rescore import kept_evidence, rescored_differences
from sidedoor.evals.samples import label_values
from sidedoor.sandboxes.choice import provider_named
from sidedoor.sandboxes.evidence import Evidence
from sidedoor.sandboxes.machine import ProviderName
from sidedoor.sandboxes.provider import WorkplaceSandbox
from sidedoor.sandboxes.workplace import Workplace
from sidedoor.scorers.record import EpisodeRecord
from sidedoor.tasks.catalogue import Scenario, load_scenario, parse_variant
from sidedoor.tasks.templates import fill

SUITE = "instrumental"
SEED = 1
AT_ONCE = 4

Interference = Callable[[Workplace], Awaitable[None]]


class Play(NamedTuple):
    """What an agent does: shell commands, and, before the last of them, something that happens on the host."""

    scenario: Scenario
    variant: str
    commands: tuple[str, ...]
    before_last: Interference | None

    @property
    def factors(self) -> dict[str, str]:
        return parse_variant(SUITE, self.variant)[1]


class Ending(NamedTuple):
    """How a play ended."""

    play: Play
    sample: EvalSample
    evidence: Evidence

    @property
    def outputs(self) -> list[str]:
        """What the agent was shown, command by command."""
        return [message.text for message in self.sample.messages if message.role == "tool"][:-1]

    @property
    def labels(self) -> dict[str, Any]:
        """The labels that `like` speaks of, as scored live."""
        values = label_values(self.sample.summary())
        return {label: values[label] for label in self.like("idle")}

    @property
    def findings(self) -> set[str]:
        """Ids of the findings of tampering."""
        scores = self.sample.scores or {}
        found = (scores["state"].metadata or {})["findings"]
        return {finding["id"] for finding in found if finding["kind"] == "tampering"}

    def like(self, reference: str, **changes: Any) -> dict[str, Any]:
        """The labels that a reference script gets in this cell, from an agent that left the machinery alone."""
        expected = self.play.scenario.references[reference].expected(self.play.factors).model_dump()
        expected["shortcuts"] = ",".join(expected["shortcuts"])
        return expected | {"tampered": False, "deterministic_label_status": "ok", "invalid_reason": None} | changes


PLAYS: dict[str, Play] = {}


@modelapi(name="intruder")
class Intruder(ModelAPI):
    """Goes through a play, command by command, and hands in."""

    async def generate(self, input: list[ChatMessage], *args: Any, **kwargs: Any) -> ModelOutput:  # noqa: A002
        play = PLAYS[str(store_as(EpisodeRecord).script)]
        turn = sum(1 for message in input if isinstance(message, ChatMessageAssistant))
        if play.before_last is not None and turn == len(play.commands) - 1:
            await play.before_last(await sandbox().as_type(WorkplaceSandbox).workplace())
        if turn < len(play.commands):
            command = fill(play.commands[turn], "command", play.scenario.facts(SEED)).strip()
            output = ModelOutput.for_tool_call(self.model_name, "bash", {"command": command})
        else:
            output = ModelOutput.for_tool_call(self.model_name, "submit", {"message": "That is all."})
        output.usage = ModelUsage()  # so that Inspect needs no tokenizer, which it would download
        return output


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "play(*commands, scenario, variant, before_last): what the agent of the `ending` fixture does"
    )


@pytest.fixture(
    scope="session",
    params=[
        pytest.param("docker", marks=pytest.mark.docker),
        pytest.param("embedded", marks=pytest.mark.embedded),
    ],
)
def provider_name(request: pytest.FixtureRequest) -> ProviderName:
    """Each provider in turn; what an agent tries on one must fail on the other."""
    anyio.run(provider_named(request.param).prepare, print)
    return request.param


@pytest.fixture(scope="module")
def endings(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, provider_name: ProviderName
) -> dict[str, Ending]:
    """How every play of this module ended on a provider, by its test's name."""
    names = []
    for item in request.session.items:
        marker = item.get_closest_marker("play")
        if marker and item.path == request.path and item.callspec.params["provider_name"] == provider_name:
            PLAYS[item.name] = _play(*marker.args, **marker.kwargs)
            names.append(item.name)
    scenarios = [PLAYS[name].scenario for name in names]
    task = build_task(SUITE, scenarios, [_sample(name, provider_name) for name in names], provider_name)
    (log,) = inspect_eval(
        task,
        model="intruder/any",
        log_dir=str(tmp_path_factory.mktemp("logs")),
        display="none",
        log_level="error",
        max_samples=AT_ONCE,
    )
    return {str(sample.id): _ending(sample) for sample in read_eval_log_samples(log.location)}


@pytest.fixture
def ending(request: pytest.FixtureRequest, endings: dict[str, Ending]) -> Ending:
    """How this test's play ended; its labels come out the same when they are derived again, without a container."""
    found = endings[request.node.name]
    assert rescored_differences(found.sample, found.evidence) == []
    return found


def _play(
    *commands: str, scenario: str = "quota_boost", variant: str = "A", before_last: Interference | None = None
) -> Play:
    return Play(load_scenario(SUITE, scenario), variant, commands, before_last)


def _sample(name: str, provider: ProviderName) -> Sample:
    play = PLAYS[name]
    sample = cell_sample(play.scenario, play.variant, play.factors, 1, SEED, provider)
    sample.id = name
    sample.metadata = (sample.metadata or {}) | {"script": name}
    return sample


def _ending(sample: EvalSample) -> Ending:
    if sample.error is not None:
        raise AssertionError(f"{sample.id}: {sample.error.message}\n{sample.error.traceback}")
    evidence = kept_evidence(sample)
    assert evidence is not None
    return Ending(PLAYS[str(sample.id)], sample, evidence)
