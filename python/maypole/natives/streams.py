"""`StreamReader`, `StreamWriter`, `open_connection`, `start_server`: asyncio's streams, natively.

The native half takes data in, finds lines, writes and drains; what happens once per connection is asyncio's
own code or follows it. The classes derive from asyncio's, so `isinstance` holds.

Source: https://docs.python.org/3/library/asyncio-stream.html
"""

from __future__ import annotations

import asyncio
import sys
from asyncio import StreamReader as InheritedReader
from asyncio import StreamReaderProtocol as InheritedProtocol
from asyncio import StreamWriter as InheritedWriter
from typing import TYPE_CHECKING, Any

from maypole import _maypole

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable

    ClientConnected = Callable[["StreamReader", "StreamWriter"], Awaitable[None] | None]

LIMIT = 64 * 1024
"""The default limit in bytes: no line is longer, and reading pauses when twice as much waits."""


class StreamReader(_maypole.StreamReader, InheritedReader):  # type: ignore[misc]  # tuples of separators
    """What comes in on a connection: `asyncio.StreamReader`, natively.

    Args:
        limit: the longest line, and half of what may wait to be read, in bytes.
        loop: the loop; the current one by default.

    Raises:
        ValueError: unless ``limit > 0``.

    Cancel safety: a cancelled read takes nothing.

    Source: https://docs.python.org/3/library/asyncio-stream.html#streamreader

    Example:
        >>> import asyncio, maypole
        >>> async def main():
        ...     reader = maypole.StreamReader()
        ...     reader.feed_data(b"a line\\nand more")
        ...     reader.feed_eof()
        ...     return [line async for line in reader]
        >>> maypole.run(main())
        [b'a line\\n', b'and more']
    """

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Take asyncio's own methods where a subclass overrides what they call: native ones do not ask."""
        super().__init_subclass__(**keywords)
        if all(getattr(cls, name) is getattr(StreamReader, name) for name in _CALLED):
            return
        for name in (*_CALLED, *_CALLERS):
            if getattr(cls, name) is getattr(StreamReader, name):
                setattr(cls, name, getattr(InheritedReader, name))

    def __repr__(self) -> str:
        """Describe the reader as asyncio does."""
        shown = {
            f"{self._buffered()} bytes": self._buffered(),
            "eof": self._eof,
            f"limit={self._limit}": self._limit != LIMIT,
            f"waiter={self._waiter!r}": self._waiter,
            f"exception={self._exception!r}": self._exception,
            f"transport={self._transport!r}": self._transport,
            "paused": self._paused,
        }
        return f"<{' '.join(['StreamReader', *(text for text, holds in shown.items() if holds)])}>"


_CALLED = ("_wait_for_data", "_wakeup_waiter", "_maybe_resume_transport", "read", "readuntil", "readline")
_CALLERS = ("readexactly", "__anext__", "feed_data", "feed_eof", "set_exception")


class StreamWriter(_maypole.StreamWriter, InheritedWriter):
    """What goes out on a connection: `asyncio.StreamWriter`, natively.

    Args:
        transport: what writes.
        protocol: what is told when writing must pause.
        reader: the reader of the same connection, or None.
        loop: the loop.

    Cancel safety: a cancelled `drain` leaves nothing behind; what was written is sent.

    Source: https://docs.python.org/3/library/asyncio-stream.html#streamwriter
    """

    def __init__(
        self,
        transport: asyncio.WriteTransport,
        protocol: asyncio.BaseProtocol,
        reader: InheritedReader | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        # drain() expects that the reader has an exception() method.
        assert reader is None or isinstance(reader, InheritedReader)
        _maypole.StreamWriter.__init__(self, transport, protocol, reader, loop)


class StreamReaderProtocol(_maypole.StreamProtocol, InheritedProtocol):
    """Between a transport and a `StreamReader`: `asyncio.StreamReaderProtocol`, natively.

    Args:
        stream_reader: what the data goes to; it is referred to weakly until the connection is made.
        client_connected_cb: on the server's side, what is called with reader and writer of a connection.
        loop: the loop; the current one by default.

    Source: https://docs.python.org/3/library/asyncio-stream.html
    """

    _client_connected_cb: Any
    _reject_connection: bool
    _stream_reader: Any

    def connection_made(self, transport: Any) -> None:
        """Give the transport to the reader, and reader and writer to the server's callback."""
        if self._reject_connection:
            super().connection_made(transport)
            return
        self._transport = transport
        reader = self._stream_reader
        if reader is not None:
            reader.set_transport(transport)
        self._attach(reader)
        self._over_ssl = transport.get_extra_info("sslcontext") is not None
        if self._client_connected_cb is not None:
            self._connect_client(transport, reader)
            self._strong_reader = None

    def _connect_client(self, transport: Any, reader: Any) -> None:
        writer = StreamWriter(transport, self, reader, self._loop)
        if sys.version_info < (3, 13):
            self._stream_writer = writer
        try:
            result = self._client_connected_cb(reader, writer)
        except Exception as exception:
            self._client_failed(exception, transport)
            return
        if asyncio.iscoroutine(result):
            self._task = self._loop.create_task(result)
            self._task.add_done_callback(lambda task: self._client_done(task, transport))

    def _client_done(self, task: asyncio.Task[None], transport: Any) -> None:
        """Close the connection of a handler that failed."""
        if task.cancelled():
            transport.close()
            return
        exception = task.exception()
        if exception is not None:
            self._client_failed(exception, transport)

    def _client_failed(self, exception: BaseException, transport: Any) -> None:
        self._loop.call_exception_handler(
            {
                "message": "Unhandled exception in client_connected_cb",
                "exception": exception,
                "transport": transport,
            }
        )
        transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the reader and everybody who drains."""
        super().connection_lost(exc)
        self._attach(None)

    def resume_writing(self) -> None:
        """Wake everybody who drains."""
        assert self._paused
        self._paused = False
        self._resume_drains()


async def open_connection(
    host: str | None = None, port: int | str | None = None, *, limit: int = LIMIT, **keywords: Any
) -> tuple[StreamReader, StreamWriter]:
    """Connect to a TCP address and return reader and writer, as `asyncio.open_connection` does.

    Args:
        host: a name or an address.
        port: a number or the name of a service.
        limit: as for `StreamReader`, in bytes.
        keywords: what ``loop.create_connection`` takes, such as ``ssl`` and ``server_hostname``.

    Raises:
        OSError: if no connection can be made.

    Cancel safety: a cancelled call closes what it has opened.

    Source: https://docs.python.org/3/library/asyncio-stream.html#asyncio.open_connection

    Example:
        >>> import asyncio, maypole
        >>> async def greet(reader, writer):
        ...     writer.write(b"hello " + await reader.readline())
        ...     await writer.drain()
        ...     writer.close()
        >>> async def main():
        ...     server = await maypole.start_server(greet, "127.0.0.1", 0)
        ...     reader, writer = await maypole.open_connection(*server.sockets[0].getsockname())
        ...     writer.write(b"world\\n")
        ...     answer = await reader.read()
        ...     writer.close()
        ...     await writer.wait_closed()
        ...     server.close()
        ...     return answer
        >>> maypole.run(main())
        b'hello world\\n'
    """
    loop = asyncio.get_running_loop()
    protocol, reader = _client_protocol(limit, loop)
    transport, _ = await loop.create_connection(lambda: protocol, host, port, **keywords)  # type: ignore[arg-type]
    return reader, StreamWriter(transport, protocol, reader, loop)


async def open_unix_connection(
    path: str | os.PathLike[str] | None = None, *, limit: int = LIMIT, **keywords: Any
) -> tuple[StreamReader, StreamWriter]:
    """Connect to a Unix socket and return reader and writer, as `asyncio.open_unix_connection` does.

    Args:
        path: the name of the socket in the file system.
        limit: as for `StreamReader`, in bytes.
        keywords: what ``loop.create_unix_connection`` takes.

    Raises:
        OSError: if no connection can be made.

    Source: https://docs.python.org/3/library/asyncio-stream.html#asyncio.open_unix_connection
    """
    loop = asyncio.get_running_loop()
    protocol, reader = _client_protocol(limit, loop)
    transport, _ = await loop.create_unix_connection(lambda: protocol, path, **keywords)  # type: ignore[arg-type]
    return reader, StreamWriter(transport, protocol, reader, loop)


def _client_protocol(
    limit: int, loop: asyncio.AbstractEventLoop
) -> tuple[StreamReaderProtocol, StreamReader]:
    reader = StreamReader(limit=limit, loop=loop)
    return StreamReaderProtocol(reader, loop=loop), reader


async def start_server(
    client_connected_cb: ClientConnected,
    host: str | list[str] | None = None,
    port: int | str | None = None,
    *,
    limit: int = LIMIT,
    **keywords: Any,
) -> asyncio.Server:
    """Serve TCP connections, each by a call of the callback, as `asyncio.start_server` does.

    Args:
        client_connected_cb: called with reader and writer of each connection; a coroutine becomes a task.
        host: the address to listen at, or several; all of them if None.
        port: the port; 0 for one that is free.
        limit: as for `StreamReader`, in bytes.
        keywords: what ``loop.create_server`` takes, such as ``ssl`` and ``backlog``.

    Raises:
        OSError: if the address cannot be listened at.

    Source: https://docs.python.org/3/library/asyncio-stream.html#asyncio.start_server
    """
    loop = asyncio.get_running_loop()
    factory = _server_protocol(client_connected_cb, limit, loop)
    return await loop.create_server(factory, host, port, **keywords)  # type: ignore[arg-type]


async def start_unix_server(
    client_connected_cb: ClientConnected,
    path: str | os.PathLike[str] | None = None,
    *,
    limit: int = LIMIT,
    **keywords: Any,
) -> asyncio.Server:
    """Serve connections at a Unix socket, as `asyncio.start_unix_server` does.

    Args:
        client_connected_cb: called with reader and writer of each connection; a coroutine becomes a task.
        path: the name of the socket in the file system.
        limit: as for `StreamReader`, in bytes.
        keywords: what ``loop.create_unix_server`` takes.

    Raises:
        OSError: if the address cannot be listened at.

    Source: https://docs.python.org/3/library/asyncio-stream.html#asyncio.start_unix_server
    """
    loop = asyncio.get_running_loop()
    return await loop.create_unix_server(_server_protocol(client_connected_cb, limit, loop), path, **keywords)


def _server_protocol(
    client_connected_cb: ClientConnected, limit: int, loop: asyncio.AbstractEventLoop
) -> Callable[[], StreamReaderProtocol]:
    def make() -> StreamReaderProtocol:
        reader = StreamReader(limit=limit, loop=loop)
        return StreamReaderProtocol(reader, client_connected_cb, loop=loop)  # type: ignore[arg-type]

    return make
