"""Two-way streams to processes in a container.

The engine wraps what a process writes in frames with an 8-byte header (which of its streams, how many bytes). What
is inside comes from the container and is not trusted; the wrapping comes from the engine and is.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from typing import Final

STDOUT: Final = 1
STDERR: Final = 2
_HEADER: Final = struct.Struct("!BxxxI")
_MAX_STDERR: Final = 16 * 1024


class StreamClosedError(ConnectionError):
    """The process or the engine ended the stream."""


class Stream:
    """The standard streams of one process. Its standard error is kept, up to 16 KiB, for diagnosis."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._sending = asyncio.Lock()
        self.stderr = bytearray()

    async def output(self) -> AsyncIterator[bytes]:
        """What the process writes to standard output, in pieces, until the stream ends."""
        try:
            while True:
                stream, length = _HEADER.unpack(await self._reader.readexactly(_HEADER.size))
                payload = await self._reader.readexactly(length)
                if stream == STDOUT:
                    yield payload
                elif stream == STDERR:
                    self.stderr += payload[: _MAX_STDERR - len(self.stderr)]
        except (asyncio.IncompleteReadError, ConnectionError):
            return

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
