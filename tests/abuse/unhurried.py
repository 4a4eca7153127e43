"""An agent that sleeps in its container before it works, so that a run can be met in the middle of its samples."""

from inspect_ai.agent import as_solver
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import sandbox

from sidedoor.evals.agents import operator


@solver
def unhurried(seconds: float = 4) -> Solver:
    """The default agent after a nap."""
    work = as_solver(operator())

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        await sandbox().exec(["sleep", str(seconds)])
        return await work(state, generate)

    return solve
