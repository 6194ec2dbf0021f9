"""Datagram endpoints get native transports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maypole.loop.inherited import MixedInto
from maypole.transports.datagram import DatagramTransport, is_native

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
        if not is_native(sock):
            return super()._make_datagram_transport(sock, protocol, address, waiter, extra)
        self._ensure_fd_no_transport(sock)
        return DatagramTransport(self, sock, protocol, address, waiter, extra)
