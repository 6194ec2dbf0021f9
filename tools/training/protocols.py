"""The protocols of the servers."""

from __future__ import annotations

import asyncio


class Echo(asyncio.Protocol):
    """Sends back what it receives, now and then in two pieces."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer."""
        if len(data) < 1024:
            self.transport.write(data)
        else:
            self.transport.write(data[:512])
            self.transport.write(data[512:])


class BufferedEcho(asyncio.BufferedProtocol):
    """The same with a buffer of its own."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.buffer = transport, bytearray(16_384)

    def get_buffer(self, sizehint: int) -> bytearray:
        """Lend the buffer."""
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Answer."""
        self.transport.write(bytes(self.buffer[:nbytes]))


class DatagramEcho(asyncio.DatagramProtocol):
    """The same for datagrams."""

    transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.DatagramTransport)
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer."""
        self.transport.sendto(data, addr)


class Collect(asyncio.DatagramProtocol):
    """A client of datagrams: it hands on what comes.

    Args:
        answers: where to.
    """

    def __init__(self, answers: asyncio.Queue[bytes]) -> None:
        self.answers = answers

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Hand it on."""
        self.answers.put_nowait(data)
