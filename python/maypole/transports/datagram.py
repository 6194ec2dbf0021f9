"""`DatagramTransport`: a UDP or Unix datagram socket.

The native half receives, sends and keeps the flags; this half names the peers, closes, and tells the protocol
and the exception handler about the end, with asyncio's words.

Source: https://docs.python.org/3/library/asyncio-protocol.html#datagram-transports
"""

from __future__ import annotations

import asyncio
import logging
import socket
import warnings
from asyncio import constants, trsock
from typing import TYPE_CHECKING, Any

from maypole import _maypole
from maypole.transports.water_marks import water_marks

if TYPE_CHECKING:
    from collections.abc import Mapping

    from maypole.loop.inherited import MixedInto

logger = logging.getLogger("asyncio")

FAMILIES = frozenset((socket.AF_INET, socket.AF_INET6, socket.AF_UNIX))
"""The families whose addresses the native half knows."""


def is_native(sock: Any) -> bool:
    """Say whether datagrams of this socket need nothing of its Python class.

    A class with its own `recvfrom` or `send` wants to be called, and so does a family whose addresses only
    `socket` knows.
    """
    if not isinstance(sock, socket.socket) or sock.family not in FAMILIES:
        return False
    methods = ("recvfrom", "send", "sendto")
    return all(getattr(type(sock), name) is getattr(socket.socket, name) for name in methods)


class DatagramTransport(_maypole.DatagramTransport, asyncio.DatagramTransport):
    """A datagram socket between a loop and a protocol.

    Args:
        loop: the maypole loop that the socket belongs to.
        sock: the non-blocking socket; the transport closes it.
        protocol: what receives the datagrams.
        address: the one address to send to, if the socket is connected.
        waiter: a future that is done once `connection_made` was called.
        extra: further answers of `get_extra_info`.
    """

    _sock: socket.socket | None = None

    def __init__(
        self,
        loop: MixedInto,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        address: Any = None,
        waiter: asyncio.Future[None] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        asyncio.BaseTransport.__init__(self, extra)
        self._name_peers(sock)
        self._sock = sock
        connected = bool(self._extra["peername"])
        self._begin(loop, sock.fileno(), sock.family, protocol, address, connected)
        loop._transports[self._sock_fd] = self
        loop.call_soon(protocol.connection_made, self)
        # Receiving starts only when connection_made() was called.
        loop.call_soon(self._start_reading)
        if waiter is not None:
            loop.call_soon(_set_result_unless_cancelled, waiter)

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

    def pause_reading(self) -> None:
        """Stop receiving until `resume_reading`."""
        if self._pause_reading() and self._loop.get_debug():
            logger.debug("%r pauses reading", self)

    def resume_reading(self) -> None:
        """Receive again."""
        if self._resume_reading() and self._loop.get_debug():
            logger.debug("%r resumes reading", self)

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

    def close(self) -> None:
        """Stop receiving, send what waits, then tell the protocol that the endpoint is closed."""
        if self._closing:
            return
        if self._begin_closing():
            self._lose()
            self._loop.call_soon(self._call_connection_lost, None)

    def abort(self) -> None:
        """Close at once; what the socket has not taken is lost."""
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
        if self._conn_lost:
            return
        self._lose()
        self._loop.call_soon(self._call_connection_lost, exc)

    def _call_connection_lost(self, exc: BaseException | None) -> None:
        try:
            self._protocol.connection_lost(exc)
        finally:
            sock, self._sock = self._sock, None
            self._end()
            if sock is not None:
                sock.close()

    def _all_sent(self) -> None:
        """Go on after the last waiting datagram of a closing transport: the native half calls this."""
        self._lose()
        self._call_connection_lost(None)

    def _send_through_socket(self, data: bytes, addr: Any) -> None:
        """Send to what is no plain address: the native half calls this."""
        self._sock.sendto(data, addr)  # type: ignore[union-attr]  # the AttributeError after the end is asyncio's

    def _warn_lost(self, calls: int) -> None:
        """Warn a protocol that goes on sending after the loss: the native half calls this."""
        if calls >= constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES:
            logger.warning("socket.send() raised exception.")

    def _report_callback_failure(self, exception: BaseException, callback: str) -> None:
        """Tell the exception handler what the protocol raised: the native half calls this.

        asyncio reads in a callback of the loop, which is what its exception handler is told of.
        """
        handle = asyncio.Handle(getattr(self, callback), (), self._loop, self._context)
        self._loop._report_callback_failure(handle, exception)

    def _read_ready(self) -> None:
        """Receive what is there; the loop does so without this method, which names the place in messages."""
        self._run_ready(True)

    def _sendto_ready(self) -> None:
        """Send what waits; the loop does so without this method, which names the place in messages."""
        self._run_ready(False)

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
            polling = "polling" if events & 2 else "idle"
            info.append(f"write=<{polling}, bufsize={self.get_write_buffer_size()}>")
        return f"<{' '.join(info)}>"

    def __del__(self, _warn: Any = warnings.warn) -> None:
        """Warn about a transport that nobody closed, and close its socket."""
        if self._sock is not None:
            _warn(f"unclosed transport {self!r}", ResourceWarning, source=self)
            self._sock.close()


def _set_result_unless_cancelled(waiter: asyncio.Future[None]) -> None:
    if not waiter.cancelled():
        waiter.set_result(None)
