"""`StreamTransport`: a connected TCP or Unix socket.

The native half reads, writes and keeps the flags; this half names the peers, closes, and tells the
protocol and the exception handler about the end, with asyncio's words.

Source: https://docs.python.org/3/library/asyncio-protocol.html#transports
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import warnings
from asyncio import constants, trsock
from typing import TYPE_CHECKING, Any

from maypole import _maypole, versions
from maypole.transports.water_marks import water_marks

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Mapping

    from maypole.loop.inherited import MixedInto

logger = logging.getLogger("asyncio")


class StreamTransport(_maypole.StreamTransport):
    """A connected stream socket between a loop and a protocol.

    Args:
        loop: the maypole loop that the connection belongs to.
        sock: the connected non-blocking socket; the transport closes it.
        protocol: what receives the bytes; `BufferedProtocol` reads without a copy.
        waiter: a future that is done once `connection_made` was called.
        extra: further answers of `get_extra_info`.
        server: the server that accepted the connection, which counts it.
        context: the context that the protocol is called in; None for copies of the current one, as before
            Python 3.15.
    """

    _start_tls_compatible = True
    _sendfile_compatible = constants._SendfileMode.TRY_NATIVE

    _sock: socket.socket | None = None
    _server: Any = None
    _protocol_connected = False
    _context: contextvars.Context | None = None

    def __init__(
        self,
        loop: MixedInto,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        extra: Mapping[str, Any] | None = None,
        server: Any = None,
        context: contextvars.Context | None = None,
    ) -> None:
        asyncio.Transport.__init__(self, extra)
        self._name_peers(sock)
        self._sock = sock
        self._begin(loop, sock.fileno(), protocol, context)
        self._context = context
        self._protocol_connected = True
        self._server = server
        if server is not None:
            versions.attach_to_server(server, self)
        loop._transports[self._sock_fd] = self
        versions.set_nodelay(sock)
        loop.call_soon(protocol.connection_made, self, context=context)
        # Reading starts only when connection_made() was called.
        loop.call_soon(self._start_reading, context=context)
        if waiter is not None:
            loop.call_soon(_set_result_unless_cancelled, waiter, context=context)

    def _name_peers(self, sock: socket.socket) -> None:
        self._extra["socket"] = trsock.TransportSocket(sock)
        try:
            self._extra["sockname"] = sock.getsockname()
        except OSError:
            self._extra["sockname"] = None
        if "peername" not in self._extra:
            try:
                self._extra["peername"] = sock.getpeername()
            except OSError:
                self._extra["peername"] = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give the connection to another protocol."""
        super().set_protocol(protocol)
        self._protocol_connected = True

    def get_write_buffer_size(self) -> int:
        """Return how many bytes wait because the socket does not take them."""
        return self._flush()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the low and the high water mark in bytes."""
        return self._low_water, self._high_water

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the water marks, in bytes.

        Args:
            high: above so many waiting bytes the protocol's `pause_writing` is called; 64 KiB if None.
            low: at so few bytes `resume_writing` is called; a quarter of `high` if None.

        Raises:
            ValueError: unless ``high >= low >= 0``.
        """
        self._set_limits(*water_marks(high, low))

    def can_write_eof(self) -> bool:
        """Return True: a stream socket can be closed for writing alone."""
        return True

    def write_eof(self) -> None:
        """Close the writing end once everything is sent."""
        if self._closing or self._eof:
            return
        if self._mark_eof():
            self._shutdown()

    def _shutdown(self) -> None:
        assert self._sock is not None
        self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Stop reading, send what is written, then tell the protocol that the connection is lost."""
        if self._closing:
            return
        if self._begin_closing() and not self._conn_lost:
            self._lose()
            self._loop.call_soon(self._call_connection_lost, None, context=self._context)

    def abort(self) -> None:
        """Close at once; what the socket has not taken is lost."""
        if not self._conn_lost and self._loop is not None:
            self._flush()
        self._force_close(None)

    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on transport") -> None:
        if isinstance(exc, OSError):
            if self._loop.get_debug():
                logger.debug("%r: %s", self, message, exc_info=True)
        else:
            self._loop.call_exception_handler(
                {"message": message, "exception": exc, "transport": self, "protocol": self._protocol}
            )
        self._force_close(exc)

    def _force_close(self, exc: BaseException | None) -> None:
        if self._conn_lost or self._loop is None:
            return
        self._lose()
        self._loop.call_soon(self._call_connection_lost, exc, context=self._context)

    def _call_connection_lost(self, exc: BaseException | None) -> None:
        try:
            if self._protocol_connected:
                self._protocol.connection_lost(exc)
        finally:
            self._end_connection()

    def _end_connection(self) -> None:
        sock, server, waiter = self._sock, self._server, self._empty_waiter
        self._sock = self._server = None
        if waiter is not None and not waiter.done():
            waiter.set_exception(ConnectionError("Connection is closed by peer"))
        self._end()
        if sock is not None:
            sock.close()
        if server is not None:
            versions.detach_from_server(server, self)

    def _all_sent(self) -> None:
        """Go on after the last waiting byte: the native half calls this."""
        if self._empty_waiter is not None and not self._empty_waiter.done():
            self._empty_waiter.set_result(None)
        if self._closing:
            if not self._conn_lost:
                self._lose()
                self._call_connection_lost(None)
        elif self._eof:
            self._shutdown()

    def _warn_lost(self, writes: int) -> None:
        """Warn a protocol that goes on writing after the loss: the native half calls this."""
        if writes >= constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES:
            logger.warning("socket.send() raised exception.")

    def _make_empty_waiter(self) -> asyncio.Future[None]:
        if self._empty_waiter is not None:
            raise RuntimeError("Empty waiter is already set")
        waiter: asyncio.Future[None] = self._loop.create_future()
        if not self._flush():
            waiter.set_result(None)
        self._set_empty_waiter(waiter)
        return waiter

    def _reset_empty_waiter(self) -> None:
        self._set_empty_waiter(None)

    def __repr__(self) -> str:
        """Describe socket and state as asyncio does."""
        info = [self.__class__.__name__]
        if self._sock is None:
            info.append("closed")
        elif self._closing:
            info.append("closing")
        info.append(f"fd={self._sock_fd}")
        if self._loop is not None and not self._loop.is_closed():
            events = self._loop._interest(self._sock_fd)
            info.append("read=polling" if events & 1 else "read=idle")
            size = sum(len(chunk) for chunk in self._buffer)
            info.append(f"write=<{'polling' if events & 2 else 'idle'}, bufsize={size}>")
        return f"<{' '.join(info)}>"

    def __del__(self, _warn: Any = warnings.warn) -> None:
        """Warn about a transport that nobody closed, and close its socket."""
        if self._sock is None:
            return
        _warn(f"unclosed transport {self!r}", ResourceWarning, source=self)
        self._sock.close()
        if self._server is not None:
            with contextlib.suppress(Exception):
                versions.detach_from_server(self._server, self)


def _set_result_unless_cancelled(waiter: asyncio.Future[None]) -> None:
    if not waiter.cancelled():
        waiter.set_result(None)
