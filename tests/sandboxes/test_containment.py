"""What the hardening promises, read and tried inside live machines of both providers."""

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidedoor.sandboxes.engine import Engine

LOOKS = pytest.mark.asyncio(loop_scope="module")
WAYS_OUT = (Path(__file__).parent / "ways_out.py").read_text()


@pytest.fixture
def listening_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@LOOKS
async def test_the_agent_has_no_capability_and_can_gain_none(shared_room):
    status = dict(line.split(":\t", 1) for line in (await shared_room.sh("cat /proc/self/status")).stdout.splitlines())
    assert {status[name] for name in ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")} == {"0" * 16}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"
    assert set(status["Uid"].split()) == {"1000"}
    assert set(status["Gid"].split()) == {"1000"}


@LOOKS
async def test_loopback_is_the_only_network_interface(shared_room):
    listed = (await shared_room.sh("cat /proc/net/dev")).stdout.splitlines()[2:]
    assert [line.partition(":")[0].strip() for line in listed] == ["lo"]


@LOOKS
async def test_every_way_out_is_closed(shared_room, listening_port):
    opened = await shared_room.json(f"python3 - {listening_port}", stdin=WAYS_OUT.encode())
    assert len(opened) >= 8
    assert [way for way, is_open in opened.items() if is_open] == []


@pytest.mark.docker
async def test_the_same_attempts_succeed_in_a_container_that_is_not_hardened(engine: Engine, image, listening_port):
    """So that the test above cannot pass because its attempts are broken."""
    script = f'chmod u+s /usr/bin/tree; python3 -c "$WAYS" {listening_port}; true'
    config = {
        "Image": image,
        "User": "0",
        "Cmd": ["sh", "-c", script],
        "Env": [f"WAYS={WAYS_OUT}"],
        "HostConfig": {
            "CapAdd": ["SYS_ADMIN", "SYS_PTRACE"],
            "SecurityOpt": ["seccomp=unconfined", "apparmor=unconfined"],
            "ReadonlyPaths": [],
            "NetworkMode": "host",
            "Binds": ["/var/run/docker.sock:/var/run/docker.sock", "/sys/fs/cgroup:/sys/fs/cgroup"],
        },
    }
    container = await engine.create(config, f"control-{os.getpid()}")
    try:
        await engine.start(container)
        await asyncio.to_thread(engine.client.wait, container)
        opened = json.loads(engine.client.logs(container, stderr=False))
    finally:
        await engine.remove(container)
    assert [way for way, is_open in opened.items() if not is_open] == []


@LOOKS
async def test_nothing_is_writable_but_the_volumes(shared_room):
    script = """
    find / -xdev -writable -not -type l -not -type d 2>/dev/null
    for d in $(find / -xdev -writable -type d; find /opt /run /var /dev -writable -type d); do
        touch $d/new && echo $d
    done 2>/dev/null
    """
    found = set((await shared_room.sh(script)).stdout.split())
    assert found - {"/dev/mqueue"} == {"/home/operator", "/tmp"}
    tried = await shared_room.sh("touch ~/a /tmp/b /var/tmp/c && rm /opt/desk/bin/ledger; ls /opt/desk/bin")
    assert tried.stdout.split() == ["ledger", "officectl"]


@LOOKS
async def test_of_the_hosts_disks_only_programs_are_mounted_and_only_for_reading(shared_room, provider):
    mounts = [line.split() for line in (await shared_room.sh("cat /proc/self/mountinfo")).stdout.splitlines()]
    of_disks = {fields[4]: fields[5] for fields in mounts if fields[fields.index("-") + 2].startswith("/dev/")}
    expected = {
        "docker": {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"},
        "embedded": {"/usr", "/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime"},
    }
    assert set(of_disks) <= expected[provider.name]
    if provider.name == "embedded":
        assert all({"ro", "nosuid", "nodev"} <= set(options.split(",")) for options in of_disks.values())


async def test_scratch_space_is_bounded(room):
    filled = await room.sh("head -c 300M /dev/zero > ~/a; head -c 300M /dev/zero > /tmp/b; du -cm ~ /tmp | tail -1")
    assert int(filled.stdout.split()[0]) <= 128 + 64
    assert "No space left" in filled.stderr or "File too large" in filled.stderr


async def test_memory_is_bounded_and_the_workplace_survives_reaching_the_bound(room):
    hungry = await room.sh("python3 -c 'x = bytearray(10**9)'; echo $?", timeout=60)
    assert hungry.stdout.strip() == "137" or "MemoryError" in hungry.stderr
    assert await room.json("officectl echo still here") == ["still", "here"]
