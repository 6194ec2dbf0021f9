"""Connections: accepting them, and giving them native transports."""

from __future__ import annotations

import _socket
import contextvars
import errno
import logging
import socket
from asyncio import constants, trsock
from typing import TYPE_CHECKING, Any

from maypole import versions
from maypole.loop.inherited import MixedInto
from maypole.transports.stream import StreamTransport
from maypole.transports.table import TransportTable

if TYPE_CHECKING:
    import asyncio
    import ssl
    from collections.abc import Callable, Mapping, MutableMapping

logger = logging.getLogger("asyncio")

NATIVE_FAMILIES = frozenset((socket.AF_INET, socket.AF_INET6, socket.AF_UNIX))
"""The families whose addresses the native half knows."""

OUT_OF_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class ConnectionsMixin(MixedInto):
    """Accepts connections and makes the transports of stream sockets."""

    @property
    def _transports(self) -> MutableMapping[int, asyncio.BaseTransport]:
        return TransportTable(self, self._other_transports)

    @_transports.setter
    def _transports(self, others: MutableMapping[int, asyncio.BaseTransport]) -> None:
        self._other_transports = others

    def _ensure_fd_no_transport(self, fd: int | socket.socket) -> None:
        fileno = fd
        if not isinstance(fileno, int):
            try:
                fileno = int(fileno.fileno())
            except (AttributeError, TypeError, ValueError):
                raise ValueError(f"Invalid file object: {fd!r}") from None
        transport = self._transport_at(fileno) or self._other_transports.get(fileno)
        if transport is not None and not transport.is_closing():
            raise RuntimeError(f"File descriptor {fd!r} is used by transport {transport!r}")

    def _accept_connection(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        sock: socket.socket,
        sslcontext: ssl.SSLContext | None = None,
        server: Any = None,
        backlog: int = 100,
        ssl_handshake_timeout: float | None = constants.SSL_HANDSHAKE_TIMEOUT,
        ssl_shutdown_timeout: float | None = constants.SSL_SHUTDOWN_TIMEOUT,
        context: contextvars.Context | None = None,
    ) -> None:
        """Accept what waits, at most `backlog` connections in one turn.

        A connection needs no task: its transport is there at once, and under TLS makes the handshake by
        itself. It is made natively, unless somebody wants to hear of it or has given a socket of their own
        class. From Python 3.15 on the server gives its context, and each connection has a copy of it.
        """
        timeouts = (ssl_handshake_timeout, ssl_shutdown_timeout)
        retry = (protocol_factory, sock, sslcontext, server, backlog, *timeouts)
        retry = (*retry, *versions.context_argument(context))
        if not self._debug and type(sock) is socket.socket:
            family, proto = _FAMILY(sock), _PROTO(sock)
            if family in NATIVE_FAMILIES:
                factory = protocol_factory
                if sslcontext:
                    factory = self._server_tls_factory(protocol_factory, sslcontext, *timeouts)
                make = (factory, server, context, StreamTransport)
                try:
                    self._accept_burst(sock, family, proto, *make, backlog)
                except OSError as exc:
                    self._accept_later(exc, sock, retry)
                return
        for _ in range(backlog):
            try:
                conn, addr = _accept(sock)
                if self._debug:
                    logger.debug("%r got a new connection from %r: %r", server, addr, conn)
                conn.setblocking(False)
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as exc:
                self._accept_later(exc, sock, retry)
                return
            extra = {"peername": addr}
            own = None if context is None else context.copy()
            if sslcontext:
                options = (*timeouts, *versions.context_argument(own))
                self.create_task(
                    self._accept_connection2(protocol_factory, conn, extra, sslcontext, server, *options),
                    context=own,
                )
            else:
                # What the factory sets in its context is for this connection alone.
                around = contextvars.copy_context() if own is None else own
                around.run(self._accept_plain, protocol_factory, conn, extra, server, own)

    def _accept_plain(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        conn: socket.socket,
        extra: dict[str, Any],
        server: Any,
        own: contextvars.Context | None,
    ) -> None:
        protocol = None
        try:
            protocol = protocol_factory()
            # No other transport can have the descriptor: the kernel has just given it out.
            StreamTransport(self, conn, protocol, None, extra, server, own)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as exc:
            if self._debug:
                context = {"message": "Error on transport creation for incoming connection", "exception": exc}
                if protocol is not None:
                    context["protocol"] = protocol
                self.call_exception_handler(context)

    def _accept_later(self, exc: OSError, sock: socket.socket, retry: tuple[Any, ...]) -> None:
        """Give the descriptors time to come back: a listening socket stays readable meanwhile."""
        if exc.errno not in OUT_OF_RESOURCES:
            raise exc
        self.call_exception_handler(
            {
                "message": "socket.accept() out of system resource",
                "exception": exc,
                "socket": trsock.TransportSocket(sock),
            }
        )
        self._remove_reader(sock.fileno())
        self.call_later(constants.ACCEPT_RETRY_DELAY, self._start_serving, *retry)

    def _make_socket_transport(
        self,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[None] | None = None,
        *,
        extra: Mapping[str, Any] | None = None,
        server: Any = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Transport:
        self._ensure_fd_no_transport(sock)
        return StreamTransport(self, sock, protocol, waiter, extra, server, context)


_FAMILY = _socket.socket.family.__get__
_TYPE = _socket.socket.type.__get__
_PROTO = _socket.socket.proto.__get__


def _accept(listener: socket.socket) -> tuple[socket.socket, Any]:
    """Accept as ``listener.accept()`` does, without the enumerations it makes of three numbers each time."""
    if type(listener) is not socket.socket:
        return listener.accept()
    fd, address = listener._accept()  # type: ignore[attr-defined]
    return socket.socket(_FAMILY(listener), _TYPE(listener), _PROTO(listener), fd), address
