"""Work that is divided among processes: each does its share and tells what comes of it.

They are forked, because to load Inspect anew would take each of them as long as a hundred episodes. What they tell is
JSON, so that nothing executes when it is read.
"""

import json
import signal
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")
Tell: TypeAlias = Callable[[Any], None]


def told_by(work: Callable[[T, Tell], None], shares: Sequence[T]) -> Generator[Any]:
    """Start a process for each share.

    Args:
        work: does a share, and calls its second argument with what is to be told, JSON-able.
        shares: one for each process.

    Returns:
        What is told, as it comes, until the last process has ended; a process that fails prints its traceback and tells
        no more. All of them are ended with the iterator.
    """
    return _told(dict(_start(work, share) for share in shares))


def _start(work: Callable[[T, Tell], None], share: T) -> tuple[Connection, BaseProcess]:
    reader, writer = Pipe(duplex=False)
    process = get_context("fork").Process(target=_do, args=(work, share, writer))
    process.start()
    writer.close()
    return reader, process


def _do(work: Callable[[T, Tell], None], share: T, writer: Connection) -> None:
    signal.set_wakeup_fd(-1)  # who counts interrupts is in the process that this one was forked from
    with writer:
        work(share, lambda told: writer.send_bytes(json.dumps(told).encode()))


def _told(going: dict[Connection, BaseProcess]) -> Generator[Any]:
    try:
        while going:
            for reader in wait(list(going)):
                if isinstance(reader, Connection):
                    yield from _next(reader, going)
    finally:
        for reader, process in going.items():
            process.terminate()
            process.join()
            reader.close()


def _next(reader: Connection, going: dict[Connection, BaseProcess]) -> Iterator[Any]:
    try:
        message = reader.recv_bytes()
    except EOFError:
        going.pop(reader).join()
        reader.close()
    else:
        yield json.loads(message)
