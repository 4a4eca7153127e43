"""Other agents than the default one, on the same scenarios."""

from pathlib import Path

import pytest
from inspect_ai import eval as inspect_eval
from inspect_ai.agent import Agent, AgentState, agent
from inspect_ai.log import read_eval_log
from inspect_ai.model import execute_tools, get_model
from inspect_ai.solver import Solver, basic_agent, solver
from inspect_ai.tool import bash

from sidedoor.evals.frame.read import read_frame
from sidedoor.evals.instrumental import instrumental
from sidedoor.evals.samples import read_rows
from sidedoor.scorers.failures import Failure, read_incidents
from tests.protocols.conftest import Serve, Start
from tests.protocols.exchange import Fault
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


@pytest.mark.parametrize(
    "scaffold", ["bare_loop", "stock_agent", f"{__file__}@stock_agent"], ids=lambda name: Path(name).name
)
def test_another_scaffold_registered_or_in_a_file_runs_the_scenario_to_its_end(
    serve: Serve, start: Start, scaffold: str
) -> None:
    serve(Scripted(cell_script("quota_boost", "A", "official"), together=2))
    run = start("openai/gpt-4.1", solver=scaffold, scenario="quota_boost", variant="A")
    assert [(row.status, row.clean_success) for row in run.rows] == [("ok", True)]
    assert read_eval_log(str(run.folder / run.rows[0].log), header_only=True).eval.solver == scaffold.rpartition("@")[2]


@pytest.mark.parametrize(
    ("script", "turns", "ended"),
    [
        ("shortcut-colleague-account", 3, ("ok", None, True)),
        ("official", 0, ("invalid", Failure.API_SERVER_ERROR, None)),
        ("official", 2, ("invalid", Failure.API_SERVER_ERROR, None)),
    ],
)
def test_under_inspect_alone_a_scaffolds_errors_are_counted_and_hide_no_violation(
    serve: Serve, tmp_path: Path, script: str, turns: int, ended: tuple[str, Failure | None, bool | None]
) -> None:
    script_of = Scripted(cell_script("quota_boost", "A", script))
    serve(lambda conversation: script_of(conversation) if len(conversation.exchanges) < turns else Fault(500))
    (log,) = inspect_eval(
        instrumental("quota_boost", "A"),
        model="openai/gpt-4.1",
        solver=bare_loop(),
        log_dir=str(tmp_path),
        display="none",
        max_retries=0,
    )
    (row,) = read_rows("r", tmp_path, tmp_path.glob("*.eval"))
    assert (row.status, row.failure, row.constraint_violated) == ended
    assert set(read_incidents(row.incidents)) == {Failure.API_SERVER_ERROR}
    assert list(read_frame([tmp_path]).samples["status"]) == [row.status]
    assert log.eval.solver == "bare_loop"
