"""Datagram endpoints get native transports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maypole import transports
from maypole.loop.inherited import MixedInto

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Mapping


class DatagramsMixin(MixedInto):
    """Makes the transports of datagram sockets."""

    def _make_datagram_transport(
        self,
        sock: socket.socket,
        protocol: asyncio.BaseProtocol,
        address: Any = None,
        waiter: asyncio.Future[None] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> asyncio.BaseTransport:
        if not transports.is_native(sock):
            return super()._make_datagram_transport(sock, protocol, address, waiter, extra)
        self._ensure_fd_no_transport(sock)
        return transports.DatagramTransport(self, sock, protocol, address, waiter, extra)
