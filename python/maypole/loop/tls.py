"""TLS connections of a loop: accepted, made, and upgraded from plain ones."""

from __future__ import annotations

from asyncio import StreamReaderProtocol, constants
from typing import TYPE_CHECKING, Any

from maypole.loop.inherited import MixedInto
from maypole.transports.stream import StreamTransport
from maypole.transports.tls import SSLProtocol

try:
    import ssl
except ImportError:  # a Python that was built without it
    ssl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import asyncio
    import contextvars
    import socket
    from collections.abc import Callable, Mapping


class TLSMixin(MixedInto):
    """Puts TLS between transports and protocols."""

    def _make_ssl_transport(
        self,
        rawsock: socket.socket,
        protocol: asyncio.BaseProtocol,
        sslcontext: ssl.SSLContext,
        waiter: asyncio.Future[None] | None = None,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        extra: Mapping[str, Any] | None = None,
        server: Any = None,
        ssl_handshake_timeout: float | None = constants.SSL_HANDSHAKE_TIMEOUT,
        ssl_shutdown_timeout: float | None = constants.SSL_SHUTDOWN_TIMEOUT,
        context: contextvars.Context | None = None,
    ) -> asyncio.Transport:
        self._ensure_fd_no_transport(rawsock)
        ssl_protocol = SSLProtocol(
            self,
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        StreamTransport(self, rawsock, ssl_protocol, extra=extra, server=server, context=context)
        app_transport: asyncio.Transport = ssl_protocol._app_transport
        return app_transport

    def _server_tls_factory(
        self,
        protocol_factory: Callable[[], asyncio.BaseProtocol],
        sslcontext: ssl.SSLContext,
        ssl_handshake_timeout: float | None,
        ssl_shutdown_timeout: float | None,
    ) -> Callable[[], SSLProtocol]:
        def make() -> SSLProtocol:
            return SSLProtocol(
                self,
                protocol_factory(),
                sslcontext,
                None,  # nobody waits: the protocol tells of the end of the handshake, or closes
                server_side=True,
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
            )

        return make

    async def start_tls(
        self,
        transport: Any,
        protocol: asyncio.BaseProtocol,
        sslcontext: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> asyncio.Transport | None:
        """Upgrade a connection to TLS, and return the transport that the protocol uses from now on.

        Args:
            transport: the connection; nobody uses it any more.
            protocol: what goes on receiving.
            sslcontext: the certificates and rules of this side.
            server_side: whether this side shows the certificate.
            server_hostname: the name that the certificate of the other side must have.
            ssl_handshake_timeout: seconds; 60 if None.
            ssl_shutdown_timeout: seconds; 30 if None.

        Raises:
            TypeError: for a context that is none, or a transport that cannot be upgraded.
            OSError: what breaks the handshake, mostly an ``ssl.SSLError``.

        Cancelling it closes the connection.

        Source: CPython, ``asyncio.base_events.BaseEventLoop.start_tls``.
        """
        if ssl is None:
            raise RuntimeError("Python ssl module is not available")
        if not isinstance(sslcontext, ssl.SSLContext):
            raise TypeError(f"sslcontext is expected to be an instance of ssl.SSLContext, got {sslcontext!r}")
        if not getattr(transport, "_start_tls_compatible", False):
            raise TypeError(f"transport {transport!r} is not supported by start_tls()")
        waiter = self.create_future()
        ssl_protocol = SSLProtocol(
            self,
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
            call_connection_made=False,
        )
        # Nothing may come before connection_made().
        transport.pause_reading()
        if server_side:
            _take_over_read_ahead(protocol, ssl_protocol)
        transport.set_protocol(ssl_protocol)
        made = self.call_soon(ssl_protocol.connection_made, transport)
        resumed = self.call_soon(transport.resume_reading)
        try:
            await waiter
        except BaseException:
            transport.close()
            made.cancel()
            resumed.cancel()
            del waiter  # its exception's traceback holds this frame: a cycle otherwise
            raise
        app_transport: asyncio.Transport | None = ssl_protocol._app_transport
        return app_transport


def _take_over_read_ahead(protocol: Any, ssl_protocol: SSLProtocol) -> None:
    """Give the engine what a stream reader has read too much: it is the beginning of the handshake.

    Without this the handshake waits for bytes that have come already, and they are later read as if they
    had been encrypted. Newer releases of CPython do the same.
    """
    reader = getattr(protocol, "_stream_reader", None) if isinstance(protocol, StreamReaderProtocol) else None
    if reader is not None and reader._buffer:
        ssl_protocol._incoming.write(reader._buffer)
        reader._buffer.clear()
