"""Echo servers: by protocol, buffered protocol, streams and sock_*, over TCP, Unix sockets and TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any

from measuring.scenario import Load, Tier, scenario

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from measuring.bench import Bench

CERTIFICATES = Path(__file__).resolve().parent / "certificates"
#: Longer than any burst of the load generator, so that no connection waits for a second attempt.
BACKLOG = 1024
RECEIVE_BYTES = 256 * 1024
PIECES = 8


class Echo(asyncio.Protocol):
    """Writes what it is given."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class PiecesEcho(Echo):
    """Writes it in eight pieces, as a handler does that writes head, separator, body one by one."""

    def data_received(self, data: bytes) -> None:
        step = max(1, -(-len(data) // PIECES))
        for first in range(0, len(data), step):
            self.transport.write(data[first : first + step])


class BufferedEcho(asyncio.BufferedProtocol):
    """Receives into a buffer of its own."""

    def __init__(self) -> None:
        # asyncio's TLS slices what it is given and fills the slice: that of a bytearray would be a copy.
        self.view = memoryview(bytearray(64 * 1024))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.view

    def buffer_updated(self, nbytes: int) -> None:
        # A transport may keep what it could not send, and the buffer is used again: hence the copy.
        self.transport.write(bytes(self.view[:nbytes]))


async def echo_stream(reader: Any, writer: Any) -> None:
    """Streams, whatever has come."""
    while data := await reader.read(64 * 1024):
        writer.write(data)
        await writer.drain()
    writer.close()


async def echo_exactly(reader: Any, writer: Any) -> None:
    """Streams, one message of 1 KiB at a time."""
    try:
        while True:
            writer.write(await reader.readexactly(1024))
            await writer.drain()
    except asyncio.IncompleteReadError:
        writer.close()


async def echo_lines(reader: Any, writer: Any) -> None:
    """Streams, one line at a time."""
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()


async def echo_lines_undrained(reader: Any, writer: Any) -> None:
    """The same without `drain`."""
    while line := await reader.readline():
        writer.write(line)
    writer.close()


async def echo_pieces(reader: Any, writer: Any) -> None:
    """Streams, one line at a time, written in eight pieces."""
    while line := await reader.readline():
        step = max(1, -(-len(line) // PIECES))
        for first in range(0, len(line), step):
            writer.write(line[first : first + step])
        await writer.drain()
    writer.close()


def tls_context(bench: Bench) -> ssl.SSLContext | None:
    """The server's certificate, for scenarios that speak TLS."""
    if not bench.param("tls"):
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "server.pem", CERTIFICATES / "server.key")
    return context


def host_and_port(address: str) -> tuple[str, int]:
    """The two parts of a TCP address.

    >>> host_and_port("tcp:127.0.0.1:8000")
    ('127.0.0.1', 8000)
    """
    host, _, port = address.removeprefix("tcp:").rpartition(":")
    return host, int(port)


def place(address: str) -> tuple[str, int] | str:
    """`(host, port)` of a TCP address, or the path of a Unix socket.

    >>> place("tcp:127.0.0.1:8000"), place("unix:/tmp/x")
    (('127.0.0.1', 8000), '/tmp/x')
    """
    return address.removeprefix("unix:") if address.startswith("unix:") else host_and_port(address)


async def serve_protocol(bench: Bench, factory: Callable[[], asyncio.BaseProtocol]) -> object:
    """A server of protocols where the load generator looks for it."""
    loop, where, context = asyncio.get_running_loop(), place(bench.address), tls_context(bench)
    if isinstance(where, str):
        return await loop.create_unix_server(factory, where, backlog=BACKLOG, ssl=context)
    return await loop.create_server(factory, *where, backlog=BACKLOG, ssl=context)


async def serve_streams(bench: Bench, handler: Callable[[Any, Any], Awaitable[None]]) -> object:
    """A server of streams where the load generator looks for it."""
    where, context = place(bench.address), tls_context(bench)
    if isinstance(where, str):
        return await bench.api.start_unix_server(handler, where, backlog=BACKLOG, ssl=context)
    return await bench.api.start_server(handler, *where, backlog=BACKLOG, ssl=context)


async def protocol(bench: Bench) -> object:
    """Echo by `asyncio.Protocol`."""
    return await serve_protocol(bench, Echo)


async def buffered(bench: Bench) -> object:
    """Echo by `asyncio.BufferedProtocol`."""
    return await serve_protocol(bench, BufferedEcho)


async def pieces(bench: Bench) -> object:
    """Echo by a protocol that writes eight times."""
    return await serve_protocol(bench, PiecesEcho)


async def streams(bench: Bench) -> object:
    """Echo by streams."""
    return await serve_streams(bench, echo_stream)


async def exactly(bench: Bench) -> object:
    """Echo by `readexactly`."""
    return await serve_streams(bench, echo_exactly)


async def lines(bench: Bench) -> object:
    """Echo by `readline`."""
    return await serve_streams(bench, echo_lines)


async def lines_undrained(bench: Bench) -> object:
    """Echo by `readline`, never drained."""
    return await serve_streams(bench, echo_lines_undrained)


async def line_pieces(bench: Bench) -> object:
    """Echo by `readline`, written in eight pieces."""
    return await serve_streams(bench, echo_pieces)


async def sock(bench: Bench) -> object:
    """Echo by `sock_accept`, `sock_recv` and `sock_sendall`, a task for each connection."""
    loop, where = asyncio.get_running_loop(), place(bench.address)
    listener = socket.socket(socket.AF_UNIX if isinstance(where, str) else socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(where)
    listener.listen(BACKLOG)
    listener.setblocking(False)
    tasks: set[asyncio.Task[None]] = set()

    async def talk(peer: socket.socket) -> None:
        with peer:
            if peer.family == socket.AF_INET:
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := await loop.sock_recv(peer, RECEIVE_BYTES):
                await loop.sock_sendall(peer, data)

    async def accept() -> None:
        while True:
            peer, _ = await loop.sock_accept(listener)
            peer.setblocking(False)
            task = asyncio.create_task(talk(peer))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    accepting = asyncio.create_task(accept())
    return accepting, tasks, listener


BY_STYLE = {"protocol": protocol, "buffered": buffered, "streams": streams, "sock": sock}
STREAMS = frozenset({"start_server", "start_unix_server"})
SIZES = {"1KiB": 1024, "10KiB": 10 * 1024, "100KiB": 100 * 1024}
#: Requests that one process measures: about as long at each size.
REQUESTS = {"1KiB": 20_000, "10KiB": 10_000, "100KiB": 2_000}
QUICK = {"tcp.protocol.1KiB.100c", "unix.protocol.1KiB.100c", "tls.protocol.1KiB.100c"}


def register_grid() -> None:
    """All sizes and all numbers of connections; those at 1 KiB or 100 connections are the standard ones."""
    for over in ("tcp", "unix", "tls"):
        for style, body in BY_STYLE.items():
            if over == "tls" and style == "sock":
                continue  # asyncio's sock_* functions speak no TLS
            for size_name, size in SIZES.items():
                for connections in (1, 10, 100, 1000):
                    register(over, style, body, size_name, size, connections)


def register(
    over: str, style: str, body: Callable[[Bench], Any], size_name: str, size: int, connections: int
) -> None:
    """One cell of the grid."""
    name = f"{over}.{style}.{size_name}.{connections}c"
    standard = connections == 100 or (size_name == "1KiB" and (over == "tcp" or connections == 1))
    count = REQUESTS[size_name] // (4 if connections == 1 else 1)
    scenario(
        name,
        count=count,
        unit="request",
        tier=Tier.QUICK if name in QUICK else Tier.STANDARD if standard else Tier.COMPLETE,
        params={"tls": over == "tls"},
        uses=STREAMS if style == "streams" else frozenset(),
        floor=over != "tls" and style == "protocol",
        load=Load("echo", over, size, connections),
    )(body)


def register_others() -> None:
    """Writing in pieces, lines, exact messages, connections that come and go, idle connections."""
    plain = {"tls": 0}
    many = Load("echo", "tcp", 1024, 100)
    line = Load("lines", "tcp", 100, 100)
    served: list[tuple[str, Callable[[Bench], Any], Load, Tier, frozenset[str]]] = [
        ("tcp.pieces.1KiB.100c", pieces, many, Tier.QUICK, frozenset()),
        ("tcp.readline.100c", lines, line, Tier.QUICK, STREAMS),
        ("tcp.readline_undrained.100c", lines_undrained, line, Tier.STANDARD, STREAMS),
        ("tcp.readline_pieces.100c", line_pieces, line, Tier.STANDARD, STREAMS),
        ("tcp.readexactly.1KiB.100c", exactly, many, Tier.STANDARD, STREAMS),
    ]
    for name, body, load, tier, uses in served:
        scenario(
            name,
            count=20_000,
            unit="request",
            tier=tier,
            params=plain,
            uses=uses,
            load=load,
            floor=name.endswith("readline.100c"),
        )(body)
    for over in ("tcp", "unix", "tls"):
        scenario(
            f"{over}.churn.10c",
            count=500 if over == "tls" else 2_000,
            unit="connection",
            limit_s=20.0,
            params={"tls": over == "tls"},
            floor=over != "tls",
            load=Load("churn", over, 64, 10),
        )(protocol)
    scenario(
        "tcp.idle_10k.protocol.100c",
        count=10_000,
        unit="request",
        params=plain,
        floor=True,
        load=Load("echo", "tcp", 1024, 100, idle=10_000),
    )(protocol)
    scenario(
        "tcp.idle_10k.streams.100c",
        count=10_000,
        unit="request",
        params=plain,
        uses=STREAMS,
        load=Load("echo", "tcp", 1024, 100, idle=10_000),
    )(streams)


register_grid()
register_others()
