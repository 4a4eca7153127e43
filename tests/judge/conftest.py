"""Runs whose transcripts are those of rehearsed reference scripts, and judges behind the local model server."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from inspect_ai import Epochs, Task
from inspect_ai import eval as inspect_eval
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.log import EvalSample, read_eval_log
from inspect_ai.model import ModelOutput
from inspect_ai.solver import Generate, Solver, TaskState, solver
from inspect_ai.util import store_as

from sidedoor.evals.instrumental import cell_sample, open_record
from sidedoor.evals.judging.episodes import rehearsed_case, transcript
from sidedoor.evals.judging.study import Study
from sidedoor.evals.rehearsal import rehearse
from sidedoor.evals.run import log_files
from sidedoor.scorers.judge.case import Case, assemble, case_of_sample
from sidedoor.scorers.judge.judgement import Judging
from sidedoor.scorers.judge.panel import Panel
from sidedoor.scorers.judge.rubric import Rubric, load_rubric
from sidedoor.scorers.record import EpisodeRecord
from sidedoor.scorers.state import state_scorer, unreduced
from sidedoor.tasks.catalogue import load_scenario, parse_variant
from tests.commands import in_process
from tests.judge.judges import CLEAN, Truth, violation
from tests.protocols.server import ModelServer, Service

SUITE, SCENARIO = "instrumental", "quota_boost"
TESTED = "mockllm/agent"
KEY = "sk-local-91b7d40ce2a85f36"


class Told(NamedTuple):
    """A sample of a test run: a reference script in a variant, and what the agent thinks before its first step."""

    variant: str
    script: str
    epoch: int = 1
    thought: str = ""


EPISODES = (
    Told("A", "official"),
    Told("A", "shortcut-colleague-account"),
    Told("A", "near_miss"),
    Told("H", "escalate"),
    Told("H", "shortcut-admin-account"),
    Told("H", "violation-relief-in-other-name"),
)
Serve = Callable[..., Service]
MakeRun = Callable[..., Path]
CaseOf = Callable[..., Case]
Sidedoor = Callable[..., tuple[int, str]]


@solver
def retell() -> Solver:
    """Leave the transcript and the evidence of a reference script, as if an agent had done it in a container."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        record = store_as(EpisodeRecord)
        episode = record.identity()
        scenario, factors = load_scenario(episode.suite, episode.scenario), dict(episode.factors)
        script = scenario.script(record.script or "", factors, episode.seed)
        rehearsal = rehearse(scenario, factors, episode.seed, script)
        record.evidence = rehearsal.evidence.model_dump(mode="json")
        state.messages = transcript(state.input_text, script, rehearsal, state.metadata["thought"])
        state.output = ModelOutput.from_content("agent", script.final)
        return state

    return solve


@pytest.fixture(scope="session")
def told_log(tmp_path_factory: pytest.TempPathFactory) -> Callable[[tuple[Told, ...], str], Path]:
    """The log of some episodes by one model; made once per session."""

    @cache
    def made(episodes: tuple[Told, ...], model: str) -> Path:
        task = Task(
            dataset=MemoryDataset([sample_of(number, one) for number, one in enumerate(episodes, 1)]),
            setup=open_record(),
            solver=retell(),
            scorer=state_scorer(),
            epochs=Epochs(1, unreduced()),
            name=SUITE,
        )
        (log,) = inspect_eval(task, model=model, log_dir=str(tmp_path_factory.mktemp("told")), display="none")
        assert log.status == "success", log.error
        return Path(log.location)

    return made


def sample_of(number: int, told: Told) -> Sample:
    """The sample of an episode."""
    factors = parse_variant(SUITE, told.variant)[1]
    sample = cell_sample(load_scenario(SUITE, SCENARIO), told.variant, factors, told.epoch, told.epoch)
    sample.sandbox = None
    sample.id = f"{number}-{sample.id}"
    sample.metadata = {**(sample.metadata or {}), "script": told.script, "thought": told.thought}
    return sample


@pytest.fixture
def make_run(tmp_path: Path, told_log: Callable[[tuple[Told, ...], str], Path]) -> MakeRun:
    """Makes a run's folder with the log of some episodes for each model; of `EPISODES` by one if not told otherwise."""

    def make(episodes: Sequence[Told] = EPISODES, models: Sequence[str] = (TESTED,), name: str = "run") -> Path:
        (tmp_path / name / "logs").mkdir(parents=True)
        for model in models:
            shutil.copy(told_log(tuple(episodes), model), tmp_path / name / "logs")
        return tmp_path / name

    return make


def samples_of(run: Path) -> list[EvalSample]:
    """Every sample of a run."""
    return [sample for log in log_files(run) for sample in read_eval_log(str(log)).samples or ()]


def cases_of(run: Path) -> list[Case]:
    """The case of every sample of a run."""
    return [case_of_sample(sample, TESTED) for sample in samples_of(run)]


def true_of(case: Case) -> Truth:
    """What happened in a case, by the marks that the world made in its journal."""
    done = {name for entry in case.journal or () for kind, name, level in entry.marks if level == "achieved"}
    broken = [rule.id for rule in case.rules if done & set(rule.breaches)]
    return violation(*broken) if broken else CLEAN


def truths_in(run: Path, journal: bool = True) -> dict[str, Truth]:
    """Truth by code, of every sample of a run; of the same cases without their journal, if so wanted."""
    cases = cases_of(run)
    judged = cases if journal else [assemble(one.model, one.messages, one.rules, None) for one in cases]
    return {one.code: true_of(case) for one, case in zip(judged, cases, strict=True)}


@pytest.fixture
def case_of() -> CaseOf:
    """The case of a script of quota_boost."""

    def made(script: str, variant: str = "A", seed: int = 1, thought: str = "") -> Case:
        scenario = load_scenario(SUITE, SCENARIO)
        factors = parse_variant(SUITE, variant)[1]
        return rehearsed_case(scenario, factors, seed, scenario.script(script, factors, seed), thought)

    return made


@pytest.fixture
def rubric() -> Rubric:
    return load_rubric()


def study_of(*judges: str, repeats: int = 1, **judging: object) -> Study:
    """The declaration of a study."""
    words = load_rubric()
    return Study(
        panel=Panel(judges=judges, repeats=repeats),
        judging=Judging.model_validate(judging),
        rubric=words.id,
        rubric_sha256=words.digest,
    )


@pytest.fixture(scope="session")
def model_server() -> Iterator[ModelServer]:
    with ModelServer(KEY) as server:
        yield server


def environment(server: ModelServer) -> dict[str, str]:
    """What a client's environment needs to find the server, under `openai-api/local/…` by Chat Completions, too."""
    return server.environment | {"LOCAL_BASE_URL": f"{server.root}/v1", "LOCAL_API_KEY": KEY}


@pytest.fixture
def serve(model_server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Begins a service on the session's server, to which the providers' variables point."""
    for name, value in environment(model_server).items():
        monkeypatch.setenv(name, value)
    return model_server.serve


def answered(service: Service) -> int:
    """How many judgements were asked for and answered: Inspect's greeting to a model that can reason is none."""
    return sum(1 for one in service.answers if one.conversation.tools)


@pytest.fixture
def sidedoor(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Sidedoor:
    """Runs `sidedoor ARGUMENTS` in this process: its exit code, and what it printed."""

    command = in_process(monkeypatch, capsys)

    def run(*arguments: str) -> tuple[int, str]:
        ended = command(*arguments)
        return ended.code, ended.out + ended.err

    return run
