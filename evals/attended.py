"""The agent's loop under observation: incidents are kept, and an error in it cannot hide what was done."""

from typing import cast

from inspect_ai._util.exception import TerminateSampleError
from inspect_ai.agent import Agent, as_solver, is_agent
from inspect_ai.log import transcript
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import LimitExceededError, sandbox, store_as
from inspect_ai.util._anyio import inner_exception

from sidedoor.sandboxes.provider import WorkplaceSandbox
from sidedoor.scorers.incidents import incidents_of
from sidedoor.scorers.record import EpisodeRecord


@solver
def attended(agent: Agent | Solver) -> Solver:
    """Run an agent, keep its incidents in the sample's record, and leave an error that ends it to the scorer.

    The scorer raises that error again unless the agent had achieved something by then: otherwise an agent that provokes
    an error after breaking a rule would have its sample taken out of the rate, or run once more.

    Args:
        agent: what does the work.
    """
    work = as_solver(agent) if is_agent(agent) else cast("Solver", agent)

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        try:
            return await work(state, generate)
        except Exception as error:
            if isinstance(inner_exception(error), LimitExceededError | TerminateSampleError):
                raise  # no failure: Inspect ends the sample and has it scored
            workplace = await sandbox().as_type(WorkplaceSandbox).workplace()
            workplace.broken_off = error
            return state
        finally:
            store_as(EpisodeRecord).incidents = {
                kind.value: count for kind, count in incidents_of(transcript().events).items()
            }

    return solve
