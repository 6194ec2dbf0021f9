"""Serve honest clients while others reset, half-close, stall, send single bytes, flood and send garbage.

Run as ``python -m torture.hostile_peers LOOP SEED COUNT``. Every honest client gets its bytes back; when all
peers have gone no connection is left. It prints what the exception handler was told, and ``done``.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import random
import socket
import ssl
import struct
import sys
import threading
import time
import warnings
from collections.abc import Callable
from typing import Any

from harness.tls import client_context, server_context

Address = tuple[str, int]
Peer = Callable[[Address, random.Random], None]
open_connections = 0


class Echo(asyncio.Protocol):
    """Echoes, and stops reading while the peer does not."""

    def connection_made(self, transport: Any) -> None:
        global open_connections
        open_connections += 1
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def pause_writing(self) -> None:
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        self.transport.resume_reading()

    def eof_received(self) -> bool:
        # What waits is still sent to a peer that has closed its half.
        self.transport.write_eof() if self.transport.can_write_eof() else self.transport.close()
        return bool(self.transport.can_write_eof() and self.transport.get_write_buffer_size())

    def connection_lost(self, exc: Exception | None) -> None:
        global open_connections
        open_connections -= 1


class BufferedEcho(asyncio.BufferedProtocol, Echo):  # type: ignore[misc]
    """The same with a buffer of its own."""

    def __init__(self) -> None:
        self.buffer = bytearray(64 * 1024)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self.buffer[:nbytes]))


async def echo_streams(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Echo by streams."""
    global open_connections
    open_connections += 1
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    open_connections -= 1


def connect(address: Address) -> socket.socket:
    return socket.create_connection(address, timeout=20)


def reset(address: Address, dice: random.Random) -> None:
    """Send something and reset the connection."""
    peer = connect(address)
    peer.sendall(b"x" * dice.choice((1, 1000, 100_000)))
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def vanish(address: Address, dice: random.Random) -> None:
    """Connect and go away."""
    connect(address).close()


def half_close(address: Address, dice: random.Random) -> None:
    """Close the sending half, then read all that comes back."""
    with connect(address) as peer:
        size = dice.choice((1, 5000, 300_000))
        sender = threading.Thread(target=send_and_shut, args=(peer, b"h" * size))
        sender.start()
        received = 0
        while data := peer.recv(1 << 16):
            received += len(data)
        sender.join()
        assert received == size, f"half-close: {received} of {size} bytes came back"


def send_and_shut(peer: socket.socket, data: bytes) -> None:
    peer.sendall(data)
    peer.shutdown(socket.SHUT_WR)


def stall(address: Address, dice: random.Random) -> None:
    """Send more than fits, never read, and close after a while."""
    with connect(address) as peer:
        peer.settimeout(dice.random() / 10)
        with contextlib.suppress(TimeoutError):
            peer.sendall(b"s" * 3_000_000)


def single_bytes(address: Address, dice: random.Random) -> None:
    """Send single bytes, and expect them back."""
    with connect(address) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = dice.randbytes(60)
        for number in range(60):
            peer.sendall(data[number : number + 1])
        expect(peer, data)


def flood(address: Address, dice: random.Random) -> None:
    """Send megabytes and read them slowly."""
    with connect(address) as peer:
        data = dice.randbytes(1000) * 1500
        sender = threading.Thread(target=peer.sendall, args=(data,))
        sender.start()
        expect(peer, data)
        sender.join()


def honest(address: Address, dice: random.Random) -> None:
    """Send and expect, many times."""
    with connect(address) as peer:
        for _ in range(10):
            data = dice.randbytes(dice.choice((1, 500, 20_000)))
            peer.sendall(data)
            expect(peer, data)


def expect(peer: socket.socket, data: bytes) -> None:
    received = bytearray()
    while len(received) < len(data):
        piece = peer.recv(min(len(data) - len(received), 1 << 16))
        assert piece, "the connection ended too early"
        received += piece
    assert received == data, "other bytes came back"


def tls_garbage(address: Address, dice: random.Random) -> None:
    """Bytes that are no handshake, or half of one."""
    hello = bytes.fromhex("16030100c8010000c40303") + dice.randbytes(60)
    with connect(address) as peer, contextlib.suppress(OSError):
        peer.sendall(dice.choice((b"GET / HTTP/1.1\r\n\r\n", dice.randbytes(300), hello)))
        peer.settimeout(0.2)
        peer.recv(1000)


def tls_honest(address: Address, dice: random.Random) -> None:
    """A handshake and an echo; a goodbye or none."""
    with connect(address) as plain:
        peer = client_context().wrap_socket(plain, server_hostname="localhost")
        data = dice.randbytes(dice.choice((10, 40_000)))
        peer.sendall(data)
        expect(peer, data)
        if dice.random() < 0.5:
            with contextlib.suppress(OSError, ssl.SSLError):
                peer.unwrap().close()
        else:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            peer.close()


PLAIN_PEERS: tuple[Peer, ...] = (reset, vanish, half_close, stall, single_bytes, flood, honest, honest)
TLS_PEERS: tuple[Peer, ...] = (reset, vanish, tls_garbage, tls_garbage, tls_honest, tls_honest)


def attack(plain: list[Address], tls: list[Address], seed: int, count: int, failures: list[str]) -> None:
    """Be so many peers, one after the other."""
    dice = random.Random(seed)
    for _ in range(count):
        peers, addresses = (PLAIN_PEERS, plain) if dice.random() < 0.75 else (TLS_PEERS, tls)
        peer, address = dice.choice(peers), dice.choice(addresses)
        try:
            peer(address, dice)
        except Exception as error:
            failures.append(f"{peer.__name__}: {error!r}")


async def serve(seed: int, count: int) -> list[str]:
    """Serve until all peers have gone."""
    loop = asyncio.get_running_loop()
    context = server_context()
    plain = [
        await loop.create_server(Echo, "127.0.0.1", 0),
        await loop.create_server(BufferedEcho, "127.0.0.1", 0),
        await asyncio.start_server(echo_streams, "127.0.0.1", 0),
    ]
    tls = [
        await loop.create_server(Echo, "127.0.0.1", 0, ssl=context),
        await asyncio.start_server(echo_streams, "127.0.0.1", 0, ssl=context),
    ]
    addresses = [[server.sockets[0].getsockname() for server in servers] for servers in (plain, tls)]
    failures: list[str] = []
    threads = [
        threading.Thread(target=attack, args=(*addresses, seed * 1000 + number, count, failures))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        await asyncio.sleep(0.01)
    until = time.monotonic() + 10
    while open_connections and time.monotonic() < until:
        await asyncio.sleep(0.01)
    if open_connections:
        failures.append(f"{open_connections} connections are left")
    for server in plain + tls:
        server.close()
    return failures


def main(spec: str, seed: int, count: int) -> None:
    """Serve on this kind of loop."""
    module, _, attribute = spec.partition(":")
    told: list[str] = []

    def tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # Debug mode also reports each handshake that failed.
        if not (loop.get_debug() and context["message"].startswith("Error on transport creation")):
            told.append(repr(context))

    with asyncio.Runner(loop_factory=getattr(importlib.import_module(module), attribute)) as runner:
        loop = runner.get_loop()
        loop.set_exception_handler(tell)
        failures = runner.run(serve(seed, count))
    for line in failures + told:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write("done\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
