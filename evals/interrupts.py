"""What Ctrl-C does to a command: a first one ends it in good order, a second one ends it within seconds.

A second interrupt means that good order takes too long. Python then leaves the event loop, but still waits for
tasks and threads that may never end. So a thread of its own counts interrupts, which Python's handler writes down
wherever the main thread is, and after the second one gives the rest some seconds. What is cut off then is what SIGKILL
would cut off: machines end with this process, finished samples are in the log, and `--resume` continues.
"""

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

EXIT_INTERRUPTED: Final = 130
GRACE_S: Final = 5.0


@contextmanager
def second_interrupt_final() -> Iterator[None]:
    """Have this process end within `GRACE_S` of a second SIGINT, whatever it waits for; in the main thread only."""
    written, read = socket.socketpair()
    written.setblocking(False)
    threading.Thread(target=_end_after_two, args=(read,), name="interrupts", daemon=True).start()
    before = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        written.close()  # which ends the thread, unless there were two


@contextmanager
def lost_interrupts_told() -> Iterator[None]:
    """Say in a line that an interrupt came where Python drops exceptions (a finalizer, say) and shows a traceback."""
    before = sys.unraisablehook

    def told(dropped: "sys.UnraisableHookArgs") -> None:
        if isinstance(dropped.exc_value, KeyboardInterrupt):
            sys.stderr.write("sidedoor: an interrupt was lost; if this goes on, send another\n")
        else:
            before(dropped)

    sys.unraisablehook = told
    try:
        yield
    finally:
        sys.unraisablehook = before


@contextmanager
def grouped_interrupts_bare() -> Iterator[None]:
    """Raise an interrupt that a task group has wrapped as the interrupt that it is.

    An interrupt that comes while a task runs is that task's failure to its group, as a second one often is.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        if group.subgroup(KeyboardInterrupt) is None:
            raise
        raise KeyboardInterrupt from None


def _end_after_two(heard: socket.socket) -> None:
    interrupts = 0
    with heard:
        while interrupts < 2:
            numbers = heard.recv(64)
            if not numbers:
                return
            interrupts += numbers.count(signal.SIGINT)
        time.sleep(GRACE_S)
    with suppress(OSError):
        os.write(2, b"sidedoor: interrupted\n")
    os._exit(EXIT_INTERRUPTED)
