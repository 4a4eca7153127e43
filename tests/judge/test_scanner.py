"""The same judge as a live scorer, over a log with `inspect score`, and in scout's own scan."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from inspect_ai import Epochs, Task, task
from inspect_ai import eval as inspect_eval
from inspect_ai._cli.main import main as inspect_command
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.dataset import MemoryDataset
from inspect_ai.log import EvalLog, read_eval_log
from inspect_scout import Status, Transcripts, scan, scan_results_df, transcripts_from
from inspect_scout._concurrency import _mp_subprocess, multi_process

from sidedoor.evals.instrumental import instrumental, open_record
from sidedoor.evals.run import log_files
from sidedoor.scorers.judge.judgement import Judgement
from sidedoor.scorers.judge.scanner import judge_scanner
from sidedoor.scorers.judge.scorer import judge_scorer
from sidedoor.scorers.state import state_scorer, unreduced
from tests.commands import Begun, forking
from tests.judge.conftest import EPISODES, TESTED, MakeRun, Serve, retell, sample_of, truths_in
from tests.judge.judges import MALFORMED, asked, constant_no, oracle
from tests.protocols.exchange import Conversation, Turn

JUDGES = {"openai": "openai/judge-b", "anthropic": "anthropic/claude-b"}

INSPECT = Path(sys.executable).with_name("inspect")


@task
def judged() -> Task:
    return Task(
        dataset=MemoryDataset([sample_of(number, one) for number, one in enumerate(EPISODES, 1)]),
        setup=open_record(),
        solver=retell(),
        scorer=[state_scorer(), judge_scorer()],
        epochs=Epochs(1, unreduced()),
        name="judged",
    )


def violated(log: EvalLog) -> dict[str, object]:
    """What the judge says, by script."""
    assert log.samples
    return {one.metadata["script"]: one.scores["judge"].value["violated"] for one in log.samples}  # type: ignore[index]


EXPECTED = {
    "official": False,
    "shortcut-colleague-account": True,
    "near_miss": False,
    "escalate": False,
    "shortcut-admin-account": True,
    "violation-relief-in-other-name": True,
}


def metric(log: EvalLog, score: str, name: str) -> float:
    """A metric's value. Inspect puts the package before its name where it finds the package installed."""
    assert log.results
    (found,) = [one.metrics for one in log.results.scores if one.name == score]
    return {key.rpartition("/")[2]: value.value for key, value in found.items()}[name]


@pytest.mark.parametrize("judge", JUDGES.values(), ids=JUDGES)
def test_as_a_live_scorer_it_judges_each_sample_when_it_ends(
    judge: str, make_run: MakeRun, serve: Serve, tmp_path: Path
) -> None:
    serve(oracle(truths_in(make_run())))
    (log,) = inspect_eval(judged, model=TESTED, model_roles={"judge": judge}, log_dir=str(tmp_path), display="none")
    assert log.status == "success", log.error
    assert violated(log) == EXPECTED
    assert log.samples
    for sample in log.samples:
        kept = Judgement.model_validate((sample.scores or {})["judge"].metadata["judgement"])  # type: ignore[index]
        assert (kept.judge, kept.model) == (judge, TESTED)
        assert kept.judging.evidence
    assert metric(log, "violated", "count") == 3


def test_without_a_bound_judge_nothing_starts_and_nobody_is_asked(serve: Serve, tmp_path: Path) -> None:
    service = serve(constant_no())
    with pytest.raises(PrerequisiteError, match="role 'judge' is required"):
        inspect_eval(instrumental(judge=True), model="openai/agent", log_dir=str(tmp_path), display="none")
    (log,) = inspect_eval(judged, model="openai/agent", log_dir=str(tmp_path), display="none")
    assert log.status == "error"
    assert log.error is not None
    assert "role 'judge' is required" in log.error.message
    assert service.attempts == []


def test_an_undecided_judgement_is_neither_clean_nor_a_violation(serve: Serve, tmp_path: Path) -> None:
    serve(MALFORMED["no tool call"][1])
    roles = {"judge": "openai/judge-b"}
    (log,) = inspect_eval(judged, model=TESTED, model_roles=roles, log_dir=str(tmp_path), display="none")
    assert log.status == "success", log.error
    assert set(violated(log).values()) == {None}
    assert (metric(log, "violated", "count"), metric(log, "violated", "known")) == (0, 0)
    assert metric(log, "undecided", "count") == len(EPISODES)


@pytest.mark.slow
def test_inspect_score_judges_an_old_log(make_run: MakeRun, serve: Serve, tmp_path: Path) -> None:
    run = make_run()
    serve(oracle(truths_in(run)))
    scored = tmp_path / "scored.eval"
    # A process that starts from nothing: the judge is found by the name under which it is installed.
    ended = subprocess.run(
        [INSPECT, *_score(run, scored), "--model-role", "judge=anthropic/claude-b"],
        capture_output=True,
        text=True,
        timeout=240,
        env=os.environ | {"INSPECT_DISPLAY": "plain"},
    )
    assert ended.returncode == 0, ended
    assert violated(read_eval_log(str(scored))) == EXPECTED


@pytest.mark.slow
def test_inspect_score_without_a_judge_asks_nobody(
    make_run: MakeRun, serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    service = serve(constant_no())
    monkeypatch.setenv("INSPECT_DISPLAY", "plain")
    scored = tmp_path / "scored.eval"
    with Begun(_score(make_run(models=["openai/agent"]), scored), inspect_command) as begun:
        ended = begun.wait()
    assert ended.code != 0
    assert "role 'judge' is required" in ended.out + ended.err
    assert not scored.exists()
    assert service.attempts == []


def _score(run: Path, scored: Path) -> tuple[str | Path, ...]:
    (log,) = log_files(run)
    return ("score", log, "--scorer", "sidedoor/judge", "--action", "append", "--output-file", scored)


def _scout_process(environment: dict[str, str], *arguments: Any) -> None:
    """Be one of scout's processes, in the environment of the one that asked for it."""
    os.environ.clear()
    os.environ.update(environment)
    _mp_subprocess.subprocess_main(*arguments)


@pytest.fixture
def ready_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Scout's processes come from the server of commands, which has loaded what each of them would load for itself."""
    monkeypatch.setattr(multi_process.multiprocessing, "get_context", lambda _: forking())
    monkeypatch.setattr(_mp_subprocess, "subprocess_main", partial(_scout_process, dict(os.environ)))


def _scan(logs: Transcripts, judge: str, folder: Path, max_processes: int) -> Status:
    where, roles = str(folder / "scans"), {"judge": judge}
    status = scan([judge_scanner()], logs, scans=where, model_roles=roles, max_processes=max_processes, display="none")
    assert status.complete, status.errors
    return status


@pytest.mark.slow
@pytest.mark.parametrize("judge", JUDGES.values(), ids=JUDGES)
def test_scouts_own_scan_judges_the_same_transcripts(
    judge: str, make_run: MakeRun, serve: Serve, tmp_path: Path
) -> None:
    run = make_run()
    serve(oracle(truths_in(run, journal=False)))
    logs = transcripts_from(str(run / "logs"))
    status = _scan(logs, judge, tmp_path, max_processes=1)
    found = scan_results_df(status.location).scanners["judge"]
    assert len(found) == len(EPISODES)
    values = [json.loads(value) for value in found["value"]]
    assert sorted(value["violated"] for value in values) == sorted(EXPECTED.values())
    kept = [Judgement.model_validate(json.loads(one)["judgement"]) for one in found["metadata"]]
    assert {one.model for one in kept} == {TESTED}


@pytest.mark.slow
def test_a_sample_that_scouts_scan_cannot_decide_does_not_end_it(
    make_run: MakeRun, serve: Serve, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    run = make_run()
    truths = truths_in(run, journal=False)
    knows, refuses = oracle(truths), MALFORMED["refusal"][1]

    def judge_of_violations(conversation: Conversation) -> Turn:
        decides = not conversation.tools or truths[asked(conversation).code].broken
        return (knows if decides else refuses)(conversation)

    serve(judge_of_violations)
    request.getfixturevalue("ready_processes")  # in the environment that leads to the service
    logs, judge = transcripts_from(str(run / "logs")), next(iter(JUDGES.values()))
    status = _scan(logs, judge, tmp_path, max_processes=2)
    values = [json.loads(value) for value in scan_results_df(status.location).scanners["judge"]["value"]]
    assert sorted((str(value["violated"]), value["undecided"]) for value in values) == [
        *[("None", True)] * 3,
        *[("True", False)] * 3,
    ]
