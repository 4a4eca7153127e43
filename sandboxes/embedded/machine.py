"""A machine that is a bubblewrap for the agent, and a process for the services in another that all episodes share.

The agent's first process (`guest/shelld.py`) starts command sessions, and hands out descriptors of itself and of the
folders that the agent can write. Frozen, the agent's machine is dead: once its first process has ended, the kernel has
ended all the others. What it leaves in those folders stays readable through the descriptors.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, TypeVar

import anyio

from sidedoor.sandboxes.embedded.base import Base
from sidedoor.sandboxes.embedded.bubblewrap import PYTHON, SHELLD, agent_machine, limits, started
from sidedoor.sandboxes.embedded.children import Child, Complaints, Process
from sidedoor.sandboxes.embedded.desks import Desk
from sidedoor.sandboxes.embedded.groups import delegated_group, joining, make_group, remove_group
from sidedoor.sandboxes.embedded.services import Services
from sidedoor.sandboxes.embedded.tree import tar_stream
from sidedoor.sandboxes.hardening import AGENT_HOME
from sidedoor.sandboxes.machine import MachineGoneError, ProviderUnavailableError
from sidedoor.sandboxes.spec import WorkplaceSpec
from sidedoor.sandboxes.streams import STREAM_BUFFER, PlainStream, Stream

T = TypeVar("T")

READY_S: Final = 30.0
END_S: Final = 5.0
SETTLE_S: Final = 0.2
ROOTS: Final = (AGENT_HOME, "/tmp")  # noqa: S108 - the machine's
"""Folders that the agent can write to, in the order in which their descriptors arrive."""


class EmbeddedMachine:
    """A machine in namespaces of this system (see `Machine`).

    Attributes:
        run: whose it is.
        name: what it is called; its desk has the same name.
        removed: whether it is gone.
    """

    def __init__(self, base: Base, services: Services, spec: WorkplaceSpec, run: str) -> None:
        self.run = run
        self.name = services.new_name()
        self.removed = False
        self._base = base
        self._common = services
        self._spec = spec
        self._desk: Desk | None = None
        self._group: Path | None = None
        self._folders: dict[str, int] = {}
        self._complaints = Complaints()
        self._services: Process | None = None
        self._gateway: Stream | None = None
        self._agent: Child | None = None
        self._control: socket.socket | None = None
        self._first: Process | None = None
        self._introduction: asyncio.Task[None] | None = None
        self._ending = False

    async def start(self) -> Stream:
        """Start both halves; returns the gateway's streams."""
        self._desk = Desk(self.name)
        if parent := delegated_group():
            self._group = make_group(parent, self.name)
        self._start_agent(str(self._desk.shared))
        modules = {} if self._spec.world is None else self._spec.world.modules
        stream, answer = self._common.open(self._desk, modules, self._complaints)
        self._gateway = PlainStream(*await _connected(stream), self._complaints)
        with answer:
            descriptors = await _received(answer, 1)
        if not descriptors:
            raise ProviderUnavailableError(f"the services did not start: {self._complaints.last_words()}")
        self._services = Process(descriptors[0], self._on_services_end)
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
        """Whether both halves run, and go on to: a process closes its streams a moment before it has ended."""
        halves = (self._services, self._first)
        return not any([half is None or await half.ends(SETTLE_S) for half in halves])

    async def freeze(self) -> None:
        """End every process of the agent's."""
        if self._first is None or self._services is None or self._first.ended.is_set() or self._services.ended.is_set():
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
        if self._services is not None and not await self._services.ends(END_S):
            self._services.kill()
            await self._services.ended.wait()
        if self._agent is not None and not await self._agent.ends(END_S):
            self._agent.kill_group()
            await self._agent.ended.wait()
        self._let_go()
        self.removed = True

    def login(self) -> str:
        """The command by which a person looks into the agent's half."""
        process = -1 if self._first is None else self._first.id
        return f"nsenter --target {process} --user --mount --pid --net --ipc --uts --preserve-credentials bash --login"

    def _start_agent(self, shared: str) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, agent_machine(self._base, shared, self._spec.hostname) as recipe:
            command = started(recipe, *PYTHON, f"{SHELLD}/shelld.pyc")
            if self._group is not None:
                command = joining(self._group, command)
            self._agent = Child(command, theirs.fileno(), recipe.descriptors, self._on_agent_end)
        self._control.send(limits(self._spec.lifetime_s, grouped=self._group is not None))
        self._introduction = asyncio.create_task(self._meet(self._control, self._agent))

    async def _meet(self, control: socket.socket, agent: Child) -> None:
        """Receive descriptors of the agent's first process and folders, before there is an agent."""
        descriptors = await _received(control, 1 + len(ROOTS))
        if not descriptors:
            raise MachineGoneError(f"the machine did not start: {agent.complaints.last_words()}")
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
        self._complaints.close()
        if self._control is not None:
            self._control.close()
        while self._folders:
            os.close(self._folders.popitem()[1])


async def _connected(end: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(sock=end, limit=STREAM_BUFFER)


async def _received(end: socket.socket, most: int) -> list[int]:
    """Descriptors that arrive at a socket; none if it is hung up, or nothing comes in time."""
    end.setblocking(False)
    try:
        await asyncio.wait_for(_readable(end), READY_S)
        _, descriptors, _, _ = socket.recv_fds(end, 64, most, socket.MSG_CMSG_CLOEXEC)
    except (TimeoutError, ConnectionError):
        return []
    return descriptors


async def _readable(end: socket.socket) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(end, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(end)
