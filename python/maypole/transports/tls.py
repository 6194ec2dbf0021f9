"""TLS between a stream transport and a protocol: asyncio's own state machine around a native data phase.

Handshake, shutdown, errors and time limits are inherited from `asyncio.sslproto`, and happen once for each
connection. Decrypting, encrypting and flow control are native. Both halves share their fields, under
asyncio's names.

Source: CPython, `Lib/asyncio/sslproto.py`.
"""

from __future__ import annotations

import logging
from asyncio import constants, sslproto
from typing import TYPE_CHECKING, Any

from maypole import _maypole

if TYPE_CHECKING:
    _Protocol = Any
    _Transport = Any
else:
    _Protocol = sslproto.SSLProtocol
    _Transport = sslproto._SSLProtocolTransport

logger = logging.getLogger("asyncio")

FOREIGN_READ_BYTES = 64 * 1024
"""How much is read at once from a transport that is not maypole's own."""


class SSLTransport(_maypole.TLSTransport, _Transport):  # type: ignore[misc]
    """What an application holds under TLS; asyncio's class, with native writing."""


class SSLProtocol(_maypole.TLSProtocol, _Protocol):  # type: ignore[misc]
    """Encryption between a transport and an application's protocol.

    The arguments, states, errors and texts are those of ``asyncio.sslproto.SSLProtocol``.
    """

    # A native transport hands its bytes over; a buffer for each connection is made only for others.
    max_size = 0

    _app_transport: Any
    _app_transport_created: bool
    _ssl_buffer: bytearray
    _ssl_buffer_view: memoryview

    def _get_app_transport(self) -> SSLTransport:
        if self._app_transport is None:
            if self._app_transport_created:
                raise RuntimeError("Creating _SSLProtocolTransport twice")
            self._app_transport = SSLTransport(self._loop, self)
            self._app_transport_created = True
        return self._app_transport  # type: ignore[no-any-return]

    def get_buffer(self, n: int) -> memoryview:
        """Return memory for a transport that is not maypole's own."""
        if not self._ssl_buffer:
            self._ssl_buffer = bytearray(FOREIGN_READ_BYTES)
            self._ssl_buffer_view = memoryview(self._ssl_buffer)
        return self._ssl_buffer_view

    def _set_state(self, new_state: sslproto.SSLProtocolState) -> None:
        self._encrypt()  # asyncio encrypts when the application writes: before any later change of state
        super()._set_state(new_state)

    def _get_write_buffer_size(self) -> int:
        self._encrypt()
        return super()._get_write_buffer_size()  # type: ignore[no-any-return]

    def _abort(self, *exc: BaseException | None) -> None:
        self._send_now()
        super()._abort(*exc)

    def _fatal_error(self, exc: BaseException, message: str = "Fatal error on transport") -> None:
        self._send_now()
        super()._fatal_error(exc, message)

    def _send_now(self) -> None:
        """Send what asyncio would have sent already, before the connection is cut."""
        self._encrypt()
        transport = self._transport
        if isinstance(transport, _maypole.StreamTransport) and transport._loop is not None:
            transport._flush()

    def _write_after_close(self) -> None:
        """Count what is written to a closed connection: the native half calls this."""
        if self._conn_lost >= constants.LOG_THRESHOLD_FOR_CONNLOST_WRITES:
            logger.warning("SSL connection is closed")
        self._conn_lost += 1
