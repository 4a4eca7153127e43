"""The services of all this process's episodes: one machine, in which each episode's services are a process of its own.

Starting an interpreter and loading a world takes ten times as long as copying a process that has done so. The copy has
seen nothing of any episode; agents reach it through the socket on their own desk and nothing else.

The machine is started by a shell that outlives this process, so that desks are removed even if this process is killed:
the machine's standard input ends, and with it all services.
"""

import contextlib
import json
import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sidedoor.sandboxes.embedded.base import Base
from sidedoor.sandboxes.embedded.bubblewrap import OPSD, PYTHON, services_machine, started
from sidedoor.sandboxes.embedded.children import Complaints, spawn
from sidedoor.sandboxes.embedded.desks import Desk, place
from sidedoor.sandboxes.embedded.groups import delegated_group
from sidedoor.sandboxes.machine import ProviderUnavailableError

THEN_TIDY_UP: Final = """
groups="$1"; shift
"$@"
for desk in "$0"*; do chmod -R u+w "$desk"; rm -rf "$desk"; done 2>/dev/null
for group in "$groups"*; do
    for _ in 1 2 3 4 5 6 7 8 9; do [ -d "$group" ] || break; rmdir "$group" || sleep 0.2; done
done 2>/dev/null
"""
"""Shell text: run a command, then remove the folders whose names begin as the shell's own name, and control groups."""


class Services:
    """A machine for services, which ends with this process.

    Args:
        base: where its programs come from.
    """

    def __init__(self, base: Base) -> None:
        self._prefix = f"desk-{secrets.token_hex(4)}"
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._complaints = Complaints()
        groups = (delegated_group() or Path("/nonexistent")) / self._prefix
        with theirs, services_machine(base) as recipe:
            command = started(recipe, *PYTHON, f"{OPSD}/opsd.py")
            keeper = ["sh", "-c", THEN_TIDY_UP, str(place() / self._prefix), str(groups), *command]
            self._keeper = spawn(keeper, theirs.fileno(), recipe.descriptors, self._complaints)

    @property
    def running(self) -> bool:
        """Whether it can be asked for services."""
        return self._keeper.poll() is None

    def new_name(self) -> str:
        """A name for a desk that is removed with this machine, if it is left behind."""
        return f"{self._prefix}{secrets.token_hex(4)}"

    def open(
        self, desk: Desk, modules: Mapping[str, str], complaints: Complaints
    ) -> tuple[socket.socket, socket.socket]:
        """Have services started for a desk.

        Args:
            desk: where they put their programs and their socket.
            modules: what their world is made of.
            complaints: where their standard error goes.

        Returns:
            Their streams, and where a descriptor of their process arrives.

        Raises:
            ProviderUnavailableError: the machine has ended.
        """
        stream, theirs = socket.socketpair()
        answer, answering = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, answering, contextlib.ExitStack() as opened:
            folder = os.open(desk.shared, os.O_RDONLY | os.O_DIRECTORY)  # not the one that is locked
            opened.callback(os.close, folder)
            sources = os.memfd_create("modules")
            opened.callback(os.close, sources)
            os.write(sources, json.dumps(dict(modules)).encode())
            os.lseek(sources, 0, os.SEEK_SET)
            needed = [theirs.fileno(), complaints.descriptor, folder, sources, answering.fileno()]
            try:
                socket.send_fds(self._control, [b"open"], needed)
            except OSError:
                stream.close()
                answer.close()
                raise ProviderUnavailableError(f"the services do not run: {self._complaints.last_words()}") from None
        return stream, answer

    def close(self) -> None:
        """End all services, and wait for it."""
        self._control.close()
        self._keeper.wait()
        self._complaints.close()
