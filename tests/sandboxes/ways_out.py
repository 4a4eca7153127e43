"""Tries ways out of a container and prints, as JSON, which of them are open. Run inside, given a port of the host."""

import ctypes
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

libc = ctypes.CDLL(None, use_errno=True)
MS_BIND, CLONE_NEWUSER, CLONE_NEWNS, PTRACE_ATTACH, PTRACE_DETACH = 4096, 0x10000000, 0x20000, 16, 17


def check(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def raw_socket() -> None:
    socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()


def tcp_to_the_host() -> None:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=2).close()


def docker_socket() -> None:
    for path in ("/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock"):
        if Path(path).exists():
            with socket.socket(socket.AF_UNIX) as channel:
                return channel.connect(path)
    raise FileNotFoundError("no engine socket")


def mount() -> None:
    check(libc.mount(b"/etc", b"/mnt", None, MS_BIND, None))
    libc.umount(b"/mnt")


def unshare() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0 if libc.unshare(CLONE_NEWUSER) == 0 or libc.unshare(CLONE_NEWNS) == 0 else 1)
    if os.waitpid(child, 0)[1] != 0:
        raise PermissionError("unshare")


def ptrace_first_process() -> None:
    check(libc.ptrace(PTRACE_ATTACH, 1, None, None))
    os.waitpid(1, 0)
    libc.ptrace(PTRACE_DETACH, 1, None, None)


def signal_first_process() -> None:
    os.kill(1, 0)


def write_system_files() -> None:
    Path("/usr/lib/left-here").write_text("x")
    Path("/usr/lib/left-here").unlink()


def device_node() -> None:
    try:
        os.mknod("/tmp/memory", 0o20666, os.makedev(1, 1))
    except OSError:
        Path("/dev/kmsg").read_bytes()
    else:
        Path("/tmp/memory").unlink()


def kernel_settings() -> None:
    with Path("/proc/sys/vm/swappiness").open("r+") as file:
        file.write(file.read())


def control_groups() -> None:
    for path in ("/sys/fs/cgroup/pids/pids.max", "/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/notify_on_release"):
        if Path(path).exists():
            os.close(os.open(path, os.O_WRONLY))
            return
    raise FileNotFoundError("no control group")


def first_process_memory() -> None:
    Path("/proc/1/environ").read_bytes()


def set_user_id_program() -> None:
    found = subprocess.run(
        ["find", "/", "-xdev", "-perm", "/6000", "-type", "f"], capture_output=True, text=True, check=False
    )
    if not [path for path in found.stdout.splitlines() if not os.statvfs(path).f_flag & os.ST_NOSUID]:
        raise FileNotFoundError("none that would take effect")


def become_root() -> None:
    os.setuid(0)


WAYS: list[Callable[[], None]] = [
    raw_socket,
    tcp_to_the_host,
    docker_socket,
    mount,
    unshare,
    ptrace_first_process,
    signal_first_process,
    write_system_files,
    device_node,
    kernel_settings,
    control_groups,
    first_process_memory,
    set_user_id_program,
    become_root,
]


def is_open(way: Callable[[], None]) -> bool:
    try:
        way()
    except OSError:
        return False
    return True


if __name__ == "__main__":
    sys.stdout.write(json.dumps({way.__name__: is_open(way) for way in WAYS}))
