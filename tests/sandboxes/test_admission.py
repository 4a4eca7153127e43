"""More samples at once than there is room for wait, and none of them for ever."""

import asyncio

import pytest

from sidedoor.sandboxes import admission
from sidedoor.sandboxes.admission import AT_ONCE, Room, available_bytes


async def test_no_more_machines_are_opened_side_by_side_than_the_processors_bear():
    room, opening, most = Room(), 0, 0

    async def one() -> None:
        nonlocal opening, most
        async with room.opening():
            opening += 1
            most = max(most, opening)
            await asyncio.sleep(0)
            opening -= 1

    await asyncio.gather(*(one() for _ in range(200)))
    assert (most, room.taken) == (AT_ONCE, 200)


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What is available at each look; the last stays."""
    left = [0]
    monkeypatch.setattr(admission, "LOOK_S", 0)
    monkeypatch.setattr(admission, "available_bytes", lambda: left.pop(0) if len(left) > 1 else left[0])
    return left


async def test_without_memory_for_another_machine_a_sample_waits_until_there_is(memory, caplog):
    room = Room()
    memory[:] = [1 << 40, 1 << 20, 1 << 20, 1 << 40]
    caplog.set_level("WARNING", "sidedoor.sandboxes.admission")  # an evaluation in this process may have set another
    for _ in range(3):  # the first asks nobody: there is no other machine that could make room
        async with room.opening():
            pass
    assert memory == [1 << 40]
    assert caplog.text.count("samples wait") == 1


async def test_the_only_machine_never_waits(memory):
    room = Room()
    async with asyncio.timeout(5), room.opening():
        pass
    room.closed()
    async with asyncio.timeout(5), room.opening():
        pass


async def test_a_machine_that_could_not_be_opened_takes_no_room(memory):
    room = Room()
    with pytest.raises(OSError):
        async with room.opening():
            raise OSError
    assert room.taken == 0


def test_each_event_loop_has_room_of_its_own():
    room = Room()

    async def many() -> None:
        async def one() -> None:
            async with room.opening():
                await asyncio.sleep(0)

        await asyncio.gather(*(one() for _ in range(AT_ONCE + 1)))

    for _ in range(2):
        asyncio.run(many())


def test_the_kernel_says_how_much_memory_is_left(monkeypatch, tmp_path):
    assert 1 << 20 < available_bytes() < 1 << 50
    monkeypatch.setattr(admission, "MEMINFO", tmp_path / "none")
    assert available_bytes() > 1 << 50
