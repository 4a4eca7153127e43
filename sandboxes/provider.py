"""The sandbox types `sidedoor` (Docker) and `sidedoor-embedded` for Inspect: adapters to `Workplace`.

There is one user, the agent's. Asking for another, root included, is refused and not emulated: nothing on the host's
side of an episode needs to run inside the machine as anybody else.
"""

import asyncio
import errno
import logging
import os
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, ClassVar, Final, Literal, NamedTuple, overload

import anyio
from anyio.lowlevel import RunVar
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.util import (
    ExecResult,
    OutputLimitExceededError,
    SandboxConnection,
    SandboxEnvironment,
    SandboxEnvironmentConfigType,
    SandboxEnvironmentLimits,
    SandboxUnavailableError,
    SandboxUserUnsupportedError,
    sandboxenv,
)
from pydantic import BaseModel
from typing_extensions import override

from sidedoor.sandboxes.admission import Room
from sidedoor.sandboxes.choice import SANDBOX_TYPES, provider_named
from sidedoor.sandboxes.forecast import Forecast
from sidedoor.sandboxes.hardening import AGENT_UID, AGENT_USER
from sidedoor.sandboxes.image import ImageError
from sidedoor.sandboxes.ledger import Phase, enter
from sidedoor.sandboxes.machine import Machine, Provider, ProviderName, ProviderUnavailableError
from sidedoor.sandboxes.ownership import owner
from sidedoor.sandboxes.prepare import prepare
from sidedoor.sandboxes.session import Finished
from sidedoor.sandboxes.spares import Spares
from sidedoor.sandboxes.spec import Episode, WorkplaceSpec
from sidedoor.sandboxes.workplace import Workplace, WorkplaceGoneError

logger = logging.getLogger(__name__)

ROOM: Final = Room()
NOT_EXECUTABLE_EXIT: Final = 126
NOT_FOUND_EXIT: Final = 127
MARKER: Final = "\n[output truncated: longer than {limit}]\n"


class CommandTimeoutError(TimeoutError):
    """A command's time was over and its process tree was killed.

    Attributes:
        truncated_output: what it had written by then; Inspect shows it to the agent.
    """

    def __init__(self, seconds: int, truncated_output: str) -> None:
        super().__init__(f"Command timed out after {seconds} seconds")
        self.truncated_output = truncated_output


class Coming(NamedTuple):
    """What is to come in an event loop: the episodes that were announced, and the machines that wait for them."""

    forecast: Forecast
    spares: Spares


_coming: Final = RunVar[dict[ProviderName, Coming]]("coming")


@sandboxenv(name=SANDBOX_TYPES["docker"])
class WorkplaceSandbox(SandboxEnvironment):
    """One episode's workplace as Inspect sees it, in a container.

    It opens while the model thinks: only what needs the workplace waits for it, and fails as the opening did.

    Attributes:
        machine: what the workplace is on.
    """

    provider_name: ClassVar[ProviderName] = "docker"
    worth_starting_ahead: ClassVar[bool] = True

    def __init__(self, machine: Machine, opening: asyncio.Future[Workplace]) -> None:
        super().__init__()
        self.machine = machine
        self._opening = opening

    async def workplace(self) -> Workplace:
        """The machine with its journal and its command record, as soon as it is open; `capture` ends it.

        Raises:
            ProviderUnavailableError, GatewayError, WorkplaceGoneError: it could not be opened.
        """
        return await asyncio.shield(self._opening)  # who stops waiting does not stop it for the others

    @classmethod
    @override
    def default_concurrency(cls) -> int | None:
        """No limit of its own: `max_samples` is one, and Inspect delays each sample by half a second for another."""
        return None

    @classmethod
    @override
    def config_deserialize(cls, config: dict[str, Any]) -> BaseModel:
        """Read a configuration back from a log."""
        return (Episode if "suite" in config else WorkplaceSpec).model_validate(config)

    @classmethod
    @override
    async def task_init(cls, task_name: str, config: SandboxEnvironmentConfigType | None) -> None:
        """Check the provider, remove what earlier runs left behind, and make sure that the image is there.

        Inspect asks once for each configuration of a run, and once is enough.

        Raises:
            PrerequisiteError: with one line that says what to do.
        """
        forecast = cls._coming().forecast
        if forecast.is_empty:
            try:
                await cls._provider().clean()
                await cls._provider().prepare(logger.info)
            except (ProviderUnavailableError, ImageError) as error:
                raise PrerequisiteError(str(error)) from error
        forecast.announce(_episode(config))

    @classmethod
    @override
    async def sample_init(
        cls, task_name: str, config: SandboxEnvironmentConfigType | None, metadata: dict[str, str]
    ) -> dict[str, SandboxEnvironment]:
        """Begin to open the workplace of one sample, once there is room for it.

        Raises:
            TypeError: the configuration is neither an `Episode` nor a `WorkplaceSpec`.
            SourceError: the episode's scenario is unknown or malformed.
            ProviderUnavailableError, ImageError: there is no machine to open it on.
        """
        episode = _episode(config)
        spec = config if isinstance(config, WorkplaceSpec) else prepare(episode)
        enter(Phase.START)
        fresh = await cls._provider().machine(spec, owner())
        turn = AsyncExitStack()
        await turn.enter_async_context(ROOM.opening())  # waited for here, where it takes none of the sample's time
        cls._coming().forecast.begin(episode)
        machine = cls._coming().spares.take(spec) or fresh
        return {"default": cls(machine, asyncio.create_task(cls._open(machine, spec, turn)))}

    @classmethod
    @override
    async def sample_cleanup(
        cls,
        task_name: str,
        config: SandboxEnvironmentConfigType | None,
        environments: dict[str, SandboxEnvironment],
        interrupted: bool,
    ) -> None:
        """Remove the sample's machine, however the sample ended."""
        for environment in environments.values():
            with anyio.CancelScope(shield=True):
                await environment.as_type(WorkplaceSandbox)._close()

    @classmethod
    @override
    async def task_cleanup(cls, task_name: str, config: SandboxEnvironmentConfigType | None, cleanup: bool) -> None:
        """Remove whatever this process has left, after the last configuration of a run."""
        forecast, spares = cls._coming()
        forecast.withdraw(_episode(config))
        if not forecast.is_empty:
            return
        await spares.clear()
        if cleanup:
            try:
                await cls._provider().clean_run(owner())
            except ProviderUnavailableError as error:
                logger.warning("%s; machines end by themselves", error)

    @classmethod
    @override
    async def cli_cleanup(cls, id: str | None) -> None:
        """Remove one of our machines, or all of them."""
        await cls._provider().clean(only=id, everything=True)

    @classmethod
    def _provider(cls) -> Provider:
        return provider_named(cls.provider_name)

    @classmethod
    def _coming(cls) -> Coming:
        try:
            coming = _coming.get()
        except LookupError:
            coming = {}
            _coming.set(coming)
        return coming.setdefault(cls.provider_name, Coming(Forecast(), Spares()))

    @classmethod
    async def _open(cls, machine: Machine, spec: WorkplaceSpec, turn: AsyncExitStack) -> Workplace:
        async with turn:
            workplace = await Workplace.open(machine, spec)
        enter(Phase.TURN)
        coming = cls._coming()
        if cls.worth_starting_ahead and coming.forecast.expects_another(spec.identity):
            coming.spares.add(spec, partial(cls._provider().machine, spec, owner()))
        return workplace

    async def _close(self) -> None:
        await asyncio.sleep(0)  # an opening that never began would keep its room
        self._opening.cancel()  # without effect once it is open; one that is cut short removes its machine
        await asyncio.wait({self._opening})
        if self._opening.cancelled() or self._opening.exception() is not None:
            return
        try:
            await self._opening.result().close()
        except ProviderUnavailableError as error:
            logger.warning("%s; the machine ends by itself", error)
        finally:
            ROOM.closed()

    @override
    async def exec(
        self,
        cmd: list[str],
        input: str | bytes | None = None,
        cwd: str | None = None,
        env: dict[str, str] | None = None,
        user: str | None = None,
        timeout: int | None = None,
        timeout_retry: bool = True,
        concurrency: bool = True,
    ) -> ExecResult[str]:
        """Run a command as the agent; see `SandboxEnvironment.exec`. Nothing is ever retried.

        Output beyond the limit is dropped from its end, and a marker says so.

        Raises:
            SandboxUserUnsupportedError: another user was asked for.
            SandboxUnavailableError: there is no machine to run it in.
            PermissionError: the program may not be executed.
            TimeoutError: its time was over; its process tree was killed.
        """
        _only_the_agent(user)
        limit = SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE
        marker = MARKER.format(limit=SandboxEnvironmentLimits.MAX_EXEC_OUTPUT_SIZE_STR)
        workplace = await self.workplace()
        try:
            finished = await workplace.run(
                cmd,
                stdin=input.encode() if isinstance(input, str) else input or b"",
                cwd=cwd or "",
                env=env or {},
                timeout=timeout,
                limit=max(0, limit - len(marker)),
            )
        except WorkplaceGoneError as error:
            raise SandboxUnavailableError(str(error)) from error
        stdout, stderr = (
            data.decode("utf-8", "replace") + (marker if cut else "")
            for data, cut in zip((finished.stdout, finished.stderr), finished.cut, strict=True)
        )
        if finished.timed_out:
            raise CommandTimeoutError(timeout or 0, stdout + stderr)
        if finished.failed:
            return _not_started(finished, cmd, cwd)
        status = 1 if finished.exit is None else finished.exit
        return ExecResult(success=status == 0, returncode=status, stdout=stdout, stderr=stderr)

    @override
    async def write_file(self, file: str, contents: str | bytes) -> None:
        """Write a file as the agent; see `SandboxEnvironment.write_file`."""
        workplace = await self.workplace()
        try:
            await workplace.write(file, contents.encode() if isinstance(contents, str) else contents)
        except WorkplaceGoneError as error:
            raise SandboxUnavailableError(str(error)) from error

    @overload
    async def read_file(self, file: str, text: Literal[True] = True) -> str: ...

    @overload
    async def read_file(self, file: str, text: Literal[False]) -> bytes: ...

    @override
    async def read_file(self, file: str, text: bool = True) -> str | bytes:
        """Read a file as the agent; see `SandboxEnvironment.read_file`."""
        workplace = await self.workplace()
        try:
            content = await workplace.read(file, SandboxEnvironmentLimits.MAX_READ_FILE_SIZE)
        except WorkplaceGoneError as error:
            raise SandboxUnavailableError(str(error)) from error
        except OSError as error:
            if error.errno == errno.EFBIG:
                raise OutputLimitExceededError(SandboxEnvironmentLimits.MAX_READ_FILE_SIZE_STR, None) from error
            raise
        return content.decode("utf-8") if text else content

    @override
    async def connection(self, *, user: str | None = None) -> SandboxConnection:
        """How a person looks into the running machine.

        Raises:
            SandboxUserUnsupportedError: another user was asked for.
            ConnectionError: it does not run.
        """
        _only_the_agent(user)
        if self._opening.done() and not await self.machine.running():  # Inspect asks at once, and is not to wait
            raise ConnectionError("the machine does not run")
        kind = SANDBOX_TYPES[self.provider_name]
        return SandboxConnection(type=kind, command=self.machine.login(), container=self.machine.name)


@sandboxenv(name=SANDBOX_TYPES["embedded"])
class EmbeddedSandbox(WorkplaceSandbox):
    """One episode's workplace as Inspect sees it, in namespaces of this system."""

    provider_name: ClassVar[ProviderName] = "embedded"
    worth_starting_ahead: ClassVar[bool] = False  # it takes a twentieth of a second


def _episode(config: SandboxEnvironmentConfigType | None) -> Episode:
    if isinstance(config, Episode):
        return config
    if isinstance(config, WorkplaceSpec):
        return config.identity
    raise TypeError("the sidedoor sandbox is configured with an Episode or a WorkplaceSpec")


def _only_the_agent(user: str | None) -> None:
    if user not in (None, AGENT_USER, str(AGENT_UID)):
        raise SandboxUserUnsupportedError(f"this sandbox has no user '{user}' to run as, only '{AGENT_USER}'")


def _not_started(finished: Finished, cmd: list[str], cwd: str | None) -> ExecResult[str]:
    reason = os.strerror(finished.errno)
    if finished.failed == "cwd":
        return ExecResult(False, NOT_EXECUTABLE_EXIT, "", f"{cwd}: {reason}\n")
    if finished.errno in (errno.EACCES, errno.EPERM):
        raise PermissionError(finished.errno, reason, cmd[0])
    status = NOT_FOUND_EXIT if finished.errno == errno.ENOENT else NOT_EXECUTABLE_EXIT
    return ExecResult(False, status, "", f"{cmd[0]}: {reason}\n")
