"""Machines that are containers of a Docker engine."""

import logging
import uuid
from collections.abc import Callable, Iterable
from typing import TypeVar

import anyio

from sidedoor.sandboxes.clean import clean, clean_run
from sidedoor.sandboxes.engine import Engine, connect
from sidedoor.sandboxes.hardening import AGENT_UID, SESSION_COMMAND, container_config
from sidedoor.sandboxes.image import ensure_image, image_tag
from sidedoor.sandboxes.machine import Progress, ProviderName
from sidedoor.sandboxes.ownership import labels
from sidedoor.sandboxes.spec import WorkplaceSpec
from sidedoor.sandboxes.streams import Stream

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Container:
    """A machine that is a container (see `Machine`); the gateway is its first process."""

    def __init__(self, engine: Engine, image: str, spec: WorkplaceSpec, run: str) -> None:
        self.engine = engine
        self.name = f"sidedoor-{uuid.uuid4().hex[:16]}"
        self._config = container_config(image, spec, labels(run, spec.lifetime_s))

    async def start(self) -> Stream:
        """Start the container and attach to the gateway."""
        await self.engine.create(self._config, self.name)
        gateway = await self.engine.attach(self.name)
        try:
            await self.engine.start(self.name)
        except BaseException:
            gateway.close()
            raise
        return gateway

    async def open_session(self) -> Stream:
        """Start a command session in the container."""
        return await self.engine.execute(self.name, list(SESSION_COMMAND), f"{AGENT_UID}:{AGENT_UID}")

    async def running(self) -> bool:
        """Whether the container exists and runs."""
        return await self.engine.running(self.name)

    async def freeze(self) -> None:
        """Freeze the container's processes."""
        await self.engine.pause(self.name)

    async def read(self, root: str, consume: Callable[[Iterable[bytes]], T]) -> T:
        """Have the engine read one of the container's volumes."""
        return await self.engine.archive(self.name, root, consume)

    async def remove(self) -> None:
        """Remove the container and its volumes."""
        await self.engine.remove(self.name)

    def login(self) -> str:
        """The command by which a person looks into the container."""
        return f"docker exec -it -u {AGENT_UID} {self.name} bash --login"


class Docker:
    """The provider whose machines are containers (see `Provider`)."""

    name: ProviderName = "docker"

    @property
    def image(self) -> str:
        """The tag of the image that containers start from."""
        return image_tag()

    async def prepare(self, progress: Progress) -> None:
        """Check the engine, and build the image if it is not there.

        Raises:
            EngineUnavailableError: no engine answers.
            ImageError: the image could not be made.
        """
        engine = await anyio.to_thread.run_sync(connect)
        await anyio.to_thread.run_sync(ensure_image, engine, progress)

    async def machine(self, spec: WorkplaceSpec, run: str) -> Container:
        """A container, not created yet.

        Raises:
            EngineUnavailableError: no engine answers.
            ImageError: the image could not be made.
        """
        engine = await anyio.to_thread.run_sync(connect)
        image = await anyio.to_thread.run_sync(ensure_image, engine, logger.info)
        return Container(engine, image, spec, run)

    async def clean(self, *, everything: bool = False, only: str | None = None) -> list[str]:
        """Remove our containers that were left behind; see `clean`."""
        return await clean(await anyio.to_thread.run_sync(connect), everything=everything, only=only)

    async def clean_run(self, run: str) -> None:
        """Remove every container of a run."""
        await clean_run(await anyio.to_thread.run_sync(connect), run)
