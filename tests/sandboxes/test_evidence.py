"""What is kept of an episode, and what an agent can do to it after the end: nothing."""

import asyncio
import hashlib

import pytest

from sidedoor.sandboxes.archives import WatchedPathError
from sidedoor.sandboxes.evidence import Evidence
from sidedoor.sandboxes.machine import MachineGoneError, ProviderUnavailableError


def by_path(evidence: Evidence):
    assert evidence.files is not None
    return {file.path: file for file in evidence.files}


async def test_journal_last_state_and_watched_files_are_kept_whole(room):
    await room.sh("officectl echo 1; echo second > notes/b; echo elsewhere > other")
    evidence = await room.capture()
    assert [entry.argv for entry in evidence.journal] == [("officectl", "echo", "1")]
    assert evidence.closed_state == {"calls": 1, "facts": {"pin": "canary-7d1f0b52c9"}}
    assert evidence.ended == "closed"
    assert evidence.files_complete
    found = by_path(evidence)
    assert set(found) == {"/home/operator/notes/b", "/home/operator/notes/today.md"}
    assert found["/home/operator/notes/b"].text == "second\n"
    assert found["/home/operator/notes/b"].sha256 == hashlib.sha256(b"second\n").hexdigest()
    assert Evidence.model_validate_json(evidence.model_dump_json()) == evidence


async def test_the_machine_is_gone_after_capture(room):
    await room.capture()
    with pytest.raises(MachineGoneError):
        await room.workplace.machine.freeze()


async def test_links_and_special_files_are_recorded_and_not_followed(room):
    await room.sh(
        "rm notes/today.md; ln -s /etc/passwd notes/today.md; ln -s /usr/lib/opsd notes/folder; mkfifo notes/pipe;"
        "python3 -c \"import socket; socket.socket(socket.AF_UNIX).bind('notes/door')\"; mkdir notes/empty"
    )
    found = by_path(await room.capture())
    assert found["/home/operator/notes/today.md"].kind == "symlink"
    assert found["/home/operator/notes/today.md"].target == "/etc/passwd"
    assert found["/home/operator/notes/folder"].target == "/usr/lib/opsd"
    assert found["/home/operator/notes/pipe"].kind == "fifo"
    assert found["/home/operator/notes/empty"].kind == "directory"
    assert all(file.text is None and file.base64 is None for file in found.values())


async def test_a_link_in_place_of_a_watched_folder_is_recorded(room):
    await room.sh("mv notes /tmp/kept; ln -s /tmp/kept notes")
    found = by_path(await room.capture())
    assert [(file.path, file.kind, file.target) for file in found.values()] == [
        ("/home/operator/notes", "symlink", "/tmp/kept")
    ]


async def test_a_hard_link_to_an_unwatched_file_still_shows_its_content(room):
    await room.sh("echo hidden > aaa; ln aaa notes/one; ln aaa notes/two; mkdir zzz; ln notes/today.md zzz/copy")
    found = by_path(await room.capture())
    assert found["/home/operator/notes/one"].text == "hidden\n"
    assert found["/home/operator/notes/two"].target == "/home/operator/notes/one"
    assert found["/home/operator/notes/today.md"].text == "call Ada\n"


async def test_content_that_is_no_text_is_kept_too(room):
    await room.sh("printf '\\377\\000\\001' > notes/raw; printf 'x' > $'notes/\\351'; printf y > $'notes/li\\nne'")
    found = by_path(await room.capture())
    assert found["/home/operator/notes/raw"].base64 == "/wAB"
    assert found["/home/operator/notes/li\nne"].text == "y"
    assert found["/home/operator/notes/\ufffd"].text == "x"


async def test_what_is_over_a_limit_is_marked_and_hashed(room):
    await room.sh("head -c 5000000 /dev/zero > notes/huge")
    evidence = await room.capture()
    huge = by_path(evidence)["/home/operator/notes/huge"]
    assert (huge.truncated, huge.text, huge.size) == (True, None, 5_000_000)
    assert huge.sha256 == hashlib.sha256(bytes(5_000_000)).hexdigest()
    assert not evidence.files_complete


async def test_too_many_files_are_cut_off_and_said_so(room):
    await room.sh("cd notes; touch $(seq 1 2500)")
    evidence = await room.capture()
    assert len(evidence.files or ()) == 2_000
    assert not evidence.files_complete


async def test_sparse_files_cannot_make_the_reading_endless(room):
    await room.sh("mkdir a; cd a; for i in 1 2 3 4; do truncate -s 128M big$i; done; truncate -s 10G no; ls")
    evidence = await room.capture()
    assert not evidence.files_complete


async def test_a_background_process_that_rewrites_files_after_the_end_changes_nothing(room):
    await room.sh("setsid bash -c 'while :; do date +%N > notes/now; done' >/dev/null 2>&1 & sleep 0.2")
    machine = room.workplace.machine
    read, contents = machine.read, []

    async def slow(root, consume):
        for _ in range(3):
            contents.append(await read(root, b"".join))
            await asyncio.sleep(0.1)
        return await read(root, consume)

    machine.read = slow
    evidence = await room.capture()
    assert len(set(contents)) == 1
    assert by_path(evidence)["/home/operator/notes/now"].text.encode() in contents[0]


async def test_a_machine_that_was_killed_keeps_its_journal_and_shows_no_files(room):
    await room.sh("officectl echo 1")
    await room.workplace.machine.remove()
    evidence = await room.capture()
    assert evidence.ended == "container_died"
    assert evidence.files is None
    assert not evidence.files_complete
    assert evidence.closed_state is None
    assert len(evidence.journal) == 1


async def test_a_provider_that_stops_answering_leaves_the_journal(room, monkeypatch):
    await room.sh("officectl echo 1")

    async def unavailable(*_):
        raise ProviderUnavailableError("the engine is gone")

    for name in ("freeze", "running", "read"):
        monkeypatch.setattr(room.workplace.machine, name, unavailable)
    evidence = await room.capture()
    assert evidence.files is None
    assert len(evidence.journal) == 1


async def test_without_watched_paths_there_is_nothing_to_read(open_room):
    evidence = await (await open_room(watched=())).capture()
    assert evidence.files == ()
    assert evidence.files_complete


async def test_watched_paths_lie_in_home_or_tmp_and_both_are_read(open_room):
    room = await open_room(watched=("~/*.md", "/tmp/**"), files={"a.md": "a", "/tmp/x/b.txt": "b", "sub/c.md": "c"})
    assert set(by_path(await room.capture())) == {"/home/operator/a.md", "/tmp/x", "/tmp/x/b.txt"}
    with pytest.raises(WatchedPathError, match="/etc/passwd"):
        await (await open_room(watched=("/etc/passwd",))).capture()


async def test_identical_runs_have_identical_digests_and_another_run_has_another(open_room):
    async def run(word: str) -> str:
        room = await open_room()
        await room.sh(f"officectl echo {word}; echo {word} > notes/b")
        return (await room.capture()).digest()

    digests = [await run("same"), await run("same"), await run("same"), await run("other")]
    assert len(set(digests[:3])) == 1
    assert digests[3] != digests[0]
