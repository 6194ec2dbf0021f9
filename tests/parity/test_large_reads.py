"""Data of changing sizes: what one read brings says nothing about the next."""

from __future__ import annotations

import asyncio
import random
import socket
from typing import Any

import pytest
from harness.kinds import Loop

KIB = 1024
SIZES = {
    "growing": [1, 100, 5_000, 16 * KIB - 1, 16 * KIB, 16 * KIB + 1, 100_000, 256 * KIB, 1_000_000],
    "shrinking": [1_000_000, 256 * KIB + 1, 100_000, 16 * KIB, 16 * KIB - 1, 100, 1],
    "alternating": [100_000, 1, 100_000, 1, 200_000, 2, 16 * KIB, 3] * 3,
    "the same": [100 * KIB] * 10,
    "filling": [32 * KIB - 1, 32 * KIB, 64 * KIB, 64 * KIB, 128 * KIB, 256 * KIB, 256 * KIB],
}


class Collecting(asyncio.Protocol):
    """Keeps every object that it is given."""

    def __init__(self, loop: Loop) -> None:
        self.loop = loop
        self.chunks: list[bytes] = []
        self.size = 0
        self.expected = 0
        self.enough: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[Exception | None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        assert type(data) is bytes
        assert data
        self.chunks.append(data)
        self.size += len(data)
        if self.size >= self.expected and not self.enough.done():
            self.enough.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)

    async def until(self, size: int) -> None:
        """Wait until so much has come in all."""
        if self.size < size:
            self.expected, self.enough = size, self.loop.create_future()
            await self.enough


async def connected(loop: Loop, kind: str) -> tuple[Collecting, socket.socket]:
    """A protocol, and its peer's socket."""
    if kind == "unix":
        ours, theirs = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours = socket.create_connection(listener.getsockname())
            theirs, _ = listener.accept()
    theirs.setblocking(False)
    _, protocol = await loop.create_connection(lambda: Collecting(loop), sock=ours)
    return protocol, theirs


@pytest.mark.parametrize("kind", ["tcp", "unix"])
@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_every_byte_arrives_once_and_in_order(loop: Loop, kind: str, sizes: list[int]) -> None:
    source = random.Random(1).randbytes(max(sizes))

    async def main() -> None:
        protocol, theirs = await connected(loop, kind)
        total = 0
        for size in sizes:
            await loop.sock_sendall(theirs, source[:size])
            total += size
            await protocol.until(total)
        theirs.close()
        assert await protocol.lost is None
        # The objects are looked at only now: each has kept what it held.
        assert b"".join(protocol.chunks) == b"".join(source[:size] for size in sizes)

    loop.run_until_complete(main())


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_the_end_is_seen_after_something_large(loop: Loop, kind: str) -> None:
    async def main() -> None:
        protocol, theirs = await connected(loop, kind)
        await loop.sock_sendall(theirs, bytes(100_000))
        await protocol.until(100_000)
        theirs.shutdown(socket.SHUT_WR)
        assert await protocol.lost is None
        assert protocol.size == 100_000
        theirs.close()

    loop.run_until_complete(main())


def test_an_error_is_seen_after_something_large(loop: Loop) -> None:
    async def main() -> None:
        protocol, theirs = await connected(loop, "tcp")
        await loop.sock_sendall(theirs, bytes(100_000))
        await protocol.until(100_000)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        theirs.close()
        assert isinstance(await protocol.lost, ConnectionResetError)

    loop.run_until_complete(main())
