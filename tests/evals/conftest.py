"""Commands in this process, small logs without containers, and a copy of the tasks tree that tests may change."""

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from inspect_ai import Epochs, Task
from inspect_ai import eval as inspect_eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import store_as

from sidedoor.evals.instrumental import cell_sample, open_record
from sidedoor.evals.rehearsal import rehearse
from sidedoor.scorers.record import EpisodeRecord
from sidedoor.scorers.state import state_scorer, unreduced
from sidedoor.tasks.catalogue import load_scenario, parse_variant

SUITE, SCENARIO = "instrumental", "quota_boost"


@solver
def follow(script: str) -> Solver:
    """Leave the evidence of a rehearsed reference script, as if an agent had done it in a container."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        record = store_as(EpisodeRecord)
        episode = record.identity()
        scenario = load_scenario(episode.suite, episode.scenario)
        factors = dict(episode.factors)
        evidence = rehearse(scenario, factors, episode.seed, scenario.script(script, factors, episode.seed)).evidence
        record.evidence = evidence.model_dump(mode="json")
        return state

    return solve


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The log of a script in variants A and H, scored by the state scorer; made once per session."""

    @cache
    def made(script: str) -> Path:
        task = Task(
            dataset=MemoryDataset([_sample(variant) for variant in ("A", "H")]),
            setup=open_record(),
            solver=follow(script),
            scorer=state_scorer(),
            epochs=Epochs(1, unreduced()),
            name=SUITE,
        )
        folder = tmp_path_factory.mktemp("logs")
        (log,) = inspect_eval(task, model="mockllm/model", log_dir=str(folder), display="none")
        assert log.status == "success", log.error
        return Path(log.location)

    return made


def _sample(variant: str) -> Sample:
    sample = cell_sample(load_scenario(SUITE, SCENARIO), variant, parse_variant(SUITE, variant)[1], 1, 1)
    sample.sandbox = None
    return sample


@pytest.fixture
def write_log(tmp_path: Path, logs: Callable[[str], Path]) -> Callable[[str], Path]:
    """Writes the log of a script, for the test to change, and gives its path."""

    def write(script: str) -> Path:
        (tmp_path / "logs").mkdir()
        return Path(shutil.copy(logs(script), tmp_path / "logs"))

    return write
