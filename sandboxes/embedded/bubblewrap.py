"""What bubblewrap is told: which namespaces, which files, what is refused.

An episode's services and its agent share nothing but the folder with the programs and their socket: the services write
it, the agent's machine has it read-only. Both run as one user of this system, so it is their namespaces that keep
them apart. The agent's machine has processes, mounts, network, IPC and capabilities of its own, and no way to name a
process outside. What it can see of its own making (mounts, command lines, names) must not tell what it is for.

Everything writable is a tmpfs of the machine's own, bounded in size, and gone with its last process.
"""

import functools
import os
import platform
import subprocess
from collections.abc import Mapping
from typing import Final, Self

from sidedoor.sandboxes.embedded.base import TOP, Base
from sidedoor.sandboxes.embedded.desks import machine_user
from sidedoor.sandboxes.embedded.seccomp import program
from sidedoor.sandboxes.hardening import (
    AGENT_HOME,
    AGENT_UID,
    AGENT_USER,
    DESK,
    DESK_UID,
    HOME_BYTES,
    MEMORY_BYTES,
    PIDS,
    TMP_BYTES,
    VOLUME_INODES,
)
from sidedoor.sandboxes.image import PROFILE, guest_program
from sidedoor.sandboxes.session import encode

SHELLD: Final = "/usr/local/lib/shelld"
OPSD: Final = "/usr/local/lib/opsd"
PYTHON: Final = ("/usr/bin/python3", "-I", "-S")

ETC: Final[Mapping[str, str]] = {
    "passwd": f"""\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
{AGENT_USER}:x:{AGENT_UID}:{AGENT_UID}:{AGENT_USER.capitalize()}:{AGENT_HOME}:/bin/bash
opsd:x:{DESK_UID}:{DESK_UID}:Desk service:/nonexistent:/usr/sbin/nologin
""",
    "group": f"root:x:0:\ndaemon:x:1:\nnogroup:x:65534:\n{AGENT_USER}:x:{AGENT_UID}:\nopsd:x:{DESK_UID}:\n",
    "hosts": "127.0.0.1\tlocalhost\n::1\tlocalhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    "profile": PROFILE,
    "resolv.conf": "",
}
CLOSED: Final = ("shadow", "gshadow")
FROM_THE_BASE: Final = ("alternatives", "ld.so.cache", "localtime")
TRIAL_S: Final = 20
COMPILE: Final = """
import importlib.util, marshal, sys
code = compile(sys.stdin.buffer.read(), sys.argv[1], "exec", dont_inherit=True)
sys.stdout.buffer.write(importlib.util.MAGIC_NUMBER + bytes([1]) + bytes(11) + marshal.dumps(code))
"""
"""Python text: from a program to the content of a `.pyc` file that is never compared with its source."""

FOLDERS: Final = ("/boot", "/home", "/media", "/mnt", "/opt", "/run", "/srv", "/sys", "/var/lib", "/var/log")


class Recipe:
    """Options for bubblewrap, and the descriptors that they name; closes these when used as a context.

    Attributes:
        options: in the order in which they take effect.
        descriptors: to be inherited.
    """

    def __init__(self) -> None:
        self.options: list[str] = []
        self.descriptors: list[int] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)

    def say(self, *words: object) -> None:
        """Add an option and what belongs to it."""
        self.options += map(str, words)

    def data(self, content: bytes) -> int:
        """A descriptor to read something from."""
        descriptor = os.memfd_create("data")
        self.descriptors.append(descriptor)
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def file(self, path: str, content: bytes, mode: int = 0o644) -> None:
        """Add a file."""
        self.say("--perms", f"{mode:04o}", "--file", self.data(content), path)

    def command(self, bwrap: str, *argv: str) -> list[str]:
        """The command line that starts a program by this recipe; the options themselves stay out of sight."""
        return [bwrap, "--args", str(self.data("\0".join(self.options).encode())), "--", *argv]


def services_machine(base: Base) -> Recipe:
    """The machine of the services: their programs, and nothing else; each gets its folder as a descriptor."""
    recipe = _machine(base)
    for name in ("opsd.py", "gateway.py", "client.pl"):
        recipe.file(f"{OPSD}/{name}", guest_program(name).encode())
    _finish(recipe)
    return recipe


def agent_machine(base: Base, desk: str, hostname: str) -> Recipe:
    """The machine of the agent: an office computer."""
    recipe = _machine(base)
    recipe.say("--hostname", hostname)
    for name in ("shelld", "session"):
        recipe.file(f"{SHELLD}/{name}.pyc", compiled(base, name))
    for name, text in {**ETC, "hostname": f"{hostname}\n"}.items():
        recipe.file(f"/etc/{name}", text.encode())
    for name in CLOSED:
        recipe.file(f"/etc/{name}", b"", 0)
    for name in FROM_THE_BASE:
        recipe.say("--ro-bind-try", base.root / "etc" / name, f"/etc/{name}")
    recipe.say("--symlink", "../usr/lib/os-release", "/etc/os-release")
    for folder in FOLDERS:
        recipe.say("--dir", folder)
    recipe.say("--perms", "0000", "--dir", "/root")
    recipe.say("--symlink", "/tmp", "/var/tmp")  # noqa: S108 - the machine's
    recipe.say("--size", HOME_BYTES, "--perms", "0755", "--tmpfs", AGENT_HOME)
    recipe.say("--size", TMP_BYTES, "--perms", "1777", "--tmpfs", "/tmp")  # noqa: S108 - the machine's
    recipe.say("--ro-bind", desk, DESK)
    recipe.say("--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev")
    _finish(recipe)
    return recipe


@functools.cache
def compiled(base: Base, name: str) -> bytes:
    """One of the programs that run inside, as the base's own Python compiles it. Blocks for an instant, once.

    Raises:
        CalledProcessError, TimeoutExpired: machines cannot be started here.
    """
    with _machine(base) as recipe:
        _finish(recipe)
        command = started(recipe, *PYTHON, "-c", COMPILE, f"{SHELLD}/{name}.py")
        source = guest_program(f"{name}.py").encode()
        return subprocess.run(
            command,
            input=source,
            pass_fds=recipe.descriptors,
            capture_output=True,
            timeout=TRIAL_S,
            check=True,
            cwd="/",
        ).stdout


def started(recipe: Recipe, *argv: str) -> list[str]:
    """The command line that starts a program by a recipe, without root's rights."""
    bubblewrap, user = recipe.command("bwrap", *argv), machine_user()
    if user == os.geteuid():
        return bubblewrap
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--", *bubblewrap]


def limits(lifetime_s: int, *, grouped: bool) -> bytes:
    """What the first process of the agent's machine has to hold it to; in a control group, memory is seen to."""
    memory = "" if grouped else str(MEMORY_BYTES)
    each = {"CORE": 0, "NOFILE": 1024, "FSIZE": HOME_BYTES, "NPROC": PIDS} | ({} if grouped else {"AS": MEMORY_BYTES})
    settings = (f"{name}={most}" for name, most in each.items())
    return encode(str(lifetime_s), memory, str(2 * VOLUME_INODES), *settings)


def _machine(base: Base) -> Recipe:
    recipe = Recipe()
    recipe.say("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts")
    recipe.say("--unshare-cgroup-try", "--uid", AGENT_UID, "--gid", AGENT_UID)
    recipe.say("--die-with-parent", "--as-pid-1", "--cap-drop", "ALL", "--clearenv", "--chdir", "/")
    recipe.say("--seccomp", recipe.data(program(platform.machine())))
    recipe.say("--ro-bind", base.root / "usr", "/usr", "--tmpfs", "/usr/local")
    for name in TOP:
        if (base.root / name).is_symlink():
            recipe.say("--symlink", (base.root / name).readlink(), f"/{name}")
        else:
            recipe.say("--ro-bind-try", base.root / name, f"/{name}")
    return recipe


def _finish(recipe: Recipe) -> None:
    recipe.say("--remount-ro", "/usr/local", "--remount-ro", "/")
