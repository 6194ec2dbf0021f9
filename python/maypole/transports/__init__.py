"""Transports of maypole loops: what happens once per connection; reading and writing are native.

- `stream`: `StreamTransport`, for TCP and Unix sockets.
- `tls`: `SSLProtocol` and `SSLTransport`, encryption above one.
- `datagram`: `DatagramTransport`, for UDP and Unix datagram sockets.
- `water_marks`: the checked water marks of a transport.
"""

from maypole.transports.datagram import DatagramTransport
from maypole.transports.stream import StreamTransport

__all__ = ["DatagramTransport", "StreamTransport"]
