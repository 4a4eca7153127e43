"""A machine that is two bubblewraps: one for the services, one for the agent.

The services' one is started by a shell that outlives this process, so that the shared folder is removed even if this
process is killed: their stream ends, the gateway ends, and with it the machine. The agent's first process
(`guest/shelld.py`) starts command sessions, and hands out descriptors of itself and of the folders that the agent can
write. Frozen, the agent's machine is dead: once its first process has ended, the kernel has ended all the others. What
it leaves in those folders stays readable through the descriptors.
"""

import asyncio
import json
import os
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeVar

import anyio

from sidedoor.sandboxes.embedded.base import Base
from sidedoor.sandboxes.embedded.bubblewrap import OPSD, PYTHON, SHELLD, Recipe, agent_machine, limits, services_machine
from sidedoor.sandboxes.embedded.children import Child, Process
from sidedoor.sandboxes.embedded.desks import Desk, machine_user, new_name
from sidedoor.sandboxes.embedded.groups import delegated_group, joining, make_group, remove_group
from sidedoor.sandboxes.embedded.tree import tar_stream
from sidedoor.sandboxes.hardening import AGENT_HOME
from sidedoor.sandboxes.machine import MachineGoneError, ProviderUnavailableError
from sidedoor.sandboxes.spec import WorkplaceSpec
from sidedoor.sandboxes.streams import STREAM_BUFFER, PlainStream, Stream

T = TypeVar("T")

READY_S: Final = 30.0
END_S: Final = 5.0
ROOTS: Final = (AGENT_HOME, "/tmp")  # noqa: S108 - the machine's
"""Folders that the agent can write to, in the order in which their descriptors arrive."""

THEN_TIDY_UP: Final = """
group="$1"; shift
"$@"
chmod -R u+w "$0"; rm -rf "$0"
for _ in 1 2 3 4 5 6 7 8 9; do [ -d "$group" ] || break; rmdir "$group" || sleep 0.2; done 2>/dev/null
"""
"""Shell text: run a command, then remove the folder that is the shell's own name, and the control group before it."""


def started(recipe: Recipe, *argv: str) -> list[str]:
    """The command line that starts a program by a recipe, without root's rights."""
    bubblewrap, user = recipe.command("bwrap", *argv), machine_user()
    if user == os.geteuid():
        return bubblewrap
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--", *bubblewrap]


class EmbeddedMachine:
    """A machine in namespaces of this system (see `Machine`).

    Attributes:
        run: whose it is.
        name: what it is called; its desk has the same name.
        removed: whether it is gone.
    """

    def __init__(self, base: Base, spec: WorkplaceSpec, run: str) -> None:
        self.run = run
        self.name = new_name()
        self.removed = False
        self._base = base
        self._spec = spec
        self._desk: Desk | None = None
        self._group: Path | None = None
        self._folders: dict[str, int] = {}
        self._services: Child | None = None
        self._gateway: Stream | None = None
        self._agent: Child | None = None
        self._control: socket.socket | None = None
        self._first: Process | None = None
        self._introduction: asyncio.Task[None] | None = None
        self._ending = False

    async def start(self) -> Stream:
        """Start both halves; returns the gateway's streams."""
        self._desk = Desk(self.name)
        folder, shared = str(self._desk.path), str(self._desk.shared)
        if parent := delegated_group():
            self._group = make_group(parent, self.name)
        self._start_agent(shared)
        ours, theirs = socket.socketpair()
        with theirs, services_machine(self._base, shared) as recipe:
            command = started(recipe, *PYTHON, f"{OPSD}/gateway.py")
            keeper = ["sh", "-c", THEN_TIDY_UP, folder, str(self._group or ""), *command]
            self._services = Child(keeper, theirs.fileno(), recipe.descriptors, self._on_services_end)
        self._gateway = PlainStream(*await _connected(ours), self._services.complaints)
        return self._gateway

    async def open_session(self) -> Stream:
        """Have the agent's first process start a command session."""
        if self._introduction is None or self._control is None:
            raise MachineGoneError("the machine was not started")
        await asyncio.shield(self._introduction)
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [b"session"], [theirs.fileno()])
            except OSError as error:
                ours.close()
                raise MachineGoneError(f"the machine does not run ({error.strerror})") from error
        return PlainStream(*await _connected(ours))

    async def running(self) -> bool:
        """Whether both halves run."""
        halves = (self._services, self._first)
        return all(half is not None and not half.ended.is_set() for half in halves)

    async def freeze(self) -> None:
        """End every process of the agent's."""
        if self._first is None or not await self.running():
            raise MachineGoneError("the machine does not run")
        self._ending = True
        self._first.kill()
        if not await self._first.ends(END_S):
            raise ProviderUnavailableError(f"the agent's processes did not end within {END_S:.0f} s")

    async def read(self, root: str, consume: Callable[[Iterable[bytes]], T]) -> T:
        """Read one of the folders that the agent could write to."""
        if root not in self._folders:
            raise MachineGoneError("the machine is gone")
        return await anyio.to_thread.run_sync(consume, tar_stream(self._folders[root], root))

    async def remove(self) -> None:
        """End both halves, and remove what they shared."""
        self._ending = True
        if self._introduction is not None:  # killed half made, a bubblewrap could leave its child waiting for ever
            await asyncio.wait([self._introduction], timeout=END_S)
        self._end_agent()
        if self._gateway is not None:
            self._gateway.close()
        for child in (self._services, self._agent):
            if child is not None and not await child.ends(END_S):
                child.kill_group()
                await child.ended.wait()
        self._let_go()
        self.removed = True

    def login(self) -> str:
        """The command by which a person looks into the agent's half."""
        process = -1 if self._first is None else self._first.id
        return f"nsenter --target {process} --user --mount --pid --net --ipc --uts --preserve-credentials bash --login"

    def _start_agent(self, shared: str) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control.setblocking(False)
        with theirs, agent_machine(self._base, shared, self._spec.hostname) as recipe:
            command = started(recipe, *PYTHON, f"{SHELLD}/shelld.py")
            if self._group is not None:
                command = joining(self._group, command)
            self._agent = Child(command, theirs.fileno(), recipe.descriptors, self._on_agent_end)
        orders = limits(self._spec.lifetime_s, grouped=self._group is not None)
        self._control.send(json.dumps(orders).encode())
        self._introduction = asyncio.create_task(self._meet(self._control, self._agent))

    async def _meet(self, control: socket.socket, agent: Child) -> None:
        """Receive descriptors of the agent's first process and folders, before there is an agent."""
        try:
            await asyncio.wait_for(_readable(control), READY_S)
            _, descriptors, _, _ = socket.recv_fds(control, 64, 1 + len(ROOTS), socket.MSG_CMSG_CLOEXEC)
        except (TimeoutError, ConnectionError):
            descriptors = []
        if not descriptors:
            words = agent.complaints().decode("utf-8", "replace").strip().splitlines()
            raise MachineGoneError(f"the machine did not start: {words[-1] if words else 'no message'}")
        self._first = Process(descriptors[0], self._on_agent_end)
        self._folders = dict(zip(ROOTS, descriptors[1:], strict=True))

    def _on_services_end(self) -> None:
        if not self._ending:
            self._end_agent()

    def _on_agent_end(self) -> None:
        if not self._ending and self._gateway is not None:
            self._gateway.close()

    def _end_agent(self) -> None:
        if self._first is not None:
            self._first.kill()
        elif self._introduction is not None and not self._introduction.done():
            self._introduction.add_done_callback(lambda _: self._end_agent())

    def _let_go(self) -> None:
        if self._desk is not None:
            self._desk.remove()
        if self._group is not None:
            remove_group(self._group)
        for process in (self._services, self._agent, self._first):
            if process is not None:
                process.close()
        if self._control is not None:
            self._control.close()
        while self._folders:
            os.close(self._folders.popitem()[1])


async def _connected(end: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(sock=end, limit=STREAM_BUFFER)


async def _readable(end: socket.socket) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(end, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(end)
