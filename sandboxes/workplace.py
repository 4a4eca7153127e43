"""One episode's machine from start to end, and the host's record of it. Knows nothing of Inspect's interfaces.

Whatever happens, `close` removes the machine; if this process dies, the end of its streams does.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final, Literal, TypeVar

import anyio

from sidedoor.sandboxes.evidence import ExecutedCommand, SessionEvent
from sidedoor.sandboxes.gateway import Gateway
from sidedoor.sandboxes.machine import Machine, MachineGoneError, ProviderUnavailableError
from sidedoor.sandboxes.session import Finished, Session, SessionLostError
from sidedoor.sandboxes.spec import WorkplaceSpec

T = TypeVar("T")
Outcome = Literal["exited", "timed_out", "cancelled", "not_started", "connection_lost"]

CONNECTION_LOST_EXIT: Final = 137
DEATH_S: Final = 0.5
CONNECTION_LOST: Final = b"connection to the shell was lost\n"


class WorkplaceGoneError(RuntimeError):
    """The machine has ended, or its command session cannot be replaced."""


class Workplace:
    """A running machine with its gateway, its command session, and what was recorded of them.

    Attributes:
        machine: what it runs on.
        spec: what it was made from.
        gateway: the world's side.
        session_events: losses and replacements of the command session.
        broken_off: whether an error ended the agent's loop.
        kept_back: that error, if it is for the scorer to raise.
    """

    def __init__(self, machine: Machine, spec: WorkplaceSpec, gateway: Gateway) -> None:
        self.machine = machine
        self.spec = spec
        self.gateway = gateway
        self.session_events: list[SessionEvent] = []
        self.broken_off = False
        self.kept_back: Exception | None = None
        self._commands: list[ExecutedCommand | None] = []
        self._session: Session | None = None
        self._reported: Session | None = None
        self._opening = asyncio.Lock()

    @classmethod
    async def open(cls, machine: Machine, spec: WorkplaceSpec) -> "Workplace":
        """Start a machine, its world and its command session, and write its files.

        Raises:
            ProviderUnavailableError: the machine cannot be had.
            GatewayError: the world does not start.
            WorkplaceGoneError: the machine ended meanwhile.
        """
        try:
            gateway = Gateway(await machine.start())
        except BaseException:
            with anyio.CancelScope(shield=True):
                await machine.remove()
            raise
        workplace = cls(machine, spec, gateway)
        try:
            await workplace._start()
        except (MachineGoneError, SessionLostError) as error:
            await workplace.close()
            raise WorkplaceGoneError(str(error)) from error
        except BaseException:
            await workplace.close()
            raise
        return workplace

    @property
    def commands(self) -> tuple[ExecutedCommand, ...]:
        """What was run for the agent, in the order of starting."""
        return tuple(command for command in self._commands if command is not None)

    async def run(
        self, argv: list[str], *, stdin: bytes, cwd: str, env: dict[str, str], timeout: float | None, limit: int
    ) -> Finished:
        """Run a command for the agent and record it; see `Session.run`.

        A session that is lost under the command is no error of the caller: the command ends with status 137, and the
        next one gets a new session.

        Raises:
            WorkplaceGoneError: there is no machine to run it in.
        """
        index, started = len(self._commands), time.monotonic()
        self._commands.append(None)
        outcome: Outcome = "cancelled"
        status: int | None = None
        try:
            finished = await self._attempt(argv, stdin=stdin, cwd=cwd, env=env, timeout=timeout, limit=limit)
            outcome, status = _outcome(finished)
        except SessionLostError as error:
            outcome = "connection_lost"
            await self._check_alive()
            finished = Finished(
                exit=CONNECTION_LOST_EXIT,
                timed_out=False,
                failed=None,
                errno=0,
                stdout=error.stdout,
                stderr=error.stderr + CONNECTION_LOST,
                cut=(False, False),
            )
            status = finished.exit
        except WorkplaceGoneError:
            outcome = "not_started"
            raise
        finally:
            seconds = round(time.monotonic() - started, 4)
            self._commands[index] = ExecutedCommand(
                index=index + 1, argv=tuple(argv), exit=status, outcome=outcome, seconds=seconds
            )
        return finished

    async def read(self, path: str, limit: int) -> bytes:
        """Content of a file; see `Session.read`. Tries again if the session is lost.

        Raises:
            OSError: the subclass that fits.
            WorkplaceGoneError: there is no machine to read from.
        """
        return await self._twice(lambda session: session.read(path, limit))

    async def write(self, path: str, content: bytes) -> None:
        """Write a file; see `Session.write`. Tries again if the session is lost.

        Raises:
            OSError: the subclass that fits.
            WorkplaceGoneError: there is no machine to write to.
        """
        await self._twice(lambda session: session.write(path, content))

    async def close(self) -> None:
        """Remove the machine. Never interrupted, and may be called again."""
        with anyio.CancelScope(shield=True):
            try:
                await self.machine.remove()
            finally:
                if self._session is not None:
                    await self._session.close()
                await self.gateway.drop()

    def note_loss(self) -> None:
        """Record that the command session is gone, if it is and this is news."""
        session = self._session
        if session is not None and session.trouble is not None and session is not self._reported:
            self._reported = session
            self._event(session.trouble, "the command session ended before it was closed")

    async def _start(self) -> None:
        ends = await asyncio.gather(self.gateway.boot(self.spec), self._furnish(), return_exceptions=True)
        for end in ends:  # a world that cannot start takes the session with it, so its error comes first
            if end is not None:
                raise end

    async def _furnish(self) -> None:
        session = await self._open_session()
        files = self.spec.files.items()
        await asyncio.gather(*(session.write(p, t.encode(), executable=t.startswith("#!")) for p, t in files))

    async def _attempt(
        self, argv: list[str], *, stdin: bytes, cwd: str, env: dict[str, str], timeout: float | None, limit: int
    ) -> Finished:
        session = await self._current_session()
        try:
            return await session.run(argv, stdin=stdin, cwd=cwd, env=env, timeout=timeout, limit=limit)
        finally:
            self.note_loss()

    async def _twice(self, work: Callable[[Session], Awaitable[T]]) -> T:
        for _ in range(2):
            session = await self._current_session()
            try:
                return await work(session)
            except SessionLostError:
                self.note_loss()
                await self._check_alive()
        raise WorkplaceGoneError("the command session was lost twice in a row")

    async def _current_session(self) -> Session:
        async with self._opening:
            if self._session is not None and self._session.trouble is None:
                return self._session
            self.note_loss()
            try:
                session = await self._open_session()
            except (MachineGoneError, ProviderUnavailableError) as error:
                raise WorkplaceGoneError(f"the machine does not run any more ({error})") from error
            self._event("reopened", "a new command session was started")
            return session

    async def _open_session(self) -> Session:
        self._session = Session(await self.machine.open_session())
        return self._session

    async def _check_alive(self) -> None:
        """A session ends by itself or with its machine; in that case the gateway's stream ends just after."""
        if await self.gateway.ends(DEATH_S):
            raise WorkplaceGoneError("the machine does not run any more")

    def _event(self, kind: Literal["lost", "stalled", "malformed", "reopened"], detail: str) -> None:
        self.session_events.append(SessionEvent(kind=kind, detail=detail, command=len(self._commands)))


def _outcome(finished: Finished) -> tuple[Outcome, int | None]:
    if finished.timed_out:
        return "timed_out", None
    return ("not_started" if finished.failed else "exited"), finished.exit
