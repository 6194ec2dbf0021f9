"""The two ends of a TLS connection in tests: a protocol that takes notes, and a peer that can misbehave."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from harness.kinds import Loop
from harness.tls import client_context, server_context

T = TypeVar("T")


class Noting(asyncio.Protocol):
    """Notes each call of the loop, and lets a test wait for bytes and for the end."""

    def __init__(self) -> None:
        self.transport: Any = None
        self.data = bytearray()
        self.pieces: list[int] = []
        self.calls: list[str] = []
        loop = asyncio.get_running_loop()
        self.made: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[BaseException | None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.calls.append("made")
        self.made.set_result(None)

    def data_received(self, data: bytes) -> None:
        self.data += data
        self.pieces.append(len(data))

    def eof_received(self) -> bool | None:
        self.calls.append("eof")
        return None

    def pause_writing(self) -> None:
        self.calls.append("pause")

    def resume_writing(self) -> None:
        self.calls.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.calls.append("lost")
        self.lost.set_result(exc)

    async def until(self, size: int) -> bytes:
        """Wait for so many bytes, and take everything."""
        while len(self.data) < size:
            await asyncio.sleep(0)
        taken = bytes(self.data)
        self.data.clear()
        return taken


class Peer:
    """One end of a connection, record by record: it can stop, truncate and reset wherever a test wants."""

    def __init__(self, loop: Loop, sock: socket.socket, *, server_side: bool = True) -> None:
        self.loop = loop
        self.sock = sock
        self.sock.setblocking(False)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = server_context() if server_side else client_context()
        self.engine = context.wrap_bio(
            self.incoming,
            self.outgoing,
            server_side=server_side,
            server_hostname=None if server_side else "localhost",
        )

    async def flush(self) -> None:
        """Send what the engine has made."""
        await self.loop.sock_sendall(self.sock, self.outgoing.read())

    async def step(self, call: Callable[[], T]) -> T:
        """Repeat a call of the engine until it has the bytes it needs."""
        while True:
            try:
                result = call()
            except ssl.SSLWantReadError:
                await self.flush()
                data = await self.loop.sock_recv(self.sock, 65536)
                if not data:
                    raise EOFError from None
                self.incoming.write(data)
            else:
                await self.flush()
                return result

    async def handshake(self) -> None:
        await self.step(self.engine.do_handshake)

    async def read(self, size: int) -> bytes:
        """Read exactly so many bytes."""
        data = b""
        while len(data) < size:
            data += await self.step(partial(self.engine.read, size - len(data)))
        return data

    async def read_to_the_end(self) -> tuple[bytes, str]:
        """All bytes, and how the other side ended: by `close_notify`, `eof` or `reset`."""
        data = b""
        try:
            while True:
                piece = await self.step(lambda: self.engine.read(65536))
                if not piece:
                    return data, "close_notify"
                data += piece
        except ssl.SSLZeroReturnError:
            return data, "close_notify"
        except EOFError:
            return data, "eof"
        except ConnectionResetError:
            return data, "reset"

    def records(self, data: bytes, size: int = 16384) -> bytes:
        """Encrypt, in records of this size, without sending."""
        for first in range(0, len(data), size):
            self.engine.write(data[first : first + size])
        return self.outgoing.read()

    async def send(self, data: bytes) -> None:
        """Send these bytes as they are."""
        await self.loop.sock_sendall(self.sock, data)

    def close_notify(self) -> bytes:
        """Return the record that says that no more data comes."""
        try:
            self.engine.unwrap()
        except ssl.SSLWantReadError:
            pass
        return self.outgoing.read()

    def reset(self) -> None:
        """Close so that the other side sees ECONNRESET."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


async def client_and_peer(
    loop: Loop, factory: Callable[[], Any] = Noting, *, shake: bool = True, **options: Any
) -> tuple[Any, Peer]:
    """Connect a protocol as the TLS client of a peer that the test drives."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        connecting = asyncio.ensure_future(
            loop.create_connection(
                factory, *listener.getsockname(), ssl=client_context(), server_hostname="localhost", **options
            )
        )
        sock, _ = await loop.sock_accept(listener)
    peer = Peer(loop, sock)
    if not shake:
        return connecting, peer
    await peer.handshake()
    _, protocol = await connecting
    return protocol, peer


async def both_ends(
    loop: Loop, factory: Callable[[], Any] = Noting, server_factory: Callable[[], Any] = Noting
) -> tuple[Any, Any]:
    """Connect two protocols; returns the client's and the server's."""
    accepted: asyncio.Future[Any] = loop.create_future()

    def accept() -> Any:
        protocol = server_factory()
        accepted.set_result(protocol)
        return protocol

    server = await loop.create_server(accept, "127.0.0.1", 0, ssl=server_context())
    _, client = await loop.create_connection(
        factory, *server.sockets[0].getsockname(), ssl=client_context(), server_hostname="localhost"
    )
    theirs = await accepted
    await theirs.made
    server.close()
    return client, theirs


async def close_both(client: Any, theirs: Any) -> None:
    """Close the client, and wait until both know."""
    client.transport.close()
    await asyncio.wait_for(asyncio.gather(client.lost, theirs.lost), 10)
