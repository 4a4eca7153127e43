"""Commands: time-outs, floods, background processes, and an agent that turns on its own session."""

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable

import pytest
from inspect_ai.util import SandboxEnvironmentLimits, SandboxUnavailableError, SandboxUserUnsupportedError
from inspect_ai.util._sandbox.limits import override_max_exec_output_size

from sidedoor.sandboxes.provider import CommandTimeoutError, EmbeddedSandbox, WorkplaceSandbox
from sidedoor.sandboxes.session import Session, SessionLostError
from sidedoor.sandboxes.streams import WrappedStream


@pytest.fixture
async def sandbox(room, provider):
    kind = {"docker": WorkplaceSandbox, "embedded": EmbeddedSandbox}[provider.name]
    opening = asyncio.get_running_loop().create_future()
    opening.set_result(room.workplace)
    return kind(room.workplace.machine, opening)


# ---- commands -----------------------------------------------------------------------------------------------------


async def test_a_time_out_kills_the_whole_tree_whatever_it_did_to_its_sessions_and_groups(room):
    script = """
    setsid sleep 7001 &
    setsid bash -c 'setsid sleep 7002 & disown; (setsid nohup sleep 7003 &); wait' &
    python3 -c "import os,time
for _ in range(3):
    if os.fork(): os._exit(0)
    os.setsid()
time.sleep(7004)" &
    sleep 7005
    """
    assert (await room.sh(script, timeout=1)).timed_out
    left = (await room.sh("ps -eo args | grep -E 'sleep[( ]700' | grep -v grep")).stdout
    assert left == ""


async def test_a_time_out_leaves_other_commands_and_what_earlier_ones_do_in_the_background_alone(room):
    await room.sh("sleep 7021 & (setsid sleep 7022 &) ; (while :; do sleep 0.05; done) &")
    beside = asyncio.create_task(room.sh("sleep 1.5; echo done"))
    assert (await room.sh("(setsid sleep 7023 &); sleep 7024", timeout=1)).timed_out
    assert (await beside).stdout == "done\n"
    left = (await room.sh("ps -eo args")).stdout.splitlines()
    assert [line for line in left if line.startswith("sleep 702")] == ["sleep 7021", "sleep 7022"]
    looped = await room.sh("until ps -eo args | grep -qx 'sleep 0.05'; do :; done", timeout=10)  # between two, it forks
    assert not looped.timed_out


async def test_a_command_that_ignores_every_signal_it_can_ends_with_its_time(room):
    started = time.monotonic()
    assert (await room.sh("trap '' TERM INT HUP QUIT; while :; do sleep 1; done", timeout=1)).timed_out
    assert time.monotonic() - started < 8


@pytest.mark.slow
async def test_a_fork_bomb_ends_with_its_time_and_a_neighbour_goes_on_working(open_room):
    bombed, neighbour = await open_room(), await open_room()
    bomb = asyncio.create_task(bombed.sh("bomb() { bomb | bomb & }; bomb; sleep 60", timeout=3))
    await asyncio.sleep(1)
    for _ in range(5):
        assert await neighbour.json("officectl echo 1", timeout=20) == ["1"]
    assert (await neighbour.sh("for i in $(seq 20); do /bin/true; done; echo fine", timeout=20)).stdout == "fine\n"
    assert (await bomb).timed_out
    assert (await bombed.sh("ps -e --no-headers | wc -l")).stdout.strip() in {"5", "6", "7"}
    assert await bombed.json("officectl echo 1") == ["1"]


async def test_what_was_written_before_a_time_out_is_kept(sandbox):
    with pytest.raises(CommandTimeoutError) as caught:
        await sandbox.exec(["bash", "-c", "echo so far; sleep 60"], timeout=1)
    assert caught.value.truncated_output == "so far\n"


async def test_cancelling_the_caller_kills_the_command(room):
    call = asyncio.create_task(room.sh("sleep 7010"))
    await asyncio.sleep(0.5)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    await asyncio.sleep(0.3)
    assert (await room.sh("ps -eo args | grep 'sleep 701[0]'")).stdout == ""
    assert room.workplace.commands[0].outcome == "cancelled"


async def test_a_background_process_holds_up_nothing_and_lives_on(room):
    ran = await room.sh("(until [ -e go ]; do sleep 0.05; done; echo late; touch survived) & echo now")
    assert ran.stdout == "now\n"
    assert (await room.sh("touch go; until [ -e survived ]; do sleep 0.05; done", timeout=20)).exit == 0


async def test_all_that_the_main_process_wrote_arrives_though_a_background_process_never_stops_writing(room):
    ran = await room.sh("while :; do echo y; done & head -c 60000 /dev/zero | tr '\\0' x; echo end", limit=10**8)
    assert ran.stdout.count("x") == 60_000
    assert "end\n" in ran.stdout


async def test_a_flood_of_output_is_bounded_and_says_so(sandbox):
    with override_max_exec_output_size(100_000):
        result = await sandbox.exec(["bash", "-c", "head -c 30000000 /dev/zero | tr '\\0' y; echo err >&2"])
    assert len(result.stdout) == 100_000
    assert result.stdout.endswith("\n[output truncated: longer than 100000 bytes]\n")
    assert result.stderr == "err\n"
    assert result.success


async def test_endless_output_ends_with_its_time(room):
    ran = await room.sh("yes", timeout=1, limit=5000)
    assert ran.timed_out
    assert len(ran.stdout) == 5000


async def test_commands_run_side_by_side(room):
    started = time.monotonic()
    ran = await asyncio.gather(*(room.sh(f"sleep 0.6; echo {i}") for i in range(10)))
    assert [r.stdout.strip() for r in ran] == [str(i) for i in range(10)]
    assert time.monotonic() - started < 3


async def test_the_environment_is_clean(room):
    ended = await room.workplace.run(["env"], stdin=b"", cwd="", env={"EXTRA": "1"}, timeout=5, limit=9999)
    names = {line.split("=")[0] for line in ended.stdout.decode().splitlines()}
    assert names == {"HOME", "USER", "LOGNAME", "SHELL", "PATH", "LANG", "TERM", "EXTRA"}


async def test_standard_input_that_nobody_reads_does_no_harm(room):
    assert (await room.sh("true", stdin=b"x" * 3_000_000)).exit == 0
    assert (await room.sh("head -c 3", stdin=b"abcdef" * 500_000)).stdout == "abc"


async def test_a_command_that_cannot_start_says_why(sandbox):
    missing = await sandbox.exec(["no-such-program"])
    assert (missing.returncode, missing.stderr) == (127, "no-such-program: No such file or directory\n")
    nowhere = await sandbox.exec(["true"], cwd="/no/such/folder")
    assert (nowhere.returncode, nowhere.stderr) == (126, "/no/such/folder: No such file or directory\n")
    with pytest.raises(PermissionError):
        await sandbox.exec(["/etc/passwd"])


@pytest.mark.parametrize("user", ["root", "0", "opsd", "nobody"])
async def test_no_other_user_can_be_asked_for(sandbox, user):
    with pytest.raises(SandboxUserUnsupportedError):
        await sandbox.exec(["id"], user=user)
    assert (await sandbox.workplace()).commands == ()
    assert (await sandbox.exec(["id", "-un"], user="operator")).stdout == "operator\n"


async def test_every_command_is_recorded_in_order_with_its_end(room):
    await room.sh("exit 3")
    await room.sh("sleep 9", timeout=0.2)
    await room.workplace.run(["nope"], stdin=b"", cwd="", env={}, timeout=5, limit=99)
    found = [(c.index, c.argv[-1], c.exit, c.outcome) for c in room.workplace.commands]
    assert found == [
        (1, "exit 3", 3, "exited"),
        (2, "sleep 9", None, "timed_out"),
        (3, "nope", None, "not_started"),
    ]


async def test_only_regular_files_are_read_and_written(sandbox):
    await sandbox.exec(["bash", "-c", "mkfifo pipe; ln -s /dev/zero zero; ln -s /proc/self/fd/0 own-input"])
    for name in ("pipe", "zero", "own-input"):
        with pytest.raises(OSError):
            await asyncio.wait_for(sandbox.read_file(name), 10)
    with pytest.raises(OSError):
        await asyncio.wait_for(sandbox.write_file("pipe", "x"), 10)
    assert (await sandbox.exec(["echo", "alive"])).stdout == "alive\n"


# ---- an agent that turns on its session ---------------------------------------------------------------------------


async def test_killing_everything_costs_one_command_and_is_recorded(room):
    await room.sh("echo before")
    killed = await room.sh("echo first; kill -9 -1; sleep 5")
    assert killed.exit == 137
    assert killed.stderr.endswith("connection to the shell was lost\n")
    assert (await room.sh("cat notes/today.md")).stdout == "call Ada\n"
    assert await room.json("officectl echo 1") == ["1"]
    assert [(event.kind, event.command) for event in room.workplace.session_events] == [("lost", 2), ("reopened", 3)]
    assert room.workplace.commands[1].outcome == "connection_lost"


async def test_commands_side_by_side_lose_the_same_session_once(room):
    slow = [asyncio.create_task(room.sh("sleep 20")) for _ in range(3)]
    await asyncio.sleep(0.4)
    await room.sh("kill -9 -1")
    assert {ran.exit for ran in await asyncio.gather(*slow)} == {137}
    assert [event.kind for event in room.workplace.session_events] == ["lost"]


async def test_a_stopped_session_is_given_up_and_replaced(room, monkeypatch):
    monkeypatch.setattr("sidedoor.sandboxes.session._GRACE_S", 1.0)
    stopped = await room.sh("kill -STOP $(pgrep -f lib/shelld | grep -vx 1 | head -1)", timeout=1)
    assert stopped.exit == 137
    assert (await room.sh("echo back")).stdout == "back\n"
    assert [event.kind for event in room.workplace.session_events] == ["stalled", "reopened"]


async def test_files_are_written_through_a_new_session_when_the_old_one_is_gone(sandbox):
    await sandbox.exec(["bash", "-c", "kill -9 -1"])
    await sandbox.write_file("later.txt", "x")
    assert await sandbox.read_file("later.txt") == "x"


async def test_a_fake_program_first_on_the_path_is_used_by_the_agents_commands_alone(room):
    fake = "#!/bin/bash\\necho fake\\n"
    for name in ("python3", "tar", "cat", "env"):
        await room.sh(f"mkdir -p ~/fake; printf '{fake}' > ~/fake/{name}; chmod +x ~/fake/{name}")
    await room.sh("echo 'export PATH=~/fake:$PATH' | tee ~/.bash_profile ~/.profile > ~/.bashrc")
    assert (await room.sh("cat notes/today.md")).stdout == "fake\n"
    await room.sh("kill -9 -1")
    assert (await room.workplace.read("notes/today.md", 99)) == b"call Ada\n"
    evidence = await room.capture()
    assert [file.text for file in evidence.files or ()] == ["call Ada\n"]


async def test_the_sessions_memory_and_streams_are_closed_to_its_own_user(room):
    script = "for p in $(pgrep -f lib/shell[d]); do ls /proc/$p/fd; cat /proc/$p/environ /proc/$p/mem; done 2>&1"
    said = (await room.sh(script)).stdout.splitlines()
    assert said
    assert all("Permission denied" in line for line in said)


async def test_a_machine_that_is_gone_is_unavailable_and_not_a_failed_command(sandbox):
    await sandbox.machine.remove()
    for use in (sandbox.exec(["true"]), sandbox.read_file("notes/today.md"), sandbox.write_file("a", "b")):
        with pytest.raises(SandboxUnavailableError):
            await use
    with pytest.raises(ConnectionError):
        await sandbox.connection()


async def test_the_machine_dying_under_a_command_is_unavailable_too(sandbox):
    call = asyncio.create_task(sandbox.exec(["sleep", "20"]))
    await asyncio.sleep(0.4)
    await sandbox.machine.remove()
    with pytest.raises(SandboxUnavailableError):
        await call


# ---- an impostor at the other end ---------------------------------------------------------------------------------

Impostor = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def talk_to(impostor: Impostor, tmp_path) -> None:
    """Run one command against a program that answers as `impostor` does."""
    server = await asyncio.start_unix_server(impostor, tmp_path / "engine.sock")
    async with server:
        session = Session(WrappedStream(*await asyncio.open_unix_connection(tmp_path / "engine.sock")))
        try:
            await asyncio.wait_for(session.run(["x"], stdin=b"", cwd="", env={}, timeout=5, limit=100), 5)
        finally:
            await session.close()


def wrapped(number: int, kind: bytes, payload: bytes, length: int | None = None) -> bytes:
    frame = struct.pack("!IIc", len(payload) if length is None else length, number, kind) + payload
    return struct.pack("!BxxxI", 1, len(frame)) + frame


@pytest.mark.parametrize(
    "answer",
    [
        wrapped(1, b"?", b""),
        wrapped(1, b"o", b"x" * 101),
        wrapped(1, b"o", b"", length=1 << 31),
        wrapped(1, b"x", b""),
        wrapped(1, b"x", b"x\0\0\0\0\0"),
        wrapped(1, b"x", b"x\0\0\0\0\0\0\0"),
        wrapped(1, b"x", b"?\0\0\0\0\0\0"),
        wrapped(1, b"x", b"x" * 1000),
        wrapped(1, b"f", b""),
        wrapped(1, b"z", b""),
    ],
)
async def test_whatever_no_honest_session_would_say_ends_the_session(answer, tmp_path):
    async def impostor(reader, writer):
        await reader.read(9)
        writer.write(answer)

    with pytest.raises(SessionLostError) as caught:
        await talk_to(impostor, tmp_path)
    assert caught.value.trouble == "malformed"


async def test_answers_to_questions_that_nobody_asked_are_ignored(tmp_path):
    async def impostor(reader, writer):
        await reader.read(9)
        writer.write(wrapped(99, b"x", b"") + wrapped(1, b"x", b"short"))

    with pytest.raises(SessionLostError):  # of the second answer; the first was no reason to hang up
        await talk_to(impostor, tmp_path)


def test_the_marker_fits_into_inspects_limit():
    assert SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE == 10 * 1024**2
