"""The operations that are cancelled at each of their awaits: what opens descriptors, and what moves bytes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.tls import client_context, server_context
from torture.peers import RememberingServer


@dataclass
class Surroundings:
    """What the operations talk to; it outlives all the loops."""

    tcp: RememberingServer = field(default_factory=lambda: RememberingServer(socket.AF_INET))
    unix: RememberingServer = field(default_factory=lambda: RememberingServer(socket.AF_UNIX))
    tls: RememberingServer = field(
        default_factory=lambda: RememberingServer(socket.AF_INET, server_context())
    )
    folder: tempfile.TemporaryDirectory[str] = field(default_factory=tempfile.TemporaryDirectory)
    number: int = 0

    @property
    def message(self) -> bytes:
        """What a client of this round sends."""
        return f"<round {self.number}>".encode()

    def path(self, name: str) -> str:
        """A file of this round."""
        return str(Path(self.folder.name) / f"{name}-{self.number}")

    def close(self) -> None:
        """End the servers."""
        for server in (self.tcp, self.unix, self.tls):
            server.close()
        self.folder.cleanup()

    @property
    def complaints(self) -> list[str]:
        """What the servers got and should not have got."""
        return [*self.tcp.complaints, *self.unix.complaints, *self.tls.complaints]


Operation = Callable[[Surroundings], Awaitable[None]]
OPERATIONS: dict[str, Operation] = {}


def operation(body: Operation) -> Operation:
    """Add an operation under its name."""
    OPERATIONS[body.__name__] = body
    return body


class Talk(asyncio.Protocol):
    """Waits for the message to come back, and for the end."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.received = bytearray()
        self.enough: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.received.endswith(b">") and not self.enough.done():
            self.enough.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        for future in (self.enough, self.lost):
            if not future.done():
                future.set_result(None)


async def talk(transport: Any, protocol: Talk, around: Surroundings) -> None:
    """Send the message, get it back, close."""
    try:
        transport.write(around.message)
        await protocol.enough
        assert bytes(protocol.received) == around.message, bytes(protocol.received)
    finally:
        transport.close()
    await protocol.lost


@operation
async def connect_tcp(around: Surroundings) -> None:
    loop = asyncio.get_running_loop()
    await talk(*await loop.create_connection(Talk, "127.0.0.1", around.tcp.port), around)


@operation
async def connect_by_name(around: Surroundings) -> None:
    loop = asyncio.get_running_loop()
    both = await loop.create_connection(Talk, "localhost", around.tcp.port, happy_eyeballs_delay=0.01)
    await talk(*both, around)


@operation
async def connect_unix(around: Surroundings) -> None:
    loop = asyncio.get_running_loop()
    await talk(*await loop.create_unix_connection(Talk, around.unix.address), around)


@operation
async def connect_tls(around: Surroundings) -> None:
    loop = asyncio.get_running_loop()
    both = await loop.create_connection(Talk, "localhost", around.tls.port, ssl=client_context())
    await talk(*both, around)


@operation
async def start_tls(around: Surroundings) -> None:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_connection(Talk, "127.0.0.1", around.tls.port)
    context = client_context()
    upgraded = await loop.start_tls(transport, protocol, context, server_hostname="localhost")
    await talk(upgraded, protocol, around)


@operation
async def streams(around: Surroundings) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", around.tcp.port)
    try:
        writer.write(around.message)
        await writer.drain()
        assert await reader.readuntil(b">") == around.message
    finally:
        writer.close()
    await writer.wait_closed()


@operation
async def sock_methods(around: Surroundings) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, ("127.0.0.1", around.tcp.port))
        await loop.sock_sendall(sock, around.message)
        received = b""
        while not received.endswith(b">"):
            received += await loop.sock_recv(sock, 100)
        assert received == around.message


@operation
async def sendfile(around: Surroundings) -> None:
    loop = asyncio.get_running_loop()
    path = Path(around.path("file"))
    path.write_bytes(around.message)
    transport, protocol = await loop.create_connection(Talk, "127.0.0.1", around.tcp.port)
    try:
        with path.open("rb") as file:
            await loop.sendfile(transport, file)
        await protocol.enough
    finally:
        transport.close()
    await protocol.lost


@operation
async def accept(around: Surroundings) -> None:
    """`create_server`, a client, `wait_closed`."""
    loop = asyncio.get_running_loop()
    made: asyncio.Future[Talk] = loop.create_future()

    def factory() -> Talk:
        protocol = Talk()
        if not made.done():
            made.set_result(protocol)
        return protocol

    server = await loop.create_server(factory, "127.0.0.1", 0)
    try:
        with socket.socket() as client:
            client.setblocking(False)
            await loop.sock_connect(client, server.sockets[0].getsockname())
            protocol = await made
            await loop.sock_sendall(client, around.message)
            await protocol.enough
        await protocol.lost
    finally:
        server.close()
    await server.wait_closed()


@operation
async def accept_tls(around: Surroundings) -> None:
    """A server and a client with TLS on one loop, through streams."""
    done = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(await reader.read(100))
            writer.close()
            await writer.wait_closed()
        if not done.done():
            done.set_result(None)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=server_context())
    try:
        host, port = server.sockets[0].getsockname()
        context = client_context()
        reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname="localhost")
        try:
            writer.write(around.message)
            assert await reader.read(100) == around.message
        finally:
            writer.close()
        await writer.wait_closed()
        await done
    finally:
        server.close()


@operation
async def accept_and_start_tls(around: Surroundings) -> None:
    """A server that upgrades what it has accepted."""
    loop = asyncio.get_running_loop()
    upgraded = loop.create_future()

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await writer.start_tls(server_context())
        finally:
            writer.close()
            if not upgraded.done():
                upgraded.set_result(None)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        address = server.sockets[0].getsockname()
        context = client_context()
        both = await loop.create_connection(Talk, *address, ssl=context, server_hostname="localhost")
        both[0].close()
        await both[1].lost
        await upgraded
    finally:
        server.close()


@operation
async def sock_accept(around: Surroundings) -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        listener.setblocking(False)
        client.setblocking(False)
        accepting = asyncio.ensure_future(loop.sock_accept(listener))
        try:
            await loop.sock_connect(client, listener.getsockname())
            peer, _ = await asyncio.shield(accepting)
            with peer:
                await loop.sock_sendall(client, around.message)
                assert await loop.sock_recv(peer, 100) == around.message
        finally:
            # The result of an accept that nobody waits for any more would be closed by the collector only.
            if not accepting.cancel() and not accepting.cancelled():
                accepting.result()[0].close()


@operation
async def unix_server(around: Surroundings) -> None:
    path = around.path("server")
    server = await asyncio.start_unix_server(lambda _, writer: writer.close(), path)
    try:
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            assert await reader.read() == b""
        finally:
            writer.close()
        await writer.wait_closed()
    finally:
        server.close()
    await server.wait_closed()


@operation
async def datagrams(around: Surroundings) -> None:
    loop = asyncio.get_running_loop()

    class Once(asyncio.DatagramProtocol):
        def __init__(self) -> None:
            self.got: asyncio.Future[bytes] = loop.create_future()

        def datagram_received(self, data: bytes, addr: object) -> None:
            self.got.set_result(data)

    here, protocol = await loop.create_datagram_endpoint(Once, ("127.0.0.1", 0))
    try:
        address = here.get_extra_info("sockname")
        there, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=address)
        try:
            there.sendto(around.message)
            assert await protocol.got == around.message
        finally:
            there.close()
    finally:
        here.close()


@operation
async def subprocess_exec(around: Surroundings) -> None:
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec("cat", stdin=pipe, stdout=pipe, stderr=pipe)
    try:
        assert await child.communicate(around.message) == (around.message, b"")
    finally:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
    assert await child.wait() in (0, -9)


@operation
async def subprocess_shell(around: Surroundings) -> None:
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_shell("echo there; exit 3", stdout=pipe)
    assert child.stdout is not None
    assert await child.stdout.read() == b"there\n"
    assert await child.wait() == 3


@operation
async def pipes(around: Surroundings) -> None:
    loop = asyncio.get_running_loop()
    read_fd, write_fd = os.pipe()
    reading, writing = os.fdopen(read_fd, "rb", 0), os.fdopen(write_fd, "wb", 0)
    reader = asyncio.StreamReader()
    try:
        incoming, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), reading)
        try:
            outgoing, _ = await loop.connect_write_pipe(asyncio.Protocol, writing)
            try:
                outgoing.write(around.message)
                assert await reader.readuntil(b">") == around.message
            finally:
                outgoing.close()
            assert await reader.read() == b""
        finally:
            incoming.close()
    finally:
        # Transports own their pipes; before they are made, the program does.
        if "incoming" not in locals():
            reading.close()
        if "outgoing" not in locals():
            writing.close()


@operation
async def look_up(around: Surroundings) -> None:
    loop = asyncio.get_running_loop()
    assert await loop.getaddrinfo("localhost", around.tcp.port)
    assert await loop.getnameinfo(("127.0.0.1", around.tcp.port))


@operation
async def executor(around: Surroundings) -> None:
    loop = asyncio.get_running_loop()
    assert await loop.run_in_executor(None, sys.intern, "a") == "a"
    assert await asyncio.to_thread(sys.intern, "b") == "b"
