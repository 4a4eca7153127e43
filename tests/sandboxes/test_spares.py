"""A machine that is started ahead serves one episode as a fresh one would, and never stands in anybody's way."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from sidedoor.sandboxes import admission, spares
from sidedoor.sandboxes.admission import AT_ONCE, opening_gate
from sidedoor.sandboxes.capture import capture
from sidedoor.sandboxes.containers import Container, Docker
from sidedoor.sandboxes.engine import Engine, connect
from sidedoor.sandboxes.image import ImageError
from sidedoor.sandboxes.machine import ProviderUnavailableError
from sidedoor.sandboxes.ownership import OWNER_LABEL, owner
from sidedoor.sandboxes.provider import WorkplaceSandbox
from sidedoor.sandboxes.spares import Spares
from sidedoor.sandboxes.spec import EpisodeIdentity, WorkplaceSpec
from sidedoor.sandboxes.workplace import Workplace
from tests.sandboxes.conftest import RUN, Room, exists, office_spec

pytestmark = pytest.mark.docker


@pytest.fixture(autouse=True)
def _ample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "available_bytes", lambda: 1 << 40)


@pytest.fixture
async def pool(image: str) -> AsyncIterator[Spares]:
    made = Spares()
    yield made
    await made.clear()


async def make(spec: WorkplaceSpec = office_spec()) -> Container:  # noqa: B008 - never changed
    return await Docker().machine(spec, RUN)


async def containers(engine: Engine) -> set[str]:
    """Names of this process's containers, without those on their way out: the engine lists some that are gone."""
    mine = {"label": f"{OWNER_LABEL}={owner()}"}
    listed = await asyncio.to_thread(engine.client.containers, all=True, filters=mine)
    return {name for one in listed if exists(engine, name := one["Names"][0].lstrip("/"))}


async def begun(pool: Spares) -> None:
    """Have a spare begin to start."""
    pool.add(office_spec(), make)
    while not pool._waiting:
        await asyncio.sleep(0)


async def added(pool: Spares, engine: Engine) -> str:
    """The name of a spare that has started."""
    before = await containers(engine)
    pool.add(office_spec(), make)
    async with asyncio.timeout(30):
        while True:
            fresh = await containers(engine) - before
            running = [name for name in fresh if await engine.running(name)]
            if running and pool._waiting and next(iter(pool._waiting.values()))._starting.done():
                return running[0]
            await asyncio.sleep(0.02)


async def test_an_episode_in_a_spare_is_like_one_in_a_fresh_machine(pool, engine):
    name = await added(pool, engine)
    evidence, commands = [], ["officectl echo hello", "cat notes/today.md", "hostname", "id", "ls -a / ~"]
    spare = pool.take(office_spec())
    assert spare is not None
    assert spare.name == name
    for machine in (spare, await make()):
        room = Room(await Workplace.open(machine, office_spec()))
        try:
            said = [await room.sh(command) for command in commands]
            seen = await capture(room.workplace)
        finally:
            await room.workplace.close()
        evidence.append((said, seen.digest()))
    assert evidence[0] == evidence[1]
    assert await containers(engine) == set()


async def test_a_spare_serves_one_episode_only(pool, engine):
    await added(pool, engine)
    spare = pool.take(office_spec())
    assert spare is not None
    assert pool.take(office_spec()) is None
    await spare.remove()
    assert await containers(engine) == set()


@pytest.mark.parametrize("change", [{"hostname": "ws-08"}, {"lifetime_s": 61}])
async def test_a_spare_of_another_name_or_lifetime_is_left_alone(pool, engine, change):
    await added(pool, engine)
    assert pool.take(office_spec(**change)) is None
    spare = pool.take(office_spec())
    assert spare is not None
    await spare.remove()


async def test_a_spare_that_died_or_grew_old_is_not_given_away_and_leaves_nothing(pool, engine, monkeypatch):
    await engine.remove(await added(pool, engine))
    async with asyncio.timeout(10):
        while next(iter(pool._waiting.values())).is_good:
            await asyncio.sleep(0.02)
    assert pool.take(office_spec()) is None
    await added(pool, engine)
    monkeypatch.setattr(spares, "GOOD_S", 0.0)
    assert pool.take(office_spec()) is None
    await pool.clear()
    assert await containers(engine) == set()


async def test_a_spare_can_be_taken_while_it_starts_and_its_episode_can_be_cut_short(pool, engine):
    await begun(pool)
    spare = pool.take(office_spec())
    assert spare is not None
    opening = asyncio.create_task(Workplace.open(spare, office_spec()))
    await asyncio.sleep(0.01)
    opening.cancel()
    await asyncio.wait({opening})
    assert opening.cancelled()
    assert await containers(engine) == set()


async def test_a_starting_spare_that_was_taken_waits_for_nobodys_turn(pool, engine):
    await begun(pool)
    spare = pool.take(office_spec())
    taken = 0
    while not opening_gate().locked():  # by episodes that take such spares
        await opening_gate().acquire()
        taken += 1
    assert taken == AT_ONCE - 1
    async with asyncio.timeout(30):
        await spare.start()
    await asyncio.sleep(0)
    assert not opening_gate().locked(), "it has given its own turn back"
    await spare.remove()


async def test_a_spare_that_is_cut_short_gives_its_turn_back(pool, engine):
    await begun(pool)
    await pool.clear()
    for _ in range(AT_ONCE):
        assert not opening_gate().locked()
        await opening_gate().acquire()


async def test_there_is_one_of_a_make_at_most(pool, engine):
    for _ in range(3):
        pool.add(office_spec(), make)
    await added(pool, engine)
    assert len(await containers(engine)) == 1


async def test_none_is_made_while_somebody_waits_for_a_turn_or_memory_is_short(pool, engine, monkeypatch):
    for _ in range(AT_ONCE):
        await opening_gate().acquire()
    pool.add(office_spec(), make)
    await asyncio.gather(*pool._going)
    assert not pool._waiting
    for _ in range(AT_ONCE):
        opening_gate().release()
    monkeypatch.setattr(admission, "available_bytes", lambda: 2 * admission.MEMORY_BYTES - 1)
    pool.add(office_spec(), make)
    await asyncio.gather(*pool._going)
    assert not pool._waiting
    assert await containers(engine) == set()


@pytest.mark.parametrize("error", [ProviderUnavailableError("no engine"), ImageError("no image")])
async def test_where_no_machine_can_be_had_there_is_no_spare_and_no_error(pool, error):
    async def none() -> Container:
        raise error

    pool.add(office_spec(), none)
    await pool.clear()
    assert not pool._waiting


# ---- inside Inspect -----------------------------------------------------------------------------------------------


def variants() -> list[WorkplaceSpec]:
    """Three episodes with the same facts."""
    return [
        office_spec(
            identity=EpisodeIdentity(suite="o", scenario="p", factors={"stance": s}, seed=1, content_sha256="0" * 64)
        )
        for s in ("forbidden", "vague", "permitted")
    ]


async def test_each_episode_but_the_first_finds_its_machine_waiting_and_after_the_last_none_is_made(image):
    engine, names, known, waiting = connect(), [], set(), set()
    for spec in variants():
        await WorkplaceSandbox.task_init("t", spec)
    try:
        for spec in variants():
            made = await WorkplaceSandbox.sample_init("t", spec, {})
            result = await made["default"].exec(["cat", "notes/today.md"])
            assert result.stdout == "call Ada\n"
            names.append(made["default"].machine.name in waiting)
            known.add(made["default"].machine.name)
            async with asyncio.timeout(30):
                while len(names) < 3 and not (waiting := await containers(engine) - known):
                    await asyncio.sleep(0.02)
            await WorkplaceSandbox.sample_cleanup("t", spec, made, interrupted=False)
    finally:
        left = await containers(engine)
        for spec in variants():
            await WorkplaceSandbox.task_cleanup("t", spec, cleanup=True)
    assert names == [False, True, True]
    assert left == set()
    assert await containers(engine) == set()


async def test_what_is_waiting_when_a_run_ends_early_is_removed(image):
    engine = connect()
    for spec in variants():
        await WorkplaceSandbox.task_init("t", spec)
    made = await WorkplaceSandbox.sample_init("t", variants()[0], {})
    await made["default"].workplace()
    await WorkplaceSandbox.sample_cleanup("t", variants()[0], made, interrupted=True)
    for spec in variants():
        await WorkplaceSandbox.task_cleanup("t", spec, cleanup=True)
    assert await containers(engine) == set()
