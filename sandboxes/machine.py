"""The seam between an episode and what it runs on: a container of a Docker engine, or namespaces of this system.

Everything above it (sessions, gateway, workplace, evidence) is the same for all providers.
"""

from collections.abc import Callable, Iterable
from typing import Literal, Protocol, TypeAlias, TypeVar

from sidedoor.sandboxes.spec import WorkplaceSpec
from sidedoor.sandboxes.streams import Stream

T = TypeVar("T")
ProviderName: TypeAlias = Literal["docker", "embedded"]
Progress: TypeAlias = Callable[[str], None]


class ProviderUnavailableError(RuntimeError):
    """Machines cannot be had from a provider; one line that says what to do."""


class MachineGoneError(RuntimeError):
    """The machine does not exist or does not run."""


class Machine(Protocol):
    """One episode's machine: the gateway in it as a user of its own, command sessions as the agent's.

    It ends, with everything in it, when the gateway does, at the end of its lifetime, and when this process dies.
    Any method but `login` may raise `ProviderUnavailableError`.
    """

    @property
    def name(self) -> str:
        """What the provider knows it by."""

    async def start(self) -> Stream:
        """Start it, once; returns the gateway's streams. Whatever happens, `remove` has to follow."""

    async def open_session(self) -> Stream:
        """Start a command session; returns its streams.

        Raises:
            MachineGoneError: the machine does not run, or the session cannot be started.
        """

    async def running(self) -> bool:
        """Whether it runs."""

    async def freeze(self) -> None:
        """See to it that nothing in the machine can change a file from now on.

        Raises:
            MachineGoneError: the machine does not run.
        """

    async def read(self, root: str, consume: Callable[[Iterable[bytes]], T]) -> T:
        """Have a worker thread consume the agent's home or `/tmp` as a tar stream whose members start with its name.

        Raises:
            MachineGoneError: the machine is gone.
        """

    async def remove(self) -> None:
        """End and remove it, whatever state it is in; one that is gone already is no error."""

    def login(self) -> str:
        """The command by which a person looks into it."""


class Provider(Protocol):
    """What machines come from. Any method may raise `ProviderUnavailableError`."""

    name: ProviderName

    @property
    def image(self) -> str:
        """What machines are made from, for logs."""

    async def prepare(self, progress: Progress) -> None:
        """Check that machines can be had, and make what they need; `progress` is told what takes time."""

    async def machine(self, spec: WorkplaceSpec, run: str) -> Machine:
        """A machine, not started yet, for an episode of a run."""

    async def clean(self, *, everything: bool = False, only: str | None = None) -> list[str]:
        """Remove our machines that were left behind.

        Args:
            everything: also those that are in use.
            only: nothing but the one whose name starts so, if it is ours.

        Returns:
            Names of those that were removed.
        """

    async def clean_run(self, run: str) -> None:
        """Remove every machine of a run of this process."""
