"""Machines without an engine: what is refused inside, how they are bounded, and that nothing stays."""

import asyncio
import errno
import gc
import json
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from sidedoor.sandboxes.choice import chosen_provider, provider_named
from sidedoor.sandboxes.embedded import base as base_module
from sidedoor.sandboxes.embedded import desks, groups
from sidedoor.sandboxes.embedded import provider as provider_module
from sidedoor.sandboxes.embedded.base import Base
from sidedoor.sandboxes.embedded.desks import NOBODY, Desk
from sidedoor.sandboxes.embedded.provider import Embedded, check
from sidedoor.sandboxes.embedded.seccomp import ABSENT, BEYOND_THE_FIRST, REFUSED, program
from sidedoor.sandboxes.engine import EngineUnavailableError
from sidedoor.sandboxes.image import ImageError
from sidedoor.sandboxes.machine import ProviderUnavailableError
from sidedoor.sandboxes.spec import WorldBundle
from tests.commands import Begun
from tests.sandboxes.conftest import CANARY, OFFICE, RUN, Opener, rooms_of
from tests.sandboxes.holds_workplaces import hold, names
from tests.sandboxes.processes import below, left_of, table

embedded = pytest.mark.embedded


@pytest.fixture
async def embedded_provider() -> AsyncIterator[Embedded]:
    found = Embedded()
    await found.prepare(print)
    yield found
    await found.clean_run(RUN)


@pytest.fixture
async def open_embedded(embedded_provider: Embedded) -> AsyncIterator[Opener]:
    async with rooms_of(embedded_provider) as opener:
        yield opener


def descriptors() -> int:
    gc.collect()  # what tests before have left closes its descriptors at any time
    return len(list(Path("/proc/self/fd").iterdir()))


def desks_there() -> set[str]:
    return {path.name for path, _ in desks.others_desks()}


# ---- what is refused ----------------------------------------------------------------------------------------------

TRIES = """
import ctypes, json, os, sys
libc = ctypes.CDLL(None, use_errno=True)
def error(number, *arguments):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    return ctypes.get_errno() if result == -1 else 0
print(json.dumps([error(*call) for call in json.loads(sys.argv[1])]))
"""


@embedded
async def test_every_refused_system_call_is_refused_with_the_agents_own_programs_unharmed(open_embedded):
    room = await open_embedded()
    column = {"x86_64": 0, "aarch64": 1}[platform.machine()]
    refused = [numbers[column] for numbers in REFUSED.values() if numbers[column] is not None]
    absent = [numbers[column] for numbers in ABSENT.values()]
    newer = [457, 500, 5000, 1 << 30]
    first = [[numbers[column], *([0] * place), 1, 0, 0] for place, numbers in BEYOND_THE_FIRST.values()]
    calls = [[number, 0, 0, 0] for number in (*refused, *absent, *newer)] + first
    found = await room.json(f"python3 - '{json.dumps(calls)}'", stdin=TRIES.encode())
    expected = [errno.EPERM] * len(refused) + [errno.ENOSYS] * len(absent + newer) + [errno.EPERM] * len(first)
    assert found == expected


@embedded
async def test_new_namespaces_odd_sockets_and_typing_on_terminals_are_refused(open_embedded):
    room = await open_embedded()
    clone, new_user, new_net = {"x86_64": 56, "aarch64": 220}[platform.machine()], 0x10000000, 0x40000000
    calls = [[clone, new_user | 17, 0, 0, 0, 0], [clone, new_net | 17, 0, 0, 0, 0]]
    assert await room.json(f"python3 - '{json.dumps(calls)}'", stdin=TRIES.encode()) == [errno.EPERM, errno.EPERM]
    script = "import fcntl, socket\nfor family in (40, 38, 17, 31):\n try: socket.socket(family, 2); print('open')\n"
    script += " except OSError as error: print(error.errno)\n"
    script += "import os; fcntl.ioctl(os.openpty()[1], 0x5412, b'x')"
    ended = await room.sh("python3 -", stdin=script.encode())
    assert ended.stdout.split() == [str(errno.EAFNOSUPPORT)] * 4
    assert ended.stderr.endswith("PermissionError: [Errno 1] Operation not permitted\n")


@pytest.mark.parametrize(
    ("machine", "header"),
    [("x86_64", "x86_64-linux-gnu/asm/unistd_64.h"), ("aarch64", "asm-generic/unistd.h")],
)
def test_system_calls_have_the_numbers_of_the_kernels_own_headers(machine, header):
    path = Path("/usr/include") / header
    if not path.exists():
        pytest.skip("no kernel headers here")
    numbers = dict(re.findall(r"#define __NR_(\w+)\s+(\d+)", path.read_text()))
    column = {"x86_64": 0, "aarch64": 1}[machine]
    named = {**REFUSED, **ABSENT, **{name: pair for name, (_, pair) in BEYOND_THE_FIRST.items()}}
    listed = {name: pair[column] for name, pair in named.items()}
    known = {name: int(numbers[name]) if name in numbers else None for name in named}
    assert listed == known


def test_a_filter_is_whole_instructions_and_jumps_stay_inside():
    for machine in ("x86_64", "aarch64"):
        code = program(machine)
        count, rest = divmod(len(code), 8)
        assert rest == 0
        assert count < 4096
        for index in range(count):
            kind, if_true, if_false = code[index * 8 : index * 8 + 2], code[index * 8 + 2], code[index * 8 + 3]
            if kind[0] & 0x07 == 0x05:
                assert index + 1 + max(if_true, if_false) < count


# ---- limits where no control group holds them ----------------------------------------------------------------------


@embedded
@pytest.mark.slow
async def test_the_memory_of_all_processes_together_is_bounded_and_a_neighbour_notices_nothing(open_embedded):
    hungry, neighbour = await open_embedded(), await open_embedded()
    keep = 'import os, time; x = b"x" * 10**8\nwhile not os.path.exists("/tmp/enough"): time.sleep(0.1)'
    working = asyncio.create_task(hungry.sh(f"for i in $(seq 12); do python3 -c '{keep}' & done; wait", timeout=60))
    await asyncio.sleep(4)
    most = await neighbour.sh("echo fine")
    assert most.stdout == "fine\n"
    for _ in range(10):  # looked at once a second, and on a busy machine some may still be growing
        used = await hungry.sh("cat /proc/[0-9]*/status | awk '/^RssAnon/ {sum += $2} END {print int(sum / 1024)}'")
        if int(used.stdout) < 700:
            break
        await asyncio.sleep(1)
    assert int(used.stdout) < 700
    await hungry.sh("touch /tmp/enough")
    ended = await working
    assert "Killed" in ended.stderr
    assert await hungry.json("officectl echo 1") == ["1"]


@embedded
async def test_filling_the_scratch_with_files_ends_the_agents_processes_and_nothing_else(open_embedded):
    room = await open_embedded()
    script = "import os\nfor i in range(10**6): os.mknod(f'/tmp/{i}')"
    filling = await room.sh("python3 -", stdin=script.encode(), timeout=60)
    assert filling.exit == 137
    counted = await room.sh("rm -rf /tmp/[0-9]*; ls /tmp | wc -l", timeout=60)
    assert counted.stdout == "0\n" or counted.exit == 137
    evidence = await room.capture()
    assert evidence.ended == "closed"
    assert {event.kind for event in evidence.session_events} >= {"lost"}


@embedded
async def test_the_first_process_lives_on_whatever_the_agents_user_does_to_it(open_embedded):
    room = await open_embedded()
    script = """
    import os, resource, signal
    for number in range(1, 65):
        try: os.kill(1, number)
        except OSError: pass
    for limit in range(16):
        try: resource.prlimit(1, limit, (0, 0))
        except (OSError, ValueError): pass
    for path in ("mem", "environ", "maps", "fd", "root/etc", "cwd"):
        try: print("OPEN", os.open(f"/proc/1/{path}", os.O_RDONLY))
        except OSError: pass
    try: print("OPEN", os.open("/proc/1/oom_score_adj", os.O_WRONLY))
    except OSError: pass
    """
    ended = await room.sh("python3 -", stdin="\n".join(line[4:] for line in script.splitlines()).encode())
    assert (ended.exit, ended.stdout) == (0, "")
    await room.sh("kill -9 -1")
    assert (await room.sh("echo still here")).stdout == "still here\n"
    assert await room.workplace.machine.running()


@embedded
async def test_the_agents_machine_shows_no_process_of_the_services_and_none_of_the_hosts(open_embedded):
    room = await open_embedded()
    listed = (await room.sh("ps -eo args")).stdout.splitlines()[1:]
    assert not [line for line in listed if "opsd" in line or "bwrap" in line or "pytest" in line]
    assert len(listed) == 3  # the first process, the session, and ps


# ---- control groups, where a part of their hierarchy is this user's -------------------------------------------------


@pytest.fixture
def hierarchy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files like those of a delegated part of the hierarchy, with this process two levels below it."""
    monkeypatch.setattr(groups, "MOUNTS", (tmp_path,))
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    for folder, controllers in (("user", "memory pids\n"), ("user/app", ""), ("user/app/own", "")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "cgroup.procs").touch()
        (tmp_path / folder / "cgroup.subtree_control").write_text(controllers)
    own = tmp_path / "user/app/own"
    monkeypatch.setattr(groups, "_own_group", lambda: own)
    groups.delegated_group.cache_clear()
    yield tmp_path
    groups.delegated_group.cache_clear()


def test_the_nearest_group_that_passes_limits_on_is_taken(hierarchy):
    assert groups.delegated_group() == hierarchy / "user"
    assert not list((hierarchy / "user").glob("trial-*"))


def test_without_controllers_to_pass_on_there_is_no_group(hierarchy):
    (hierarchy / "user/cgroup.subtree_control").write_text("cpu")
    assert groups.delegated_group() is None


def test_a_group_has_the_limits_of_a_container_as_far_as_the_kernel_offers_them(hierarchy, monkeypatch):
    made = hierarchy / "user/desk-1"
    mkdir = Path.mkdir

    def with_files(path: Path) -> None:
        mkdir(path)
        for name in ("memory.max", "pids.max", "cpu.max"):
            (path / name).write_text("max")

    monkeypatch.setattr(groups.Path, "mkdir", with_files)
    assert groups.make_group(hierarchy / "user", "desk-1") == made
    assert (made / "memory.max").read_text() == str(512 * 2**20)
    assert int((made / "pids.max").read_text()) == 264
    assert (made / "cpu.max").read_text().endswith(" 100000")
    assert not (made / "memory.swap.max").exists()


@embedded
async def test_the_agents_machine_enters_its_group_and_leaves_the_memory_to_it(hierarchy, open_embedded):
    room = await open_embedded()
    group = hierarchy / "user" / room.workplace.machine.name
    entered = int((group / "cgroup.procs").read_text())
    assert (entered, table()[entered][1]) in below(os.getpid())
    limits = (await room.sh("cat /proc/self/limits")).stdout
    assert re.search(r"Max address space +unlimited", limits)
    assert re.search(r"Max processes +256", limits)
    (group / "cgroup.procs").unlink()  # a real one needs no emptying
    await room.workplace.close()
    assert not group.exists()


# ---- nothing stays -------------------------------------------------------------------------------------------------


@embedded
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
async def test_a_harness_that_is_killed_leaves_no_process_and_no_folder(embedded_provider, number):
    with Begun((), hold, ("embedded", 4)) as holder:
        held = set(holder.until(names))
        assert len(held) == 4
        await asyncio.sleep(0.5)
        started = below(holder.pid)
        assert len(started) >= 4 * 5 + 3  # each: bubblewrap, three programs of ours, a command
        assert held <= desks_there()
        holder.send(number)
        holder.wait(30)
        assert left_of(started, within_s=10) == set()
        assert held & desks_there() == set()


@embedded
async def test_a_machine_that_is_closed_leaves_no_process_no_folder_and_no_descriptor(embedded_provider):
    async with rooms_of(embedded_provider) as warm_up:
        await warm_up()
    before, open_before = below(os.getpid()), descriptors()
    async with rooms_of(embedded_provider) as opener:
        rooms = await asyncio.gather(*(opener() for _ in range(3)))
        for room in rooms:
            await room.sh("sleep 600 & setsid sleep 600 & echo")
        assert {room.workplace.machine.name for room in rooms} <= desks_there()
        started = below(os.getpid()) - before
        assert len(started) >= 3 * 6  # bubblewrap, three guest programs, two commands
    assert left_of(started, within_s=5) == set()
    assert {room.workplace.machine.name for room in rooms} & desks_there() == set()
    await asyncio.sleep(0.1)
    assert descriptors() == open_before


@embedded
async def test_many_episodes_leave_no_process_no_folder_no_descriptor_and_no_mount(embedded_provider):
    names = set()

    async def episode(number: int) -> None:
        async with rooms_of(embedded_provider) as opener:
            room = await opener()
            names.add(room.workplace.machine.name)
            await room.sh("sleep 600 & echo" if number % 2 else "officectl echo 1")
            if number % 3:
                await room.capture()

    await episode(0)
    before, open_before = below(os.getpid()), descriptors()
    for _ in range(8):
        await asyncio.gather(*(episode(number) for number in range(5)))
    assert left_of(below(os.getpid()) - before, within_s=5) == set()
    await asyncio.sleep(0.1)
    assert len(names) == 41
    assert names & desks_there() == set()
    assert descriptors() <= open_before
    mounts = Path("/proc/self/mountinfo").read_text()
    assert not [line for line in mounts.splitlines() if "desk-" in line or "newroot" in line]


@embedded
async def test_an_opening_that_is_cancelled_leaves_nothing(open_embedded, embedded_provider):
    before = below(os.getpid())
    for seconds in (0.0, 0.002, 0.01, 0.03, 0.06, 0.1, 0.2):
        opening = asyncio.create_task(open_embedded())
        await asyncio.sleep(seconds)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        if not opening.cancelled():
            await opening.result().workplace.close()
    await embedded_provider.clean_run("0123456789abcdef-tests")
    assert left_of(below(os.getpid()) - before, within_s=5) == set()
    assert {machine.name for machine in embedded_provider._machines} & desks_there() == set()


@embedded
@pytest.mark.parametrize("half", ["_services", "_first"])
async def test_the_end_of_either_half_is_the_end_of_both(open_embedded, half):
    room = await open_embedded()
    machine = room.workplace.machine
    process = getattr(machine, half)
    process.kill()
    for _ in range(100):
        ended = [getattr(machine, name).ended.is_set() for name in ("_services", "_first")]
        if all(ended):
            break
        await asyncio.sleep(0.05)
    assert all(ended)
    assert not await machine.running()
    assert (await room.capture()).ended == "container_died"


@embedded
async def test_the_end_of_all_services_ends_their_machines_and_the_next_one_has_services_again():
    provider = Embedded()
    async with rooms_of(provider) as opener:
        room, keeper = await opener(), provider._services._keeper
        os.killpg(keeper.pid, signal.SIGKILL)
        assert await room.workplace.gateway.ends(within_s=5)
        assert (await room.capture()).ended == "container_died"
        keeper.wait(5)
        assert await (await opener()).json("officectl echo 1") == ["1"]
    await provider.clean_run(RUN)


@embedded
async def test_the_end_of_a_run_is_the_end_of_its_services():
    provider, before = Embedded(), below(os.getpid())
    async with rooms_of(provider) as opener:
        room = await opener()
        assert await room.json("officectl echo 1") == ["1"]
    assert below(os.getpid()) - before
    await provider.clean_run(RUN)
    assert left_of(below(os.getpid()) - before, within_s=5) == set()


@embedded
async def test_worlds_of_one_run_share_neither_state_nor_sources(open_embedded):
    first = await open_embedded()
    assert await first.json("officectl echo 1") == ["1"]
    changed = WorldBundle(
        modules={"office": OFFICE.replace("json.dumps(rest)", "json.dumps(rest[::-1])")},
        entry="office:Office",
        factors={},
        facts={"pin": "other"},
    )
    second, third = await open_embedded(world=changed), await open_embedded()
    assert await second.json("officectl echo 1 2") == ["2", "1"]
    assert await third.json("officectl echo 1 2") == ["1", "2"]
    states = [(await room.capture()).closed_state for room in (first, second, third)]
    pins = [CANARY, "other", CANARY]
    assert states == [{"calls": 1, "facts": {"pin": pin}} for pin in pins]


@embedded
async def test_no_other_user_of_this_system_can_reach_the_services(open_embedded):
    name = (await open_embedded()).workplace.machine.name
    (desk,) = [path for path, _ in desks.others_desks() if path.name == name]
    assert desk.stat().st_mode & 0o777 == 0o700
    assert (desk / "desk/desk.sock").is_socket()


# ---- cleaning ------------------------------------------------------------------------------------------------------


def deserted(name: str) -> Path:
    """A folder as a killed process might leave it."""
    path = Path("/dev/shm") / name
    (path / "desk/bin").mkdir(parents=True)
    (path / "desk/bin/ledger").write_text("x")
    (path / "desk/bin").chmod(0o555)
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)
    return path


@embedded
async def test_cleaning_removes_what_was_left_behind_and_nothing_that_is_in_use_or_somebody_elses(open_embedded):
    room = await open_embedded()
    ours, alike = deserted("desk-00000000000000aa"), deserted("desk-of-somebody")
    try:
        removed = await Embedded().clean()
        assert room.workplace.machine.name not in removed
        assert alike.name not in removed
        assert (ours.exists(), alike.exists()) == (False, True)
        assert await room.json("officectl echo 1") == ["1"]
    finally:
        desks.remove(ours)
        desks.remove(alike)


@embedded
async def test_a_machine_in_use_can_be_named(open_embedded):
    room, other = await open_embedded(), await open_embedded()
    name = room.workplace.machine.name
    assert await Embedded().clean(everything=True, only=name) == [name]
    assert await room.workplace.gateway.ends(within_s=5)
    assert (await room.capture()).ended == "container_died"
    assert await other.json("officectl echo 1") == ["1"]


# ---- where it does not work ----------------------------------------------------------------------------------------


@pytest.fixture
def unchecked() -> None:
    check.cache_clear()
    yield
    check.cache_clear()


def complaint() -> str:
    with pytest.raises(ProviderUnavailableError) as caught:
        check()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_bubblewrap_one_line_says_what_to_install(unchecked, monkeypatch):
    monkeypatch.setattr(provider_module.shutil, "which", lambda name: None if name == "bwrap" else name)
    assert "apt-get install bubblewrap" in complaint()


@pytest.mark.parametrize("release", ["5.10.0-28-amd64", "4.18.0", "3.10"])
def test_a_kernel_that_counts_processes_otherwise_is_refused(unchecked, monkeypatch, release):
    monkeypatch.setattr(provider_module.platform, "release", lambda: release)
    assert f"needs Linux 5.14 or newer, and this is {release}" in complaint()


def test_another_system_is_refused(unchecked, monkeypatch):
    monkeypatch.setattr(provider_module.platform, "system", lambda: "Darwin")
    assert "needs Linux" in complaint()


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ("bwrap: Creating new namespace failed: Operation not permitted", "user.max_user_namespaces"),
        ("bwrap: No permissions to create a new namespace", "user.max_user_namespaces"),
        ("bwrap: setting up uid map: Permission denied", "apparmor_restrict_unprivileged_userns"),
        ("bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted", "apparmor_restrict_unprivileged_userns"),
        ("bwrap: Can't mount proc on /newroot/proc: Operation not permitted", "systempaths=unconfined"),
        ("bwrap: Unknown option --size", "bubblewrap 0.6"),
        ("bwrap: something new", "bwrap --help"),
    ],
)
@embedded
def test_what_bubblewrap_refuses_is_told_with_what_to_do(unchecked, monkeypatch, tmp_path, said, advice):
    fake = tmp_path / "bwrap"
    fake.write_text(f'#!/bin/sh\necho "{said}" >&2\nexit 1\n')
    fake.chmod(0o755)
    tmp_path.chmod(0o755)
    monkeypatch.setattr(provider_module, "started", lambda *_: [str(fake)])
    told = complaint()
    assert said in told
    assert advice in told


@embedded
@pytest.mark.slow
def test_user_namespaces_that_are_really_off_are_told(unchecked):
    """In a user namespace of its own, this process may set the limit that it is then under."""
    script = (
        "from sidedoor.sandboxes.embedded.provider import check\n"
        "from sidedoor.sandboxes.machine import ProviderUnavailableError\n"
        "try: check()\n"
        "except ProviderUnavailableError as error: print(error)\n"
    )
    off = 'echo 0 > /proc/sys/user/max_user_namespaces && exec "$@"'
    command = ["unshare", "--user", "--map-root-user", "sh", "-c", off, "sh", sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "unshare" in done.stderr:
        pytest.skip(done.stderr)
    assert "the embedded sandbox does not work here" in done.stdout, done.stderr
    assert done.stdout.count("\n") == 1


def test_without_a_folder_that_programs_start_from_one_line_says_so(monkeypatch):
    monkeypatch.setattr(desks.os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_NOEXEC))
    with pytest.raises(ProviderUnavailableError, match="programs can be started from none of"):
        Desk("desk-00000000000000bb")


@pytest.mark.parametrize("step", ["mkdir", "chmod", "rename"])
def test_a_full_scratch_is_one_line_and_leaves_nothing(monkeypatch, step):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    name = "desk-00000000000000bb"
    with monkeypatch.context() as patched:
        patched.setattr(desks.Path, step, full)
        with pytest.raises(ProviderUnavailableError, match="No space left on device"):
            Desk(name)
    assert not [path for place in desks._places() for path in Path(place).glob(f"{name}*")]


def test_programs_among_which_agents_would_find_this_code_are_refused(tmp_path, monkeypatch):
    (tmp_path / "usr/bin").mkdir(parents=True)
    for name in base_module.NEEDED:
        (tmp_path / "usr/bin" / name).touch()
    base = Base(tmp_path, "any")
    assert base.trouble() is None
    code = tmp_path / "usr/lib/python3/dist-packages/sidedoor"
    monkeypatch.setattr(base_module, "_own_code", lambda: [code])
    assert f"agents would see {code}" in base.trouble()
    monkeypatch.setattr(base_module, "_own_code", lambda: [tmp_path / "usr/local/lib/sidedoor"])  # never shown
    assert base.trouble() is None


def test_programs_that_are_missing_are_named(tmp_path):
    assert "lacks bash, perl, python3" in Base(tmp_path, "any").trouble()


def test_an_image_that_is_named_and_not_there_is_an_error_and_not_passed_over(monkeypatch, tmp_path):
    monkeypatch.setenv("SIDEDOOR_IMAGE", str(tmp_path))
    with pytest.raises(ImageError, match="sidedoor image export"):
        _ = Embedded().image


# ---- which one ------------------------------------------------------------------------------------------------------


def test_docker_comes_first_where_an_engine_answers_and_embedded_elsewhere(monkeypatch):
    monkeypatch.setattr("sidedoor.sandboxes.choice.connect", lambda: None)
    assert chosen_provider(None) == "docker"

    def nobody():
        raise EngineUnavailableError("no engine")

    monkeypatch.setattr("sidedoor.sandboxes.choice.connect", nobody)
    assert chosen_provider(None) == "embedded"
    assert chosen_provider("docker") == "docker"
    assert provider_named("embedded").name == "embedded"
    with pytest.raises(ProviderUnavailableError, match=r"unknown sandbox 'podman' \(valid: docker, embedded\)"):
        chosen_provider("podman")
