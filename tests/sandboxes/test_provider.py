"""The provider inside Inspect's own run: set-up, tools, scoring with evidence, clean-up, and the log."""

import asyncio
from pathlib import Path

import pytest
from inspect_ai import Task, eval_async
from inspect_ai.agent import react
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog, read_eval_log
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import Score, Target, accuracy, scorer
from inspect_ai.solver import TaskState
from inspect_ai.tool import bash
from inspect_ai.util import SandboxEnvironmentSpec, sandbox

from sidedoor.evals.instrumental import instrumental
from sidedoor.sandboxes.capture import capture
from sidedoor.sandboxes.choice import SANDBOX_TYPES
from sidedoor.sandboxes.embedded.desks import others_desks
from sidedoor.sandboxes.embedded.provider import Embedded
from sidedoor.sandboxes.engine import connect
from sidedoor.sandboxes.gateway import GatewayError
from sidedoor.sandboxes.machine import Machine, Provider, ProviderName
from sidedoor.sandboxes.ownership import LABEL, OWNER_LABEL, owner
from sidedoor.sandboxes.provider import ROOM, EmbeddedSandbox, WorkplaceSandbox
from sidedoor.sandboxes.spec import Episode, WorkplaceSpec, WorldBundle
from sidedoor.sandboxes.workplace import Workplace
from tests.sandboxes.conftest import office_spec


@scorer(metrics=[accuracy()])
def called_the_office():
    async def score(state: TaskState, target: Target) -> Score:
        evidence = await capture(await sandbox().as_type(WorkplaceSandbox).workplace())
        return Score(value=len(evidence.journal), metadata={"evidence": evidence.model_dump(mode="json")})

    return score


@scorer(metrics=[accuracy()])
def breaks():
    async def score(state: TaskState, target: Target) -> Score:
        raise RuntimeError("the scorer broke")

    return score


async def run(provider: ProviderName, tmp_path: Path, scoring, commands: list[str]) -> EvalLog:
    outputs = [ModelOutput.for_tool_call("mockllm/model", "bash", {"command": command}) for command in commands]
    outputs.append(ModelOutput.for_tool_call("mockllm/model", "submit", {"answer": "done"}))
    for output in outputs:  # otherwise Inspect counts tokens, and downloads a table for that
        output.usage = ModelUsage(input_tokens=1, output_tokens=1, total_tokens=2)
    spec = SandboxEnvironmentSpec(SANDBOX_TYPES[provider], office_spec())
    task = Task([Sample("work", sandbox=spec)], solver=react(tools=[bash(timeout=10)]), scorer=scoring)
    model = get_model("mockllm/model", custom_outputs=outputs)
    return (await eval_async(task, model=model, log_dir=str(tmp_path)))[0]


async def machines(provider: Provider) -> set[str]:
    """Those of this process that there are."""
    if isinstance(provider, Embedded):
        return {desk.name for desk, _ in others_desks()} & {machine.name for machine in provider._machines}
    return {c for c, found in (await connect().labelled(f"{LABEL}=1")).items() if found[OWNER_LABEL] == owner()}


async def test_an_agent_works_and_its_evidence_is_in_the_log(tmp_path, provider):
    log = await run(provider.name, tmp_path, called_the_office(), ["cat notes/today.md", "officectl echo hello"])
    assert log.status == "success", log.error
    read = read_eval_log(log.location)
    tools = [message.text for message in read.samples[0].messages if message.role == "tool"]
    assert tools[:2] == ["call Ada\n", '["hello"]\n']
    evidence = read.samples[0].scores["called_the_office"].metadata["evidence"]
    assert evidence["journal"][0]["argv"] == ["officectl", "echo", "hello"]
    assert [command["argv"][-1] for command in evidence["commands"]] == ["cat notes/today.md", "officectl echo hello"]
    assert read.samples[0].sandbox.config == office_spec()
    assert read.samples[0].sandbox.type == SANDBOX_TYPES[provider.name]
    assert await machines(provider) == set()


async def test_a_sample_that_breaks_leaves_no_machine(tmp_path, provider):
    log = await run(provider.name, tmp_path, breaks(), ["true"])
    assert log.status == "error"
    assert await machines(provider) == set()


async def test_the_log_says_where_episodes_happened_and_from_what_image(provider):
    task = instrumental(scenario="quota_boost", variant="A", sandbox=provider.name)
    assert task.metadata["sandbox"] == {"provider": provider.name, "image": provider.image}
    assert task.sandbox.type == SANDBOX_TYPES[provider.name]
    assert {sample.sandbox.type for sample in task.dataset} == {SANDBOX_TYPES[provider.name]}


def test_configurations_read_back_from_a_log_are_those_that_were_written():
    episode = Episode(suite="s", scenario="q", factors={"b": "1", "a": "2"}, seed=3)
    for config in (episode, office_spec()):
        assert WorkplaceSandbox.config_deserialize(config.model_dump(mode="json")) == config


def test_equal_configurations_hash_alike_whatever_the_order_of_their_factors():
    one = Episode(suite="s", scenario="q", factors={"a": "1", "b": "2"}, seed=3)
    two = Episode(suite="s", scenario="q", factors={"b": "2", "a": "1"}, seed=3)
    assert one == two
    assert hash(one) == hash(two)
    assert hash(office_spec()) == hash(WorkplaceSpec.model_validate_json(office_spec().model_dump_json()))


async def test_any_other_configuration_is_refused():
    with pytest.raises(TypeError, match="Episode or a WorkplaceSpec"):
        await WorkplaceSandbox.sample_init("t", "compose.yaml", {})


# ---- a workplace opens while the model thinks ---------------------------------------------------------------------


@pytest.fixture
def kind(provider: Provider) -> type[WorkplaceSandbox]:
    return {"docker": WorkplaceSandbox, "embedded": EmbeddedSandbox}[provider.name]


async def test_a_sample_begins_before_its_workplace_is_open_and_its_first_command_waits(kind, monkeypatch):
    may_open, really = asyncio.Event(), Workplace.open

    async def held_up(machine: Machine, spec: WorkplaceSpec) -> Workplace:
        await may_open.wait()
        return await really(machine, spec)

    monkeypatch.setattr(Workplace, "open", held_up)
    made = await kind.sample_init("t", office_spec(), {})
    try:
        assert (await made["default"].connection()).container == made["default"].machine.name
        command = asyncio.create_task(made["default"].exec(["cat", "notes/today.md"]))
        given_up = asyncio.create_task(made["default"].exec(["true"]))
        await asyncio.sleep(0)
        given_up.cancel()
        may_open.set()
        assert (await command).stdout == "call Ada\n"
        assert [one.argv[0] for one in (await made["default"].workplace()).commands] == ["cat"]
    finally:
        may_open.set()
        await kind.sample_cleanup("t", office_spec(), made, interrupted=False)


async def test_a_sample_that_ends_while_its_workplace_opens_leaves_no_machine_and_takes_no_room(kind, provider):
    taken = ROOM.taken
    made = await kind.sample_init("t", office_spec(), {})
    await kind.sample_cleanup("t", office_spec(), made, interrupted=True)
    assert await machines(provider) == set()
    assert ROOM.taken == taken


async def test_what_needs_a_workplace_that_cannot_be_opened_fails_as_the_opening_did(kind, provider):
    taken, broken = ROOM.taken, WorldBundle(modules={"office": "1 / 0"}, entry="office:O", factors={}, facts={})
    made = await kind.sample_init("t", office_spec(world=broken), {})
    for use in (made["default"].exec(["true"]), made["default"].read_file("a"), made["default"].workplace()):
        with pytest.raises(GatewayError, match="ZeroDivisionError"):
            await use
    await kind.sample_cleanup("t", office_spec(), made, interrupted=False)
    async with asyncio.timeout(10):  # a container whose first process failed removes itself
        while await machines(provider):
            await asyncio.sleep(0.02)
    assert ROOM.taken == taken
