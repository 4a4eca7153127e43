"""Nothing stays of containers: they end with the process that started them, and cleaning touches only ours."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from functools import cache

import pytest
from docker.errors import NotFound

from sidedoor.sandboxes.clean import clean, clean_run
from sidedoor.sandboxes.containers import Docker
from sidedoor.sandboxes.engine import Engine
from sidedoor.sandboxes.ownership import EXPIRES_LABEL, LABEL, OWNER_LABEL, RUN_LABEL, labels, left_behind, owner
from tests.commands import Begun
from tests.sandboxes.conftest import Opener, exists, rooms_of
from tests.sandboxes.holds_workplaces import hold, names

pytestmark = pytest.mark.docker


def volumes_of(engine: Engine, container: str) -> list[str]:
    return [mount["Name"] for mount in engine.client.inspect_container(container)["Mounts"]]


def volume_exists(engine: Engine, volume: str) -> bool:
    try:
        engine.client.inspect_volume(volume)
    except NotFound:
        return False
    return True


@pytest.fixture
async def open_container() -> AsyncIterator[Opener]:
    async with rooms_of(Docker()) as opener:
        yield opener


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_harness_that_is_killed_leaves_no_container_and_no_volume(engine: Engine, image, number):
    with Begun((), hold, ("docker", 4)) as process:
        containers = process.until(names)
        assert len(containers) == 4
        volumes = [volume for container in containers for volume in volumes_of(engine, container)]
        assert len(volumes) == 8
        time.sleep(0.5)
        process.send(number)
        process.wait(30)

    def left() -> list[str]:
        return [one for one in containers if exists(engine, one)] + [
            one for one in volumes if volume_exists(engine, one)
        ]

    deadline = time.monotonic() + 30
    while left() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left() == []


async def test_a_workplace_that_is_closed_leaves_no_container_and_no_volume(open_container, engine):
    room = await open_container()
    container = room.workplace.machine.name
    volumes = volumes_of(engine, container)
    await room.workplace.close()
    assert not exists(engine, container)
    assert [volume for volume in volumes if volume_exists(engine, volume)] == []
    await room.workplace.close()


async def test_an_opening_that_is_cancelled_leaves_no_container(open_container, engine):
    before = set(await mine(engine))
    for seconds in (0.005, 0.02, 0.05, 0.1, 0.15, 0.2):
        opening = asyncio.create_task(open_container())
        await asyncio.sleep(seconds)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        if not opening.cancelled():  # it was open already
            await opening.result().workplace.close()
    assert set(await mine(engine)) - before == set()


async def mine(engine: Engine) -> list[str]:
    """Containers of this process."""
    return [one for one, found in (await engine.labelled(f"{LABEL}=1")).items() if found[OWNER_LABEL] == owner()]


# ---- cleaning -----------------------------------------------------------------------------------------------------


@pytest.fixture
async def bystanders(engine: Engine, image) -> AsyncIterator[dict[str, str]]:
    """Created containers, by what they are: whoever they belong to, none of them runs."""
    ours = labels("bystanders", 600)
    wanted = {
        "stranger": {},
        "namesake": {"com.example.sidedoor": "1", "sidedoor": "no"},
        "in-use": ours,
        "expired": {**ours, EXPIRES_LABEL: str(int(time.time()) - 1)},
        "owner-dead": {**ours, OWNER_LABEL: dead_owner()},
    }
    made = {}
    for name, found in wanted.items():
        made[name] = await engine.create(
            {"Image": image, "Cmd": ["true"], "Labels": found}, f"bystander-{name}-{os.getpid()}"
        )
    yield made
    for container in made.values():
        await engine.remove(container)


PRINT_OWNER = "from sidedoor.sandboxes.ownership import owner; print(owner())"


@cache
def dead_owner() -> str:
    """A process that has ended."""
    ended = subprocess.run([sys.executable, "-c", PRINT_OWNER], capture_output=True, text=True, check=True)
    return ended.stdout.strip()


async def test_cleaning_removes_what_was_left_behind_and_nothing_else(engine, bystanders):
    # Any run that starts meanwhile cleans too: what counts is who is left.
    await clean(engine)
    left = {name for name, container in bystanders.items() if exists(engine, container)}
    assert left == {"stranger", "namesake", "in-use"}


async def test_one_container_in_use_can_be_named_but_a_strangers_cannot(engine, bystanders):
    assert await clean(engine, everything=True, only=bystanders["in-use"]) == [bystanders["in-use"]]
    assert await clean(engine, everything=True, only=bystanders["stranger"]) == []
    assert exists(engine, bystanders["stranger"])


async def test_the_containers_of_one_run_are_removed_together(engine, bystanders):
    await clean_run(engine, "bystanders")
    left = {name for name, container in bystanders.items() if exists(engine, container)}
    assert left == {"stranger", "namesake"}


async def test_volumes_without_a_container_are_removed_once_their_owner_is_dead(engine, image):
    ours = labels("bystanders", 600)
    wanted = {"stranger": {}, "in-use": ours, "expired": {**ours, EXPIRES_LABEL: "1"}}
    names = {name: f"bystander-{name}-{os.getpid()}" for name in wanted}
    for name, found in wanted.items():
        engine.client.create_volume(names[name], labels=found)
    try:
        await clean(engine)
        assert {name for name in wanted if volume_exists(engine, names[name])} == {"stranger", "in-use"}
        await clean_run(engine, "bystanders")
        assert {name for name in wanted if volume_exists(engine, names[name])} == {"stranger"}
    finally:
        for name in names.values():
            await engine.remove_volume(name)


def test_a_container_of_another_machine_is_judged_by_its_time_alone():
    there = {OWNER_LABEL: "another-boot-1/1/1", EXPIRES_LABEL: "1000", RUN_LABEL: "x"}
    assert not left_behind(there, now=999)
    assert left_behind(there, now=1001)


def test_a_process_id_that_was_given_out_again_is_not_taken_for_the_owner():
    machine, process, started = owner().split("/")
    expires = {EXPIRES_LABEL: "9999999999"}
    assert not left_behind({OWNER_LABEL: f"{machine}/{process}/{started}", **expires}, now=0)
    assert left_behind({OWNER_LABEL: f"{machine}/{process}/{int(started) - 1}", **expires}, now=0)
