"""How a container is locked down.

The agent inside is not trusted at all. It must not reach a network, the host, another container, the gateway's memory
or the record of what it did, and it must not be able to starve its neighbours. What is *not* defended against: a hole
in the kernel or in the container runtime, and the engine's default seccomp profile being switched off by whoever runs
the engine.

Home and `/tmp` are volumes (of kind tmpfs, so bounded and gone with the container) and not `Tmpfs` mounts, because
the engine can read volumes of a frozen container. `/opt/desk` is a mount, because nobody reads it afterwards.
"""

import os
from collections.abc import Mapping
from typing import Any, Final

from sidedoor.sandboxes.spec import WorkplaceSpec

MEBIBYTE: Final = 2**20
AGENT_USER: Final = "operator"
AGENT_UID: Final = 1000
AGENT_HOME: Final = "/home/operator"
DESK: Final = "/opt/desk"
DESK_UID: Final = 990
SESSION_COMMAND: Final = ("/usr/bin/python3", "-I", "-S", "/usr/lib/shelld/session.pyc")
GATEWAY_COMMAND: Final = ("/usr/bin/python3", "-I", "-S", "/usr/lib/opsd/gateway.pyc")

HOME_BYTES: Final = 128 * MEBIBYTE
TMP_BYTES: Final = 64 * MEBIBYTE
MEMORY_BYTES: Final = 512 * MEBIBYTE
PIDS: Final = 256
CPUS: Final = min(2, os.cpu_count() or 1)
VOLUME_INODES: Final = 16_384
VOLUMES: Final[Mapping[str, str]] = {
    AGENT_HOME: f"size={HOME_BYTES},nr_inodes={VOLUME_INODES},uid={AGENT_UID},gid={AGENT_UID},mode=0755",
    "/tmp": f"size={TMP_BYTES},nr_inodes={VOLUME_INODES},mode=1777",  # noqa: S108 - the container's, not ours
}


def container_config(image: str, spec: WorkplaceSpec, labels: Mapping[str, str]) -> dict[str, Any]:
    """The Engine API configuration of an episode's container."""
    return {
        "Image": image,
        "User": f"{DESK_UID}:{DESK_UID}",
        "Cmd": list(GATEWAY_COMMAND),
        "Hostname": spec.hostname,
        "Labels": dict(labels),
        "OpenStdin": True,
        "StdinOnce": True,  # the end of our stream is the end of the gateway, and so of the container
        "AttachStdin": True,
        "AttachStdout": True,
        "AttachStderr": True,
        "NetworkDisabled": True,
        "HostConfig": host_config(labels),
    }


def host_config(labels: Mapping[str, str]) -> dict[str, Any]:
    """The part of the configuration that limits what the container may do; its volumes get the labels."""
    return {
        "NetworkMode": "none",
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "ReadonlyRootfs": True,
        "IpcMode": "none",
        "Init": False,
        "AutoRemove": True,
        "PidsLimit": PIDS,
        "Memory": MEMORY_BYTES,
        "MemorySwap": MEMORY_BYTES,
        "NanoCpus": CPUS * 10**9,
        "Ulimits": [
            {"Name": "core", "Soft": 0, "Hard": 0},
            {"Name": "nofile", "Soft": 1024, "Hard": 1024},
            {"Name": "fsize", "Soft": HOME_BYTES, "Hard": HOME_BYTES},  # a sparse file must not read as a terabyte
        ],
        "LogConfig": {"Type": "none"},
        "Tmpfs": {DESK: f"rw,exec,nosuid,nodev,size=2m,uid={DESK_UID},gid={DESK_UID},mode=0755"},
        "Mounts": [_volume(path, options, labels) for path, options in VOLUMES.items()],
    }


def _volume(path: str, options: str, labels: Mapping[str, str]) -> dict[str, Any]:
    driver = {"Name": "local", "Options": {"type": "tmpfs", "device": "tmpfs", "o": f"nosuid,nodev,{options}"}}
    details = {"NoCopy": True, "Labels": dict(labels), "DriverConfig": driver}
    return {"Type": "volume", "Target": path, "VolumeOptions": details}
