"""`StreamTransport`: a connected TCP or Unix socket.

The native half reads, writes and keeps the flags; this half names the peers, closes, and tells the
protocol and the exception handler about the end, with asyncio's words.

Source: https://docs.python.org/3/library/asyncio-protocol.html#transports
"""

from __future__ import annotations

import asyncio
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

    The loop makes the transports of the connections that it accepts natively, without a socket object.

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

    __slots__ = ()

    _start_tls_compatible = True
    _sendfile_compatible = constants._SendfileMode.TRY_NATIVE

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
        versions.set_nodelay(sock)
        self._begin(loop, sock, protocol, context, server)
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

    @staticmethod
    def _open_socket(family: int, proto: int, fd: int) -> socket.socket:
        """Make the socket object of an accepted connection: the native half calls this.

        The object owns the descriptor when it is returned, and not when this raises.
        """
        sock = socket.socket.__new__(socket.socket)
        try:
            socket.socket.__init__(sock, family, socket.SOCK_STREAM, proto, fd)
            sock.setblocking(False)
        except BaseException:
            sock.detach()
            raise
        return sock

    @staticmethod
    def _share_socket(sock: socket.socket | None) -> trsock.TransportSocket:
        """Make what `get_extra_info` answers: the native half calls this, with None after the end."""
        return trsock.TransportSocket(sock if sock is not None else _closed_socket())

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
            self._shut_down()

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

    @staticmethod
    def _tell_empty_waiter(waiter: asyncio.Future[None]) -> None:
        """Say that everything is sent: the native half calls this."""
        if not waiter.done():
            waiter.set_result(None)

    @staticmethod
    def _fail_empty_waiter(waiter: asyncio.Future[None]) -> None:
        """Say that the connection ended first: the native half calls this."""
        if not waiter.done():
            waiter.set_exception(ConnectionError("Connection is closed by peer"))

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
        if not self._has_socket:
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

    def _warn_unclosed(self, _warn: Any = warnings.warn) -> None:
        """Warn of a transport that nobody closed: the native half calls this, and then closes it."""
        _warn(f"unclosed transport {self!r}", ResourceWarning, source=self)


def _closed_socket() -> socket.socket:
    sock = socket.socket.__new__(socket.socket)
    sock.detach()
    return sock


def _set_result_unless_cancelled(waiter: asyncio.Future[None]) -> None:
    if not waiter.cancelled():
        waiter.set_result(None)
