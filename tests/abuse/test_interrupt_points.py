"""Sixteen ways to stop a run: four signals at four phases of a sample. None loses, spoils or doubles a result.

Of three samples, one after the other, the second is stopped; so the first is finished, and the third never begun.
"""

import io
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import NamedTuple

import pytest
from inspect_ai.log import read_eval_log, read_eval_log_samples
from rich.console import Console

from sidedoor.evals.gate.observed import DataError, observe
from sidedoor.evals.run import read_manifest, resume_run
from sidedoor.evals.tally import tally_model
from sidedoor.scorers.failures import Failure
from tests.abuse.pausing import PAUSED, PHASES, STOPPING, run_paused
from tests.commands import Begun, Ended
from tests.sandboxes.processes import below, left_of

pytestmark = [pytest.mark.embedded, pytest.mark.slow]

SIGNALS = {
    "SIGINT": (signal.SIGINT,),
    "SIGINT twice": (signal.SIGINT, signal.SIGINT),
    "SIGTERM": (signal.SIGTERM,),
    "SIGKILL": (signal.SIGKILL,),
}
KILLED = dict(
    zip(
        PHASES,
        (Failure.KILLED_AT_START, Failure.KILLED_IN_TURN, Failure.KILLED_IN_CAPTURE, Failure.KILLED_IN_SCORING),
        strict=True,
    )
)
POINTS = [f"{name} at {phase}" for phase in PHASES for name in SIGNALS]
MODEL = "reference/attempt"  # few commands
WORDS = f"run instrumental --model {MODEL} --scenario quota_boost --variant A,B,C --max-samples 1 --sandbox embedded"
SAMPLES, AT_ONCE = 3, 4
PATIENCE_S = 60


class Stopped(NamedTuple):
    """A run that was stopped: by what, how it ended, where it wrote, and what of it still runs."""

    signals: tuple[signal.Signals, ...]
    ended: Ended
    folder: Path
    left: set[tuple[int, str]]


@pytest.fixture(scope="module")
def all_stopped(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stopped]:
    """Every point's run, some at a time: what they mostly do is to wait for a machine or to take leave of it."""
    homes = [tmp_path_factory.mktemp("stopped") for _ in POINTS]
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return dict(zip(POINTS, threads.map(stop, POINTS, homes), strict=True))


def stop(point: str, home: Path) -> Stopped:
    name, _, phase = point.partition(" at ")
    hearing, telling = Pipe(duplex=False)
    words = (*WORDS.split(), "--results", home / "runs")
    with Begun(words, run_paused, (phase, telling, 1)) as run:
        telling.close()
        seen = interrupt(run, SIGNALS[name], hearing)
        ended = run.wait(PATIENCE_S)
    (folder,) = (home / "runs").iterdir()
    return Stopped(SIGNALS[name], ended, folder, left_of(seen, PATIENCE_S))


def interrupt(run: Begun, signals: tuple[signal.Signals, ...], hearing: Connection) -> set[tuple[int, str]]:
    """Send the signals, the first at the pause and the second while the first is being obeyed."""
    seen: set[tuple[int, str]] = set()
    for number, word in zip(signals, (PAUSED, STOPPING), strict=False):
        assert hearing.poll(PATIENCE_S), "the run did not come to its phase"
        assert hearing.recv() == word
        seen |= below(run.pid)
        run.send(number)
    return seen


def sample_uuids(folder: Path) -> dict[str, str]:
    """Uuid of each finished sample, by id."""
    samples = [
        sample
        for log in (folder / "logs").glob("*.eval")
        for sample in read_eval_log_samples(str(log), all_samples_required=False)
    ]
    return {str(sample.id): str(sample.uuid) for sample in samples if sample.scores and not sample.error}


@pytest.mark.parametrize("point", POINTS)
def test_nothing_is_lost_spoilt_left_running_or_counted_twice(all_stopped: dict[str, Stopped], point: str) -> None:
    stopped, killed = all_stopped[point], KILLED[point.rpartition(" ")[2]]
    assert stopped.left == set(), "nothing is left running"
    assert stopped.ended.code != 0
    if len(stopped.signals) == 1 and stopped.signals != (signal.SIGKILL,):
        assert stopped.ended.complaint == "2 of 3 samples not run; continue with --resume"
        (counted,) = read_manifest(stopped.folder).counts
        assert (counted.valid, counted.invalid, counted.missing, counted.killed) == (1, {}, 2, {killed: 1})
    assert "Traceback" not in stopped.ended.out + stopped.ended.err
    finished = sample_uuids(stopped.folder)
    assert list(finished) == ["quota_boost-A-1"], "what was finished is kept, and nothing else counts"
    for log in (stopped.folder / "logs").glob("*.eval"):
        assert read_eval_log(str(log), header_only=True).eval.model == MODEL
    with pytest.raises(DataError, match=f"under way when the run was stopped: 1 {killed}") as untold:
        observe(stopped.folder)
    assert untold.value.models == (tally_model(MODEL, Counter(), SAMPLES, [killed]),)
    resumed = resume_run(stopped.folder, Console(file=io.StringIO()))
    assert [(row.sample_id, row.status) for row in resumed.rows] == [
        (f"quota_boost-{variant}-1", "ok") for variant in "ABC"
    ]
    assert finished.items() <= sample_uuids(stopped.folder).items(), "no finished sample is run again"
    tally = observe(stopped.folder).tally(MODEL)
    assert (tally.valid, tally.invalid, tally.missing, tally.killed) == (SAMPLES, {}, 0, {})
