"""The provider that needs no container engine: what it asks of this system, and the machines that it has made."""

import functools
import os
import platform
import resource
import secrets
import shutil
import subprocess
from typing import Final

import anyio

from sidedoor.sandboxes.embedded.base import find_base
from sidedoor.sandboxes.embedded.bubblewrap import PYTHON, TRIAL_S, agent_machine, started
from sidedoor.sandboxes.embedded.desks import Desk, end_users, others_desks, remove
from sidedoor.sandboxes.embedded.groups import delegated_group, groups_left, remove_group
from sidedoor.sandboxes.embedded.machine import EmbeddedMachine
from sidedoor.sandboxes.embedded.seccomp import supported
from sidedoor.sandboxes.embedded.services import Services
from sidedoor.sandboxes.machine import Progress, ProviderName, ProviderUnavailableError
from sidedoor.sandboxes.spec import WorkplaceSpec

KERNEL: Final = (5, 14)
"""Since then the number of processes is limited per user namespace, and not over all of a user's."""

ADVICE: Final = (
    ("Unknown option", "it is too old: install bubblewrap 0.6 or newer"),
    ("mount proc", "an outer container hides parts of /proc: run that with systempaths=unconfined"),
    ("namespace", "user namespaces are switched off: see user.max_user_namespaces, kernel.unprivileged_userns_clone"),
    ("uid map", "user namespaces are restricted: see kernel.apparmor_restrict_unprivileged_userns"),
    ("loopback", "user namespaces are restricted: see kernel.apparmor_restrict_unprivileged_userns"),
)
"""What to do about what bubblewrap says, by a part of that."""


class Embedded:
    """The provider whose machines are namespaces of this system (see `Provider`)."""

    name: ProviderName = "embedded"

    def __init__(self) -> None:
        self._machines: list[EmbeddedMachine] = []
        self._services: Services | None = None

    @property
    def image(self) -> str:
        """Where machines have their programs from."""
        return find_base().name

    async def prepare(self, progress: Progress) -> None:  # noqa: ARG002 - nothing here takes time
        """Check that machines can be started here.

        Raises:
            ProviderUnavailableError: they cannot.
            ImageError: `SIDEDOOR_IMAGE` names a folder without an image.
        """
        await anyio.to_thread.run_sync(check)

    async def machine(self, spec: WorkplaceSpec, run: str) -> EmbeddedMachine:
        """A machine, not started yet.

        Raises:
            ProviderUnavailableError: machines cannot be started here.
            ImageError: `SIDEDOOR_IMAGE` names a folder without an image.
        """
        await anyio.to_thread.run_sync(check)
        base = find_base()
        if self._services is None or not self._services.running:
            self._services = Services(base)
        made = EmbeddedMachine(base, self._services, spec, run)
        self._machines = [*(machine for machine in self._machines if not machine.removed), made]
        return made

    async def clean(self, *, everything: bool = False, only: str | None = None) -> list[str]:
        """Remove what killed processes left behind; see `Provider`."""
        removed = []
        for desk, in_use in others_desks():
            if desk.name.startswith(only or "") and (everything or not in_use):
                end_users(desk)
                remove(desk)
                removed.append(desk.name)
        if parent := delegated_group():
            for group in groups_left(parent, {desk.name for desk, _ in others_desks()}):
                remove_group(group)
        return removed

    async def clean_run(self, run: str) -> None:
        """Remove every machine of a run of this process."""
        for machine in self._machines:
            if machine.run == run and not machine.removed:
                await machine.remove()
        if self._services is not None and all(machine.removed for machine in self._machines):
            self._services.close()
            self._services = None


@functools.cache
def check() -> None:
    """See whether machines can be started here, once. Blocks for an instant.

    Raises:
        ProviderUnavailableError: they cannot; one line says why and what to do.
        ImageError: `SIDEDOOR_IMAGE` names a folder without an image.
    """
    reason = _missing() or find_base().trouble() or _trial()
    if reason is not None:
        raise ProviderUnavailableError(f"the embedded sandbox does not work here: {reason}")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)  # a machine takes a dozen descriptors
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _missing() -> str | None:
    if platform.system() != "Linux" or not supported():
        return f"it needs Linux on x86_64 or aarch64, and this is {platform.system()} on {platform.machine()}"
    if tuple(map(int, platform.release().split("-")[0].split(".")[:2])) < KERNEL:
        return f"it needs Linux {'.'.join(map(str, KERNEL))} or newer, and this is {platform.release()}"
    if shutil.which("bwrap") is None:
        return "bubblewrap is not installed: apt-get install bubblewrap, or dnf install bubblewrap"
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        return "setpriv is not installed: apt-get install util-linux"
    return None


def _trial() -> str | None:
    """What bubblewrap says of a machine like those of agents."""
    desk = Desk(f"desk-{secrets.token_hex(8)}")
    try:
        with agent_machine(find_base(), str(desk.shared), "trial") as recipe:
            command = started(recipe, *PYTHON, "-c", "pass")
            subprocess.run(
                command, pass_fds=recipe.descriptors, capture_output=True, timeout=TRIAL_S, check=True, cwd="/"
            )
    except subprocess.TimeoutExpired:
        return f"a trial did not end within {TRIAL_S} s"
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode("utf-8", "replace").strip().splitlines()
        said = (lines or [f"a trial ended with status {error.returncode}"])[-1]
    else:
        return None
    finally:
        desk.remove()
    advice = next((text for part, text in ADVICE if part in said), "see `bwrap --help`")
    return f"{said}; {advice}"
