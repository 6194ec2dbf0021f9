"""UDP: datagrams between endpoints, errors that come back, bad calls."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from harness.kinds import Loop
from harness.outcome import SameAsAsyncio


class Endpoint(asyncio.DatagramProtocol):
    """Keeps what it receives."""

    def __init__(self) -> None:
        self.received: asyncio.Queue[tuple[bytes, Any]] = asyncio.Queue()
        self.errors: asyncio.Queue[Exception] = asyncio.Queue()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.received.put_nowait((data, addr))

    def error_received(self, exc: Exception) -> None:
        self.errors.put_nowait(exc)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


@pytest.mark.debug
def test_datagrams_arrive_with_their_sender(loop: Loop) -> None:
    async def main() -> None:
        server, inbox = await loop.create_datagram_endpoint(Endpoint, local_addr=("127.0.0.1", 0))
        address = server.get_extra_info("sockname")
        client, answers = await loop.create_datagram_endpoint(Endpoint, remote_addr=address)
        # In Python 3.11 asyncio's own datagram transport is none by its type.
        assert isinstance(client, asyncio.DatagramTransport) or sys.version_info < (3, 12)
        for number in range(50):
            client.sendto(b"%d" % number)
            data, sender = await inbox.received.get()
            assert data == b"%d" % number
            assert sender == client.get_extra_info("sockname")
            server.sendto(data * 2, sender)
            assert await answers.received.get() == (b"%d%d" % (number, number), address)
        client.sendto(b"")
        client.close()
        server.close()
        assert await answers.lost is None
        assert await inbox.lost is None

    loop.run_until_complete(main())


def test_a_refused_datagram_is_an_error_of_the_protocol(loop: Loop) -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
            nobody.bind(("127.0.0.1", 0))
            address = nobody.getsockname()
        client, protocol = await loop.create_datagram_endpoint(Endpoint, remote_addr=address)
        client.sendto(b"is anybody there?")
        assert isinstance(await protocol.errors.get(), ConnectionRefusedError)
        client.sendto(b"again")
        assert isinstance(await protocol.errors.get(), ConnectionRefusedError)
        client.abort()
        assert await protocol.lost is None

    loop.run_until_complete(main())


def test_what_is_sent_after_close_is_dropped(loop: Loop) -> None:
    async def main() -> None:
        client, protocol = await loop.create_datagram_endpoint(Endpoint, local_addr=("127.0.0.1", 0))
        client.close()
        assert client.is_closing()
        await protocol.lost

    loop.run_until_complete(main())


Main = Callable[[Any], Coroutine[Any, Any, Any]]


async def wrong_target(loop: Any) -> None:
    client, _ = await loop.create_datagram_endpoint(Endpoint, remote_addr=("127.0.0.1", 9))
    try:
        client.sendto(b"x", ("127.0.0.1", 10))
    finally:
        client.abort()
        await asyncio.sleep(0)


async def wrong_data(loop: Any) -> None:
    client, _ = await loop.create_datagram_endpoint(Endpoint, remote_addr=("127.0.0.1", 9))
    try:
        client.sendto("text")
    finally:
        client.abort()
        await asyncio.sleep(0)


async def with_a_stream_socket(loop: Any) -> None:
    with socket.socket() as sock:
        await loop.create_datagram_endpoint(Endpoint, sock=sock)


BAD_CALLS: dict[str, Main] = {
    "no address": lambda loop: loop.create_datagram_endpoint(Endpoint),
    "address of one part": lambda loop: loop.create_datagram_endpoint(Endpoint, local_addr=("127.0.0.1",)),
    "families differ": lambda loop: loop.create_datagram_endpoint(
        Endpoint, local_addr=("127.0.0.1", 0), remote_addr=("::1", 0)
    ),
    "not local": lambda loop: loop.create_datagram_endpoint(Endpoint, local_addr=("192.0.2.1", 0)),
    "stream socket": with_a_stream_socket,
    "other target": wrong_target,
    "text": wrong_data,
}


@pytest.mark.parametrize("main", BAD_CALLS.values(), ids=BAD_CALLS.keys())
def test_bad_calls_fail_as_in_asyncio(same_as_asyncio: SameAsAsyncio, main: Main) -> None:
    assert same_as_asyncio(lambda loop: loop.run_until_complete(main(loop))).error is not None
