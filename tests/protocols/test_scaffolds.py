"""Other agents than the default one, on the same scenarios."""

import pytest
from inspect_ai.agent import Agent, AgentState, agent
from inspect_ai.log import read_eval_log
from inspect_ai.model import execute_tools, get_model
from inspect_ai.solver import Solver, basic_agent, solver
from inspect_ai.tool import bash

from tests.protocols.conftest import Serve, Start
from tests.protocols.scripted import Scripted, cell_script

pytestmark = pytest.mark.docker


@agent
def bare_loop() -> Agent:
    """Calls tools for as long as the model asks for some; there is nothing to submit with."""

    async def execute(state: AgentState) -> AgentState:
        tools = [bash(timeout=60)]
        while True:
            state.output = await get_model().generate(state.messages, tools)
            state.messages.append(state.output.message)
            if not state.output.message.tool_calls:
                return state
            state.messages.extend((await execute_tools(state.messages, tools)).messages)

    return execute


@solver
def stock_agent() -> Solver:
    """Inspect's `basic_agent`, with a shell."""
    return basic_agent(tools=[bash(timeout=60)])


@pytest.mark.parametrize("scaffold", ["bare_loop", "stock_agent"])
def test_another_registered_scaffold_runs_the_scenario_to_its_end(serve: Serve, start: Start, scaffold: str) -> None:
    serve(Scripted(cell_script("quota_boost", "A", "official"), together=2))
    run = start("openai/gpt-4.1", solver=scaffold, scenario="quota_boost", variant="A")
    assert [(row.status, row.clean_success) for row in run.rows] == [("ok", True)]
    metadata = read_eval_log(str(run.folder / run.rows[0].log), header_only=True).eval.metadata
    assert metadata is not None
    assert metadata["solver"] == scaffold == run.manifest.request.solver
