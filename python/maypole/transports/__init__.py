"""Transports of maypole loops: what happens once per connection; reading and writing are native.

- `stream`: `StreamTransport`, for TCP and Unix sockets.
"""

from maypole.transports.stream import StreamTransport

__all__ = ["StreamTransport"]
