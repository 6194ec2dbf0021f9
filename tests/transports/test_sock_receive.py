"""Receiving from sockets that a program keeps itself: waits that end early, and what they leave."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Iterator
from typing import Any

import maypole
import pytest

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """Two connected non-blocking sockets."""
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    with near, far:
        yield near, far


def test_a_receive_that_is_cancelled_after_the_event_loses_no_bytes(pair: Pair) -> None:
    near, far = pair

    async def main() -> bytes:
        loop: Any = asyncio.get_running_loop()
        waiting = asyncio.create_task(loop.sock_recv(near, 16))
        await asyncio.sleep(0)
        far.send(b"precious")
        while near.fileno() in loop._watched_fds():
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        received: bytes = await loop.sock_recv(near, 16)
        return received

    assert maypole.run(main()) == b"precious"


def test_a_cancelled_receive_watches_no_more(pair: Pair) -> None:
    near, _ = pair

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        waiting = asyncio.create_task(loop.sock_recv(near, 16))
        await asyncio.sleep(0)
        assert near.fileno() in loop._watched_fds()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert near.fileno() not in loop._watched_fds()

    maypole.run(main())


def test_an_error_while_waiting_does_not_remember_that_it_was_waiting(pair: Pair) -> None:
    near, _ = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(TimeoutError) as raised:
            async with asyncio.timeout(0.01):
                await loop.sock_recv(near, 16)
        error: BaseException | None = raised.value
        while error is not None:
            assert not isinstance(error, BlockingIOError)
            error = error.__context__

    maypole.run(main())


def test_a_second_receive_takes_the_place_of_the_first(pair: Pair) -> None:
    near, far = pair

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        first = asyncio.create_task(loop.sock_recv(near, 16))
        await asyncio.sleep(0)
        second = asyncio.create_task(loop.sock_recv(near, 16))
        await asyncio.sleep(0)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        far.send(b"for the second")
        assert await asyncio.wait_for(second, 5) == b"for the second"

    maypole.run(main())


def registered(loop: Any) -> dict[int, int]:
    """What the kernel has been told to watch: the events of each descriptor, as bits."""
    with open(f"/proc/self/fdinfo/{loop._poller_fd}") as info:
        lines = [line.split() for line in info if line.startswith("tfd:")]
    return {int(fields[1]): int(fields[3], 16) for fields in lines}


def test_after_its_event_the_kernel_is_silent_without_being_told(pair: Pair) -> None:
    near, far = pair

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        for _ in range(2):
            waiting = asyncio.create_task(loop.sock_recv(near, 16))
            await asyncio.sleep(0)
            assert registered(loop)[near.fileno()] & select.EPOLLIN
            far.send(b"data")
            assert await waiting == b"data"
            assert not registered(loop)[near.fileno()] & (select.EPOLLIN | select.EPOLLOUT)
        far.close()
        for _ in range(3):
            await asyncio.sleep(0)
        assert near.fileno() not in loop._watched_fds()

    maypole.run(main())


def test_a_cancelled_receive_is_taken_out_of_the_kernel(pair: Pair) -> None:
    near, _ = pair

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        waiting = asyncio.create_task(loop.sock_recv(near, 16))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert near.fileno() not in registered(loop)

    maypole.run(main())


def test_a_reader_in_the_place_of_a_receive_leaves_it_waiting(pair: Pair) -> None:
    near, far = pair

    async def main() -> None:
        loop = asyncio.get_running_loop()
        waiting = asyncio.create_task(loop.sock_recv(near, 16))
        await asyncio.sleep(0)
        read = loop.create_future()

        def receive() -> None:
            if not read.done():
                read.set_result(near.recv(16))

        loop.add_reader(near, receive)
        far.send(b"data")
        assert await read == b"data"
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert loop.remove_reader(near)

    maypole.run(main())


def test_a_cancelled_writer_beside_a_receive_leaves_nothing_watched(pair: Pair) -> None:
    near, far = pair

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        handle = loop._add_writer(near.fileno(), lambda: None)
        waiting = asyncio.create_task(loop.sock_recv(near, 16))
        await asyncio.sleep(0)
        handle.cancel()
        far.send(b"data")
        assert await waiting == b"data"
        assert near.fileno() not in loop._watched_fds()
        assert not registered(loop).get(near.fileno(), 0) & (select.EPOLLIN | select.EPOLLOUT)

    maypole.run(main())
