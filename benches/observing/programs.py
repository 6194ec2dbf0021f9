"""The programs whose cost under observation is measured, each on any loop. Standard library only."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TASKS = 100


async def steps(count: int) -> None:
    """A hundred tasks give up their turn again and again: nothing but the loop."""

    async def worker() -> None:
        for _ in range(count // TASKS):
            await asyncio.sleep(0)

    await asyncio.gather(*(worker() for _ in range(TASKS)))


async def chain(count: int) -> None:
    """A callback that queues itself: turns that do nothing else."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    left = count

    def again() -> None:
        nonlocal left
        left -= 1
        if left:
            loop.call_soon(again)
        else:
            done.set_result(None)

    loop.call_soon(again)
    await done


async def spawns(count: int) -> None:
    """Make a task and await it, one after the other."""

    async def child() -> None:
        pass

    for _ in range(count):
        await asyncio.create_task(child())


class Echo(asyncio.Protocol):
    """Send back what comes."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Send it back."""
        self.transport.write(data)


async def echo(count: int) -> None:
    """A client and a server in one loop, a kilobyte there and back."""
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    for _ in range(count):
        writer.write(b"x" * 1024)
        await reader.readexactly(1024)
    writer.close()
    await writer.wait_closed()
    server.close()


async def requests(count: int) -> None:
    """What a small web service does for a request: parse, a task for the work, a queue, a timer."""
    queue: asyncio.Queue[dict[str, int]] = asyncio.Queue()

    async def handle(number: int) -> None:
        fields = dict(
            part.split("=") for part in f"id={number}&user={number % 97}&page=1&sort=name".split("&")
        )
        body = {name: len(value) for name, value in fields.items()}
        async with asyncio.timeout(30):
            await asyncio.sleep(0)
            await queue.put(body)

    async def consume() -> None:
        for _ in range(count):
            body = await queue.get()
            sum(body.values())

    consumer = asyncio.create_task(consume())
    for number in range(0, count, 50):
        await asyncio.gather(*(handle(one) for one in range(number, min(count, number + 50))))
    await consumer


PROGRAMS: dict[str, tuple[Callable[[int], Awaitable[None]], int]] = {
    "chain": (chain, 600_000),
    "steps": (steps, 400_000),
    "spawns": (spawns, 200_000),
    "echo": (echo, 30_000),
    "requests": (requests, 40_000),
}
"""Name: the program, and how many operations it does at full scale."""
