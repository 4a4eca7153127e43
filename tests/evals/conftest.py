"""Commands in this process, small logs without containers, and a copy of the tasks tree that tests may change."""

import io
import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from inspect_ai import Epochs, Task
from inspect_ai import eval as inspect_eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import store_as
from rich.console import Console

from sidedoor.evals import scaffold
from sidedoor.evals.cli import main
from sidedoor.evals.instrumental import cell_sample, open_record
from sidedoor.evals.rehearsal import rehearse
from sidedoor.scorers.record import EpisodeRecord
from sidedoor.scorers.state import state_scorer, unreduced
from sidedoor.tasks import catalogue
from sidedoor.tasks.catalogue import ROOT, load_scenario, parse_variant

SUITE, SCENARIO = "instrumental", "quota_boost"


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The command's last words, which must be one line and no traceback."""
        assert self.code != 0
        assert "Traceback" not in self.err + self.out
        assert self.err.startswith("sidedoor: ")
        assert self.err.count("\n") == 1
        return self.err.strip().removeprefix("sidedoor: ")


Cli = Callable[..., Ended]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs `sidedoor ARGUMENTS` in this process."""

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["sidedoor", *arguments])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run


@pytest.fixture
def console() -> Console:
    """A wide console that keeps what is printed (see `printed`)."""
    return Console(file=io.StringIO(), width=200)


@pytest.fixture
def printed(console: Console) -> Callable[[], str]:
    """What was printed on `console`."""

    def text() -> str:
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()

    return text


@pytest.fixture
def tasks_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The tasks tree, copied, with the catalogue and the scaffolding using the copy."""
    root = tmp_path / "tasks"
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(catalogue, "ROOT", root)
    monkeypatch.setattr(scaffold, "ROOT", root)
    monkeypatch.setattr(scaffold, "TEMPLATE", root / "template")
    _forget()
    yield root
    _forget()


def _forget() -> None:
    catalogue.load_suite.cache_clear()
    catalogue.load_scenario.cache_clear()


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
