"""Two-way streams to processes in a machine.

What is inside comes from the machine and is not trusted. Where an engine stands between, it wraps what a process writes
in frames with an 8-byte header (which of its streams, how many bytes), and that wrapping is trusted.
"""

import asyncio
import struct
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from typing import Final

from typing_extensions import override

STDOUT: Final = 1
STDERR: Final = 2
MAX_STDERR: Final = 16 * 1024
STREAM_BUFFER: Final = 1 << 20
_HEADER: Final = struct.Struct("!BxxxI")
_CHUNK: Final = 1 << 18


class StreamClosedError(ConnectionError):
    """The process or the engine ended the stream."""


class Stream(ABC):
    """The standard streams of one process. Its standard error is kept, up to 16 KiB, for diagnosis."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._sending = asyncio.Lock()

    @property
    @abstractmethod
    def stderr(self) -> bytes:
        """What the process has written to standard error."""

    @abstractmethod
    def output(self) -> AsyncIterator[bytes]:
        """What the process writes to standard output, in pieces, until the stream ends."""

    @property
    def ended(self) -> bool:
        """Whether the process has ended it, and nothing is left to be read."""
        return self._reader.at_eof()

    async def send(self, *pieces: bytes) -> None:
        """Write to the process's standard input; pieces of one call stay together.

        Raises:
            StreamClosedError: the stream has ended.
        """
        async with self._sending:
            try:
                self._writer.writelines(pieces)
                await self._writer.drain()
            except (ConnectionError, RuntimeError) as error:  # RuntimeError: asyncio's word for a closed transport
                raise StreamClosedError(str(error)) from error

    def send_nowait(self, data: bytes) -> None:
        """Write without waiting, for use while being cancelled; lost if the stream has ended."""
        if not self._writer.is_closing():
            self._writer.write(data)

    def close(self) -> None:
        """Drop the connection; a process that reads its standard input sees the end of it."""
        self._writer.close()


class WrappedStream(Stream):
    """A stream that an engine wraps in frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self._stderr = bytearray()

    @property
    @override
    def stderr(self) -> bytes:
        return bytes(self._stderr)

    @override
    async def output(self) -> AsyncIterator[bytes]:
        try:
            while True:
                stream, length = _HEADER.unpack(await self._reader.readexactly(_HEADER.size))
                payload = await self._reader.readexactly(length)
                if stream == STDOUT:
                    yield payload
                elif stream == STDERR:
                    self._stderr += payload[: MAX_STDERR - len(self._stderr)]
        except (asyncio.IncompleteReadError, ConnectionError):
            return


class PlainStream(Stream):
    """A stream that leads to the process itself.

    Args:
        reader: of a socket that is the process's standard input and output.
        writer: of the same.
        complaints: what the process has written to standard error so far.
    """

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, complaints: Callable[[], bytes] = bytes
    ) -> None:
        super().__init__(reader, writer)
        self._complaints = complaints

    @property
    @override
    def stderr(self) -> bytes:
        return self._complaints()

    @override
    async def output(self) -> AsyncIterator[bytes]:
        try:
            while piece := await self._reader.read(_CHUNK):
                yield piece
        except ConnectionError:
            return
