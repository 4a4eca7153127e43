"""Services daemon: starts desk services, each of which is a copy of this process that goes on as `gateway.py`.

A copy is made before it knows anything of its desk, and the original never talks to callers, so that services share
nothing but what is the same for all of them: the interpreter, and the modules of worlds. Each message on standard
input is a whole packet and comes with what one service needs: its streams, its log, its desk, the sources of its
world's modules, and where to answer with a descriptor of it. When standard input ends, so do all services.
"""
# pathlib takes longer to import than everything else here together
# ruff: noqa: PTH118, PTH120, PTH123

import contextlib
import ctypes
import gc
import json
import os
import signal
import socket
import sys
import types
from collections.abc import Sequence
from typing import NoReturn

GATEWAY = os.path.join(os.path.dirname(__file__), "gateway.py")
PACKET = 16
PR_SET_DUMPABLE = 4


def load_gateway() -> types.ModuleType:
    """The service's program, which is not on the path."""
    gateway = types.ModuleType("gateway")
    gateway.__file__ = GATEWAY
    with open(GATEWAY, "rb") as file:
        exec(compile(file.read(), GATEWAY, "exec"), gateway.__dict__)
    return gateway


def become_service(gateway: types.ModuleType, descriptors: Sequence[int]) -> NoReturn:
    """Turn this copy of the process into a service, given its streams, its log and its desk first."""
    try:
        stream, log, desk = descriptors[:3]
        for number, end in enumerate((stream, stream, log)):
            os.dup2(end, number)
        os.fchdir(desk)
        os.closerange(3, max(descriptors) + 1)
        gateway.main(".")
    except BaseException:  # noqa: BLE001 - as at any program's end: it is told, and the process ends
        sys.excepthook(*sys.exc_info())
    os._exit(1)


def preload(gateway: types.ModuleType, modules: int) -> None:
    """Execute the modules of a world here, so that every service finds them executed."""
    try:
        with open(modules, "rb", closefd=False) as file:
            gateway.load(json.load(file))
    except Exception:  # noqa: BLE001, S110 - the service itself meets it again, and says so in its log
        pass


def serve(gateway: types.ModuleType, control: socket.socket) -> None:
    """Start services until standard input ends."""
    while True:
        order, descriptors, _, _ = socket.recv_fds(control, PACKET, 5)
        if not order:
            return
        preload(gateway, descriptors[3])
        gc.freeze()
        with contextlib.suppress(OSError):  # no room for another process: the answer's end says so
            child = os.fork()
            if child == 0:
                become_service(gateway, descriptors)
            process = os.pidfd_open(child)
            socket.send_fds(socket.socket(fileno=os.dup(descriptors[4])), [b"started"], [process])
            os.close(process)
        for descriptor in descriptors:
            os.close(descriptor)


def main() -> None:
    """Close this process to the services' user, and serve."""
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    serve(load_gateway(), socket.socket(fileno=0))


if __name__ == "__main__":
    main()
