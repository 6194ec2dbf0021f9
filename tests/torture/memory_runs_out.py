"""Use a loop without memory: operations raise `MemoryError`, and the loop works again when there is some.

Run as ``python -m torture.memory_runs_out LOOP SCENARIO SEED``. Address space is limited, then one thing is
done until it fails; or all memory is taken first and then everything is tried. It prints what it came to.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import itertools
import logging
import os
import random
import resource
import socket
import sys
import tempfile
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

SPARE_MIB = 12
#: Made beforehand: callbacks of asyncio's futures are pairs as well, and may have left no memory for another.
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
Scenario = Callable[[asyncio.AbstractEventLoop], Awaitable[None]]
SCENARIOS: dict[str, Scenario] = {}


def scenario(body: Scenario) -> Scenario:
    """Add a scenario under its name."""
    SCENARIOS[body.__name__] = body
    return body


def limit_memory(spare_mib: int = SPARE_MIB) -> None:
    """Leave so much address space and no more; `free_memory` takes the limit away."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (spare_mib << 20), resource.RLIM_INFINITY))


def free_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, UNLIMITED)


def until_it_fails(once: Callable[[], Any]) -> None:
    """Call until there is no memory."""
    limit_memory()
    try:
        while True:
            once()
    except MemoryError:
        free_memory()
    except SystemError as error:
        free_memory()
        # Python 3.11 fails without an exception where it has no room for the frame of `once` itself.
        here = error.__traceback__
        if sys.version_info >= (3, 12) or here is None or here.tb_next is not None:
            raise


@scenario
async def callbacks(loop: asyncio.AbstractEventLoop) -> None:
    until_it_fails(lambda: loop.call_soon(int))


@scenario
async def callbacks_from_elsewhere(loop: asyncio.AbstractEventLoop) -> None:
    until_it_fails(lambda: loop.call_soon_threadsafe(int))


@scenario
async def timers(loop: asyncio.AbstractEventLoop) -> None:
    until_it_fails(lambda: loop.call_later(1000, int))


@scenario
async def due_timers(loop: asyncio.AbstractEventLoop) -> None:
    until_it_fails(lambda: loop.call_later(0, int))
    await asyncio.sleep(0.01)


@scenario
async def tasks(loop: asyncio.AbstractEventLoop) -> None:
    async def body() -> None:
        pass

    made = []

    def one() -> None:
        coroutine = body()
        try:
            made.append(loop.create_task(coroutine))
        except MemoryError:
            coroutine.close()
            raise

    until_it_fails(one)
    await asyncio.gather(*made, return_exceptions=True)


@scenario
async def done_callbacks(loop: asyncio.AbstractEventLoop) -> None:
    future = loop.create_future()
    until_it_fails(lambda: future.add_done_callback(id))
    future.set_result(None)
    await asyncio.sleep(0)


@scenario
async def queue(loop: asyncio.AbstractEventLoop) -> None:
    items: asyncio.Queue[int] = asyncio.Queue()
    until_it_fails(lambda: items.put_nowait(1))


@scenario
async def native_queue(loop: asyncio.AbstractEventLoop) -> None:
    import maypole

    items: Any = maypole.Queue()
    until_it_fails(lambda: items.put_nowait(1))


@scenario
async def writes(loop: asyncio.AbstractEventLoop) -> None:
    here, there = socket.socketpair()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=here)
    transport.pause_reading()
    with there:
        until_it_fails(lambda: transport.write(b"x" * 10))
        transport.abort()
        await asyncio.sleep(0.001)


@scenario
async def endless_lines(loop: asyncio.AbstractEventLoop) -> None:
    here, there = socket.socketpair()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=here)
    with there:
        until_it_fails(lambda: transport.writelines(itertools.repeat(b"x")))
        transport.abort()
        await asyncio.sleep(0.001)


@scenario
async def stream_reader(loop: asyncio.AbstractEventLoop) -> None:
    import maypole

    reader = maypole.StreamReader(limit=1 << 40, loop=loop)
    until_it_fails(lambda: reader.feed_data(b"x" * 100_003))


def while_memory_is_short(*looks: Callable[[], object]) -> None:
    """Ask for copies of what has grown; a refusal is fine."""
    limit_memory(0)
    for look in looks:
        with contextlib.suppress(MemoryError):
            look()
    free_memory()


@scenario
async def copies(loop: asyncio.AbstractEventLoop) -> None:
    """Take copies of all that is long."""
    import maypole

    queue: Any = maypole.Queue()
    future = loop.create_future()
    children = [loop.create_future() for _ in range(200_000)]
    gathered: Any = maypole.gather(*children)
    for _ in range(200_000):
        queue.put_nowait(1)
        future.add_done_callback(id)
        loop.call_soon(int)
        loop.call_later(1000, int)
    own: Any = loop
    while_memory_is_short(
        lambda: future.remove_done_callback(repr),
        lambda: future.remove_done_callback(id),
        lambda: future._callbacks,
        lambda: queue._queue,
        lambda: gathered._children,
        gathered.cancel,
        lambda: own._ready,
        lambda: own._scheduled,
        lambda: maypole.gather(*children),
    )
    gathered.cancel()  # there may have been no memory for it before
    await asyncio.gather(gathered, return_exceptions=True)


@scenario
async def datagrams(loop: asyncio.AbstractEventLoop) -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.bind(f"{folder}/there")
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, f"{folder}/here", f"{folder}/there", family=socket.AF_UNIX
        )
        until_it_fails(lambda: transport.sendto(b"x" * 10))
        transport.abort()
        await asyncio.sleep(0.001)


async def echo_once() -> bytes:
    """A bit of everything: server, client, bytes, end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            writer.write(await reader.read(100))
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            writer.write(b"hello")
            return await reader.read()
        finally:
            writer.close()
    finally:
        server.close()


@scenario
async def starvation(loop: asyncio.AbstractEventLoop) -> None:
    """Take nearly everything, then try everything, with a little more memory each time."""
    dice = random.Random(SEED)
    watched, peer = socket.socketpair()
    attempts: tuple[Callable[[], Any], ...] = (
        lambda: loop.call_soon(int),
        lambda: loop.call_later(dice.random() / 1000, int),
        lambda: loop.call_soon_threadsafe(int),
        lambda: loop.create_task(asyncio.sleep(0)),
        lambda: loop.create_task(echo_once()),
        lambda: loop.create_future().add_done_callback(id),
        lambda: loop.create_task(loop.getaddrinfo("localhost", 80)),
        lambda: loop.create_task(asyncio.wait_for(asyncio.sleep(1), 0.001)),
        lambda: loop.add_reader(watched, int),
        lambda: loop.remove_reader(watched),
        lambda: asyncio.gather(asyncio.sleep(0), asyncio.sleep(0.001)),
    )
    await echo_once()
    for _ in range(40):
        left: list[Any] = []
        hoard: list[bytes] = []
        limit_memory()
        for size in (1 << 20, 1 << 16, 1 << 12, 1 << 8, 1 << 5):
            with contextlib.suppress(MemoryError):
                while True:
                    hoard.append(bytes(size))
        for _ in range(dice.randrange(60)):
            if hoard:
                hoard.pop()
        for _ in range(30):
            try:
                left.append(dice.choice(attempts)())
            except MemoryError:
                pass
        with contextlib.suppress(MemoryError):
            await asyncio.sleep(0.002)
        free_memory()
        hoard.clear()
        left.clear()
        await asyncio.sleep(0.002)
    loop.remove_reader(watched)
    watched.close()
    peer.close()


SEED = 0


def main(spec: str, name: str, seed: int) -> None:
    """One scenario; afterwards the loop must work."""
    global SEED
    SEED = seed
    module, _, attribute = spec.partition(":")
    loop = getattr(importlib.import_module(module), attribute)()
    loop.set_exception_handler(lambda *_: None)
    try:
        loop.run_until_complete(SCENARIOS[name](loop))
    except MemoryError:
        # Also where it ends the run, it ends neither the process nor the loop.
        sys.stdout.write("the run ended with MemoryError\n")
    free_memory()
    gc.collect()

    async def afterwards() -> None:
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0.002)
        assert await echo_once() == b"hello"

    loop.run_until_complete(afterwards())
    loop.close()
    sys.stdout.write("works\n")
    sys.stdout.flush()
    os.close(2)  # what is destroyed at the end is no news


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    sys.unraisablehook = lambda *_: None
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
