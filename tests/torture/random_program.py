"""A program in which everything of the user's fails now and then; reproducible from its seed.

Run as ``python random_program.py SEED STEPS``. Callbacks, protocol methods, comparisons, ``__repr__`` and
``__del__`` raise, close, abort, cancel and come back into the loop; garbage is collected at odd moments. It
prints ``survived`` when the loop has outlived all of that.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import random
import sys
import warnings
from typing import Any

import maypole

SEED, STEPS = int(sys.argv[1]), int(sys.argv[2])
dice = random.Random(SEED)


def chance(probability: float) -> bool:
    return dice.random() < probability


class Unruly:
    """A callback that cannot be shown, may raise, and comes back into the loop when it dies."""

    def __repr__(self) -> str:
        raise ValueError("no repr")

    def __call__(self, *_: object) -> None:
        if chance(0.3):
            raise RuntimeError("callback")

    def __eq__(self, other: object) -> bool:
        if chance(0.1):
            raise RuntimeError("comparison")
        return self is other

    __hash__ = object.__hash__

    def __del__(self) -> None:
        if chance(0.2):
            with contextlib.suppress(RuntimeError):
                loop.call_soon(gc.isenabled).cancel()


class UnrulyProtocol(asyncio.Protocol):
    """Echoes, when it does not raise, close, abort or pause."""

    transport: Any

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        if chance(0.1):
            raise RuntimeError("connection_made")
        if chance(0.1):
            transport.close()

    def data_received(self, data: bytes) -> None:
        choice = dice.random()
        if choice < 0.05:
            raise RuntimeError("data_received")
        if choice < 0.1:
            self.transport.abort()
        elif choice < 0.15:
            self.transport.close()
        elif choice < 0.3:
            self.transport.pause_reading()
            loop.call_later(dice.random() / 1000, lambda: self.transport.resume_reading())
        else:
            for _ in range(dice.randrange(4)):
                self.transport.write(data[: dice.randrange(1, len(data) + 1)])

    def eof_received(self) -> bool | None:
        if chance(0.2):
            raise RuntimeError("eof_received")
        return chance(0.3)

    def connection_lost(self, exc: Exception | None) -> None:
        if chance(0.2):
            raise RuntimeError("connection_lost")

    def pause_writing(self) -> None:
        if chance(0.3):
            raise RuntimeError("pause_writing")

    def resume_writing(self) -> None:
        if chance(0.3):
            raise RuntimeError("resume_writing")


class UnrulyBuffer(asyncio.BufferedProtocol, UnrulyProtocol):
    """The same with a buffer of its own, perhaps an empty one."""

    def __init__(self) -> None:
        self.buffer = bytearray(dice.choice([0, 10, 1000, 70_000]))

    def get_buffer(self, sizehint: int) -> bytearray:
        if chance(0.05):
            raise RuntimeError("get_buffer")
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(bytes(self.buffer[:nbytes]))


class Yields:
    """An awaitable that yields what no task expects."""

    def __await__(self) -> Any:
        with contextlib.suppress(RuntimeError):
            yield object()


def finish(future: asyncio.Future[int]) -> None:
    if not future.done():
        future.set_result(1)


async def unruly_task(depth: int = 0) -> None:
    """Wait in one of many ways, or fail."""
    match dice.randrange(9):
        case 0:
            await asyncio.sleep(dice.random() / 500)
        case 1:
            await asyncio.sleep(0)
        case 2:
            raise ValueError("task")
        case 3:
            future: asyncio.Future[int] = loop.create_future()
            loop.call_soon(finish, future)
            for _ in range(2):
                future.add_done_callback(Unruly())
            await future
        case 4 if depth < 4:
            children = [asyncio.create_task(unruly_task(depth + 1)) for _ in range(dice.randrange(4))]
            if children:
                dice.choice(children).cancel()
            await asyncio.gather(*children, return_exceptions=True)
        case 5:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)
        case 6:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(dice.random() / 1000):
                    await asyncio.sleep(1)
        case 7:
            plain: asyncio.Future[None] = asyncio.Future()
            loop.call_soon(plain.cancel)
            await plain
        case _:
            await Yields()


async def client(port: int) -> None:
    """Talk to one of the servers, rarely to the end."""
    with contextlib.suppress(Exception):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(dice.randrange(8)):
            writer.write(os.urandom(dice.choice([1, 100, 70_000, 300_000])))
            if chance(0.5):
                await asyncio.wait_for(writer.drain(), 0.05)
            if chance(0.7):
                await asyncio.wait_for(reader.read(1000), 0.01)
        if chance(0.3):
            writer.write_eof()
        if chance(0.5):
            writer.transport.abort()
        else:
            writer.close()


async def main() -> None:
    """Start tasks, timers, callbacks and clients, and drop or cancel some of them."""
    servers = [await loop.create_server(kind, "127.0.0.1", 0) for kind in (UnrulyProtocol, UnrulyBuffer)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    alive: list[asyncio.Task[None]] = []
    for _ in range(STEPS):
        alive.append(asyncio.create_task(unruly_task()))
        if chance(0.2):
            alive.append(asyncio.create_task(client(dice.choice(ports))))
        timer = loop.call_later(dice.random() / 200, Unruly(), Unruly())
        if chance(0.5):
            with contextlib.suppress(ValueError):  # in debug mode a cancelled handle shows its callback
                timer.cancel()
        loop.call_soon(Unruly(), 1)
        if chance(0.1):
            alive.pop(dice.randrange(len(alive))).cancel()
        if chance(0.3):
            await asyncio.sleep(0)
        if chance(0.02):
            gc.collect()
        if len(alive) > 50:
            await asyncio.wait(alive, timeout=0.5)
            alive = [task for task in alive if not task.done()]
    for server in servers:
        server.close()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.sleep(0.02)


def unruly_handler(_loop: asyncio.AbstractEventLoop, _context: dict[str, Any]) -> None:
    if chance(0.1):
        raise ZeroDivisionError("exception handler")


warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
loop = maypole.new_event_loop()
asyncio.set_event_loop(loop)
loop.set_exception_handler(unruly_handler)
loop.run_until_complete(main())
loop.close()
gc.collect()
sys.stdout.write("survived\n")
