"""A run that is stopped in the middle leaves no machine, keeps what was finished, and can be continued.

The three runs go on at once, which also shows that none takes another's machines for left-overs.
"""

import contextlib
import re
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import NamedTuple

import pytest
from inspect_ai.log import read_eval_log_samples

from sidedoor.evals.run import read_run
from sidedoor.sandboxes.embedded.desks import others_desks
from sidedoor.sandboxes.engine import Engine, connect
from sidedoor.sandboxes.image import ensure_image
from sidedoor.sandboxes.machine import ProviderName
from sidedoor.sandboxes.ownership import OURS, OWNER_LABEL
from tests.abuse.pausing import PAUSED, run_paused
from tests.commands import Begun, Ended, apart
from tests.sandboxes.processes import below

pytestmark = pytest.mark.slow

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
SAMPLES, AT_ONCE = 8, 4
WORDS = f"run instrumental --model reference/attempt --scenario quota_boost --max-samples {AT_ONCE}"
PATIENCE_S = 30
DESK_MOUNT = re.compile(r"/(desk-[0-9a-f]{16})/desk ")
START_S = 150
DIGITS_OF_MACHINE = 8


class Interrupted(NamedTuple):
    """What a signal in the second wave of samples left, and what the continued run made of it."""

    ended: Ended
    finished: dict[str, str]
    left: set[str]
    resumed: Ended
    folder: Path


@pytest.fixture(scope="module")
def engine() -> Engine:
    return connect()


@pytest.fixture(scope="module")
def stranger(engine: Engine) -> Iterator[str]:
    """Somebody else's container from our image."""
    plain = engine.client.create_host_config(network_mode="none")
    made = engine.client.create_container(ensure_image(engine, print), ["sleep", "600"], host_config=plain)
    try:
        engine.client.start(made["Id"])
        yield made["Id"]
    finally:
        engine.client.remove_container(made["Id"], force=True)


@pytest.fixture(scope="module")
def interrupted(
    provider_name: ProviderName, tmp_path_factory: pytest.TempPathFactory
) -> dict[signal.Signals, Interrupted]:
    folders = [tmp_path_factory.mktemp(number.name) for number in SIGNALS]
    with ThreadPoolExecutor(len(SIGNALS)) as threads:
        ends = threads.map(interrupt, [provider_name] * len(SIGNALS), SIGNALS, folders)
        return dict(zip(SIGNALS, ends, strict=True))


def interrupt(provider: ProviderName, number: signal.Signals, results: Path) -> Interrupted:
    hearing, telling = Pipe(duplex=False)
    words = (*WORDS.split(), "--sandbox", provider, "--results", results)
    with Begun(words, run_paused, ("turn", telling, SAMPLES - AT_ONCE)) as run:
        telling.close()
        wait_for_second_wave(run, hearing)
        owner = owner_of_machines(provider, run.pid)
        run.send(number)
        ended = run.wait(PATIENCE_S)
    (folder,) = results.iterdir()
    left = machines_after(provider, owner)
    return Interrupted(ended, sample_uuids(folder), left, apart("run", "--resume", folder), folder)


def wait_for_second_wave(run: Begun, hearing: Connection) -> None:
    """Wait until as many samples as may be at work are those that are held up."""
    for _ in range(AT_ONCE):
        assert hearing.poll(START_S), f"the run did not come to a second wave: {run.out}"
        assert hearing.recv() == PAUSED


def owner_of_machines(provider: ProviderName, process: int) -> str:
    """Whose the machines of a run are that there are, which are as many as may be."""
    there = machines(provider)
    if provider == "docker":
        its = {one for one, owner in there.items() if owner.split("/")[1] == str(process)}
    else:
        its = {desk for one, _ in below(process) for desk in DESK_MOUNT.findall(mounts(one))}
    assert len(its) >= AT_ONCE
    (owner,) = {there[one] for one in its}
    return owner


def machines_after(provider: ProviderName, owner: str) -> set[str]:
    """Which machines of an owner's are there after some time."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        left = {one for one, whose in machines(provider).items() if whose == owner}
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def machines(provider: ProviderName) -> dict[str, str]:
    """Whose each machine of ours is, by name or id; the names of one process's desks begin alike."""
    if provider == "embedded":
        return {desk.name: desk.name[:-DIGITS_OF_MACHINE] for desk, _ in others_desks()}
    found = connect().client.containers(all=True, filters={"label": OURS})
    return {one["Id"]: one["Labels"][OWNER_LABEL] for one in found}


def mounts(process: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/mountinfo").read_text(encoding="utf-8", errors="replace")
    return ""


def sample_uuids(folder: Path) -> dict[str, str]:
    """Uuid of each finished sample, by id."""
    samples = (
        sample
        for log in sorted((folder / "logs").glob("*.eval"))
        for sample in read_eval_log_samples(str(log), all_samples_required=False)
    )
    return {str(sample.id): str(sample.uuid) for sample in samples if sample.scores and not sample.error}


@pytest.mark.parametrize("number", SIGNALS)
def test_no_machine_is_left(interrupted, number):
    assert interrupted[number].left == set()


@pytest.mark.parametrize("number", SIGNALS)
def test_finished_samples_stay_readable(interrupted, number):
    assert len(interrupted[number].finished) >= SAMPLES - AT_ONCE


@pytest.mark.parametrize("number", SIGNALS)
def test_the_run_is_continued_and_no_finished_sample_is_repeated(interrupted, number):
    ended = interrupted[number]
    assert ended.resumed.code == 0, ended.resumed
    rows = read_run(ended.folder).rows
    assert [row.status for row in rows] == ["ok"] * SAMPLES
    after = sample_uuids(ended.folder)
    assert len(after) == SAMPLES
    assert ended.finished.items() <= after.items()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_so_in_one_line_and_its_manifest_too(interrupted, number):
    stopped = interrupted[number]
    assert stopped.ended.code == 1
    missing = SAMPLES - len(stopped.finished)
    assert stopped.ended.complaint == f"{missing} of {SAMPLES} samples not run; continue with --resume"


@pytest.mark.docker
def test_somebody_elses_container_is_not_touched(engine, stranger, interrupted):
    assert engine.client.inspect_container(stranger)["State"]["Running"]
