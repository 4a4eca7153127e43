"""The programs' side: what the gateway records, whom it answers, and what it keeps to itself."""

import asyncio
import re
import time

import pytest

from sidedoor.sandboxes import gateway as gateway_module
from sidedoor.sandboxes.gateway import GatewayError
from sidedoor.sandboxes.spec import WorldBundle
from tests.sandboxes.conftest import OFFICE

RAW_CLIENT = """
import os, socket, struct, sys, time
def connect():
    channel = socket.socket(socket.AF_UNIX)
    channel.connect("/opt/desk/desk.sock")
    return channel
def frame(kind, payload):
    return struct.pack("!Ic", len(payload), kind) + payload
"""


def python(script: str) -> str:
    return f"python3 - <<'END'\n{RAW_CLIENT}{script}\nEND"


async def test_the_host_has_the_record_before_the_caller_has_the_answer(room, monkeypatch):
    gateway = room.workplace.gateway
    keep, released = gateway._keep, asyncio.Event()

    async def late(entry):
        await released.wait()
        await keep(entry)

    monkeypatch.setattr(gateway, "_keep", late)
    call = asyncio.create_task(room.sh("officectl echo hi"))
    await asyncio.sleep(0.7)
    assert not call.done()
    released.set()
    assert (await call).stdout == '["hi"]\n'
    assert [entry.argv for entry in gateway.journal] == [("officectl", "echo", "hi")]


async def test_a_call_whose_caller_is_killed_before_the_answer_stays_in_the_journal(room, monkeypatch):
    gateway = room.workplace.gateway
    keep, released = gateway._keep, asyncio.Event()

    async def late(entry):
        await released.wait()
        await keep(entry)

    monkeypatch.setattr(gateway, "_keep", late)
    assert (await room.sh("officectl echo hi", timeout=0.5)).timed_out
    released.set()
    assert await room.json("officectl echo again") == ["again"]
    assert [entry.argv[2] for entry in gateway.journal] == ["hi", "again"]


@pytest.mark.parametrize(
    ("what", "script"),
    [
        ("not the programs' protocol", "c = connect(); c.sendall(b'GET / HTTP/1.1\\r\\n\\r\\n'); c.recv(1)"),
        ("not the programs' protocol", "c = connect(); c.sendall(struct.pack('!Ic', 1 << 30, b'C')); c.recv(1)"),
        ("a call under an unknown name", "c = connect(); c.sendall(frame(b'C', b'rootctl\\0now')); c.recv(99)"),
        (
            "talks out of turn",
            "c = connect(); c.sendall(frame(b'C', b'officectl\\0big\\x00300000'));"
            "time.sleep(.3); c.sendall(b'x' * 9); time.sleep(.3)",
        ),
    ],
)
async def test_whoever_is_not_one_of_the_programs_is_noted_and_the_programs_still_work(room, what, script):
    await room.sh(python(script))
    assert await room.json("officectl echo 1") == ["1"]
    assert [(note.kind, note.detail) for note in room.workplace.gateway.notes] == [("foreign_client", what)]


@pytest.mark.parametrize("script", ["c = connect(); c.sendall(b'\\0'); c.recv(1)", "connect().close()"])
async def test_a_connection_that_stays_silent_is_told_from_one_that_says_what_no_program_would(room, script):
    await room.sh(python(script))
    assert await room.json("officectl echo 1") == ["1"]  # whose record follows the note
    assert [(note.kind, note.detail) for note in room.workplace.gateway.notes] == [("silent_client", "no call in time")]


async def test_ordinary_use_leaves_no_note(room):
    await room.sh("officectl echo 1 | head -c 1; officectl load nowhere; officectl; officectl load - < /dev/null")
    await room.sh("sleep 60 | timeout 0.3 officectl load -", timeout=2)
    await room.sh(
        'officectl echo "$(head -c 100000 /dev/zero | tr "\\0" x)" > /dev/null; officectl big 300000 | tail -c 3'
    )
    assert room.workplace.gateway.notes == ()


async def test_silent_connections_do_not_hold_up_a_program(room):
    await room.sh(python("held = [connect() for _ in range(60)]\nos.fork() or time.sleep(30)") + " >/dev/null 2>&1 &")
    await asyncio.sleep(0.3)
    started = time.monotonic()
    assert await room.json("officectl echo 1") == ["1"]
    assert time.monotonic() - started < 3


async def test_callers_that_owe_a_file_for_ever_do_not_hold_up_a_program(room):
    script = "for i in $(seq 40); do sleep 30 | officectl load - >/dev/null 2>&1 & done; sleep 1"
    await room.sh(script)
    started = time.monotonic()
    assert await room.json("officectl echo 1") == ["1"]
    assert time.monotonic() - started < 3


async def test_arguments_arrive_as_they_were_given(room):
    words = ["", "two words", "line\nbreak", "naïve 日本", "--flag=$HOME", "'\"\\"]
    ended = await room.workplace.run(["officectl", "echo", *words], stdin=b"", cwd="", env={}, timeout=10, limit=10**6)
    assert ended.exit == 0
    assert room.workplace.gateway.journal[0].argv == ("officectl", "echo", *words)


async def test_status_and_both_streams_come_back(room):
    assert await room.sh("officectl fail 7") == (7, "", "no\n", False)
    assert len((await room.sh("ledger big 300000")).stdout) == 300_000


async def test_files_are_read_with_the_callers_rights_relative_to_its_folder(room):
    await room.sh("echo here > 'notes/a b'; ln -s /etc/shadow shadow; printf 'caf\\xe9' > latin; mkfifo pipe")
    read = await room.json("cd notes && officectl load 'a b' ../notes/today.md none ../shadow .. ../latin")
    assert read == {
        "a b": {"text": "here\n"},
        "../notes/today.md": {"text": "call Ada\n"},
        "none": {"error": "No such file or directory"},
        "../shadow": {"error": "Permission denied"},
        "..": {"error": "Is a directory"},
        "../latin": {"text": "caf\ufffd"},
    }
    assert await room.json("echo typed | officectl load -") == {"-": {"text": "typed\n"}}
    assert list((await room.json("officectl load <(echo piped)")).values()) == [{"text": "piped\n"}]
    assert await room.json("head -c 300K /dev/zero > big; officectl load big") == {"big": {"error": "File too large"}}


async def test_calls_made_at_once_are_all_answered_and_numbered_without_gaps(room):
    ran = await room.sh("for i in $(seq 40); do officectl echo $i & done; wait")
    assert len(ran.stdout.splitlines()) == 40
    assert [entry.seq for entry in room.workplace.gateway.journal] == list(range(1, 41))


@pytest.mark.slow
async def test_a_flood_of_calls_ends_in_refusals_and_a_note_not_in_an_endless_journal(room):
    script = python("""
def call():
    c = connect(); c.sendall(frame(b'C', b'officectl\\0echo')); answer = b''
    while data := c.recv(999): answer += data
    return answer
assert b'too many' not in [call() for _ in range(5000)][-1]
assert b'too many' in call()
""")
    ran = await room.sh(script, timeout=120)
    assert ran.exit == 0, ran
    assert len(room.workplace.gateway.journal) == 5000
    assert [note.kind for note in room.workplace.gateway.notes] == ["call_limit"]


async def test_a_fault_in_the_world_is_reported_to_the_host_and_shown_to_nobody_else(room, canary):
    broken = await room.sh("officectl break")
    assert broken == (70, "", "officectl: service unavailable\n", False)
    assert (await room.sh("ledger echo 1")).exit == 70
    assert room.workplace.gateway.faults == [f"RuntimeError: {canary} inside"]


async def test_a_world_that_cannot_start_is_an_error_with_its_last_words(open_room):
    bad = WorldBundle(
        modules={"office": "raise KeyError('no such office')"}, entry="office:Office", factors={}, facts={}
    )
    with pytest.raises(GatewayError, match="no such office"):
        await open_room(world=bad)


def an_office(of: str) -> WorldBundle:
    """A world that nobody has started before."""
    return WorldBundle(modules={"office": f"{OFFICE}\n# of {of}"}, entry="office:Office", factors={}, facts={})


async def test_a_world_is_compiled_for_the_first_of_its_machines_and_not_again(provider, open_room):
    office = an_office("two machines")
    first, second = [await open_room(world=office) for _ in range(2)]
    compiled = [len(room.workplace.gateway.compiled) for room in (first, second)]
    assert compiled == [{"docker": 1, "embedded": 0}[provider.name], 0]  # embedded, before they are told apart
    assert [await room.json("officectl echo 1") for room in (first, second)] == [["1"], ["1"]]


async def test_code_that_another_interpreter_made_is_not_used(open_room, monkeypatch):
    office = an_office("strangers")
    monkeypatch.setitem(gateway_module._code, tuple(office.modules.items()), {"office, 3.6.1 (default)": "AAAA"})
    room = await open_room(world=office)
    assert await room.json("officectl echo 1") == ["1"]


async def test_a_workplace_without_a_world_has_no_programs(open_room):
    room = await open_room(world=None)
    assert (await room.sh("ls -A /opt/desk")).stdout == ""
    assert (await room.capture()).closed_state is None


async def test_the_worlds_source_is_nowhere_in_the_machine(room, canary):
    await room.json("officectl echo 1")
    pattern = f"{canary[:-1]}[{canary[-1]}]"
    searched = await room.sh(
        f"find / ~ /tmp /opt/desk /usr/local -xdev -type f -exec grep -lae '{pattern}' {{}} + 2>/dev/null;"
        f"cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | grep -cae '{pattern}'",
        timeout=60,
    )
    assert searched.stdout == "0\n"
    assert (await room.sh("cat /usr/{,local/}lib/opsd/gateway.py; ls /usr/{,local/}lib/opsd")).stdout == ""


async def test_the_machine_ends_by_itself_when_its_lifetime_is_over(open_room):
    room = await open_room(lifetime_s=2)
    async with asyncio.timeout(10):
        while await room.workplace.machine.running():
            await asyncio.sleep(0.05)


async def test_what_callers_see_of_the_machinery_does_not_name_it(room):
    script = """
    ps -eo user,args; env; id; hostname; cat /proc/1/cmdline /proc/mounts /proc/self/mountinfo /proc/self/cgroup
    cat /opt/desk/bin/ledger /etc/passwd /etc/group /etc/hosts /etc/profile; ls -la / /opt/desk/bin /proc/self/fd
    ls -laR /home /opt /run /srv /var
    """
    listing = await room.sh(script)
    words = r"\b(side.?door|sandbox|scenario|bench|benchmark|inspect|eval|evaluation|shortcut|bwrap|bubblewrap)\b"
    assert len(listing.stdout) > 2000
    assert re.findall(words, listing.stdout, re.IGNORECASE) == []
