"""The Docker engine: the few calls that are needed, none of which blocks the event loop.

Ordinary calls go through the `docker` package on worker threads. The two that turn an HTTP connection into a two-way
stream (attach, and starting a command) are made here, on asyncio's own sockets, because the streams live as long as
the container.
"""

import asyncio
import functools
import json
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NoReturn, ParamSpec, TypeVar
from urllib.parse import urlsplit

import anyio
import docker
import docker.utils
import requests
from docker.errors import APIError, DockerException, NotFound

from sidedoor.sandboxes.machine import MachineGoneError, ProviderUnavailableError
from sidedoor.sandboxes.streams import STREAM_BUFFER, Stream, WrappedStream

P = ParamSpec("P")
T = TypeVar("T")

MINIMUM_API: Final = (1, 41)
TIMEOUT_S: Final = 60
PAUSE_ATTEMPTS: Final = 20
PAUSE_INTERVAL_S: Final = 0.2


class EngineUnavailableError(ProviderUnavailableError):
    """The Docker engine does not answer, or is too old; one line that says what to do."""


class ContainerGoneError(MachineGoneError):
    """The container does not exist or does not run."""


class Engine:
    """A connection to one Docker engine.

    Args:
        address: `unix://…` or `tcp://…`; by default `DOCKER_HOST`, or the local socket.

    Raises:
        EngineUnavailableError: no engine answers there, its API is older than 1.41, or the address is not supported.
    """

    def __init__(self, address: str | None = None) -> None:
        self.address = address or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        try:
            parsed = docker.utils.parse_host(self.address)
            self._target = urlsplit(parsed or "")
            self.client = docker.APIClient(base_url=self.address, version="auto", timeout=TIMEOUT_S)
        except (DockerException, requests.RequestException, OSError) as error:
            raise EngineUnavailableError(
                f"no Docker engine answers at {self.address} ({_reason(error)}); start it or set DOCKER_HOST"
            ) from error
        if self._target.scheme not in ("http+unix", "http", "tcp"):
            raise EngineUnavailableError(f"DOCKER_HOST={self.address}: only unix:// and plain tcp:// are supported")
        self.api_version = str(self.client.api_version)
        if tuple(map(int, self.api_version.split("."))) < MINIMUM_API:
            raise EngineUnavailableError(
                f"the Docker engine at {self.address} speaks API {self.api_version}; 1.41 (Engine 20.10) is needed"
            )

    async def create(self, config: Mapping[str, Any], name: str) -> str:
        """Create a container from an Engine API configuration; returns its id."""
        created = await self._call(self.client.create_container_from_config, config, name)
        return str(created["Id"])

    async def start(self, container: str) -> None:
        """Start a created container."""
        await self._call(self.client.start, container)

    async def attach(self, container: str) -> Stream:
        """The standard streams of a container's first process."""
        query = "stream=1&stdin=1&stdout=1&stderr=1"
        return await self._hijack(f"/containers/{container}/attach?{query}", {})

    async def execute(self, container: str, argv: list[str], user: str) -> Stream:
        """Start another process in a container, and give its standard streams.

        Raises:
            ContainerGoneError: the container does not run, or the process cannot be started.
        """
        made = await self._call(self.client.exec_create, container, argv, stdin=True, user=user, workdir="/")
        return await self._hijack(f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False})

    async def running(self, container: str) -> bool:
        """Whether a container exists and runs."""
        try:
            state = await self._call(self.client.inspect_container, container)
        except ContainerGoneError:
            return False
        return bool(state["State"]["Running"])

    async def pause(self, container: str) -> None:
        """Freeze all processes of a container.

        On a busy machine with cgroup v1 the kernel may not have stopped every process by the time that the runtime
        gives up ("unable to freeze"); it is asked again.
        """
        for _ in range(PAUSE_ATTEMPTS - 1):
            try:
                return await self._call(self.client.pause, container)
            except EngineUnavailableError:
                await asyncio.sleep(PAUSE_INTERVAL_S)
        return await self._call(self.client.pause, container)

    async def archive(self, container: str, path: str, consume: Callable[[Iterable[bytes]], T]) -> T:
        """Have a worker thread consume a path of a container as a tar stream."""

        def read() -> T:
            chunks, _ = self.client.get_archive(container, path)
            return consume(chunks)

        return await self._call(read)

    async def remove(self, container: str) -> None:
        """Remove a container and its volumes, running or not; one that is gone already is no error."""
        try:
            await self._call(self.client.remove_container, container, v=True, force=True)
        except ContainerGoneError:
            return

    async def labelled(self, label: str) -> dict[str, dict[str, str]]:
        """Labels of every container, in any state, that carries a label (`key=value`), by id."""
        found = await self._call(self.client.containers, all=True, filters={"label": label})
        return {container["Id"]: container["Labels"] for container in found}

    async def unused_volumes(self, label: str) -> dict[str, dict[str, str]]:
        """Labels of every volume that carries a label (`key=value`) and that no container has, by name."""
        found = await self._call(self.client.volumes, filters={"label": label, "dangling": "true"})
        return {volume["Name"]: volume["Labels"] for volume in found["Volumes"] or []}

    async def remove_volume(self, volume: str) -> None:
        """Remove a volume; one that is gone already, or in use after all, is no error."""
        try:
            await self._call(self.client.remove_volume, volume)
        except ContainerGoneError:
            return

    async def _call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a call on a worker thread; being cancelled, wait for its end, so that its effects can be undone."""
        job = asyncio.ensure_future(anyio.to_thread.run_sync(functools.partial(function, *args, **kwargs)))
        try:
            with anyio.CancelScope(shield=True):
                await asyncio.wait({job})
        except asyncio.CancelledError:
            await asyncio.wait({job})
            raise
        try:
            return job.result()
        except (DockerException, requests.RequestException) as error:
            self._raise(error)

    def _raise(self, error: Exception) -> NoReturn:
        if isinstance(error, NotFound):
            raise ContainerGoneError(_reason(error)) from error
        if isinstance(error, APIError) and error.status_code == 409:  # removal in progress, or not running
            raise ContainerGoneError(_reason(error)) from error
        raise EngineUnavailableError(f"the Docker engine at {self.address} failed: {_reason(error)}") from error

    async def _hijack(self, path: str, body: Mapping[str, Any]) -> Stream:
        """POST a request and keep its connection as a raw stream (HTTP 101, or 200 from some proxies)."""
        try:
            reader, writer = await self._connect()
        except OSError as error:
            raise EngineUnavailableError(f"no Docker engine answers at {self.address} ({error})") from error
        content = json.dumps(body).encode()
        head = (
            f"POST /v{self.api_version}{path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        writer.write(head.encode() + content)
        try:
            answer = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            writer.close()
            raise EngineUnavailableError(f"the Docker engine at {self.address} hung up") from error
        status = int(answer.split(maxsplit=2)[1])
        if status not in (101, 200):
            writer.close()
            raise ContainerGoneError(f"the engine refused a stream with status {status}")
        return WrappedStream(reader, writer)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._target.scheme == "http+unix":
            return await asyncio.open_unix_connection(self._target.path, limit=STREAM_BUFFER)
        return await asyncio.open_connection(str(self._target.hostname), self._target.port or 2375, limit=STREAM_BUFFER)


def connect() -> Engine:
    """The process's engine, connected on first use; a forked process has one of its own."""
    return _connected(os.getpid())


@functools.cache
def _connected(process: int) -> Engine:  # noqa: ARG001 - what it is remembered by
    return Engine()


def _reason(error: Exception) -> str:
    """The engine's own words on one line."""
    if isinstance(error, APIError) and error.explanation:
        return " ".join(str(error.explanation).split())
    return " ".join(str(error).split())[:300]
