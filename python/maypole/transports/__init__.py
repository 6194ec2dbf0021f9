"""Transports of maypole loops: what happens once per connection; reading and writing are native.

- `stream`: `StreamTransport`, for TCP and Unix sockets.
- `tls`: `SSLProtocol` and `SSLTransport`, encryption above one.
- `datagram`: `DatagramTransport`, for UDP and Unix datagram sockets.
- `table`: `TransportTable`, which transport has which descriptor.
- `water_marks`: the checked water marks of a transport.

Each is imported when it is first used: a program without connections starts without them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maypole.transports.datagram import DatagramTransport, is_native
    from maypole.transports.stream import StreamTransport
    from maypole.transports.table import TransportTable
    from maypole.transports.tls import SSLProtocol

__all__ = ["DatagramTransport", "SSLProtocol", "StreamTransport", "TransportTable", "is_native"]

_HOMES = {
    "DatagramTransport": "datagram",
    "SSLProtocol": "tls",
    "StreamTransport": "stream",
    "TransportTable": "table",
    "is_native": "datagram",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = found
    return found
