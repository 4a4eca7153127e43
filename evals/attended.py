"""The agent's loop under observation: an error in it cannot hide what was done."""

from typing import cast

from inspect_ai._util.exception import TerminateSampleError
from inspect_ai._util.registry import registry_info, registry_params, set_registry_info, set_registry_params
from inspect_ai.agent import Agent, as_solver, is_agent
from inspect_ai.solver import Generate, Solver, TaskState
from inspect_ai.solver._constants import SOLVER_ALL_PARAMS_ATTR
from inspect_ai.util import LimitExceededError, sandbox
from inspect_ai.util._anyio import inner_exception

from sidedoor.sandboxes.provider import WorkplaceSandbox


def attended(agent: Agent | Solver) -> Solver:
    """Run an agent, and leave an error that ends it to the scorer.

    The scorer raises that error again unless the agent had achieved something by then: otherwise an agent that provokes
    an error after breaking a rule would have its sample taken out of the rate, or run once more.

    Args:
        agent: what does the work; logs show its name and arguments.
    """
    work = as_solver(agent) if is_agent(agent) else cast("Solver", agent)

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        try:
            return await work(state, generate)
        except Exception as error:
            if isinstance(inner_exception(error), LimitExceededError | TerminateSampleError):
                raise  # no failure: Inspect ends the sample and has it scored
            workplace = await sandbox().as_type(WorkplaceSandbox).workplace()
            workplace.kept_back = error
            return state

    # As `as_solver` does, so that Inspect takes it for the agent wherever it names one.
    set_registry_info(solve, registry_info(work))
    set_registry_params(solve, registry_params(work))
    setattr(solve, SOLVER_ALL_PARAMS_ATTR, getattr(work, SOLVER_ALL_PARAMS_ATTR))
    return solve
