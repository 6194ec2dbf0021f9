"""A long life in a short time: what a service does all day, again and again, with flat memory.

Run as ``python -m torture.soak LOOP SEED CYCLES``. A cycle is a hundred connections (plain, TLS, cut in the
middle), thousands of tasks and timers (most of them cancelled), errors, look-ups and executor jobs. Memory,
objects and descriptors are counted after the first third and at the end; memory is the least of the second
and of the last third.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import logging
import random
import sys
import threading
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from harness.leaks import open_fds
from harness.tls import client_context, server_context
from torture.closing_loops import kinds_of_objects, resident_kib

GROWTH_KIB_MAX = 1536
THREADS = 4


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Echo until the end, whatever that is."""
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


class Service:
    """A server with and without TLS, and its clients."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.server_context = server_context()
        self.client_context = client_context()

    async def open(self) -> None:
        plain = await asyncio.start_server(echo, "127.0.0.1", 0)
        tls = await asyncio.start_server(echo, "127.0.0.1", 0, ssl=self.server_context)
        self.servers = [plain, tls]
        self.addresses = [server.sockets[0].getsockname() for server in self.servers]

    def close(self) -> None:
        for server in self.servers:
            server.close()

    async def client(self, tls: bool) -> None:
        """One connection: some exchanges, then a goodbye, an abort or a cancellation."""
        extra: dict[str, Any] = {}
        if tls:
            extra = {"ssl": self.client_context, "server_hostname": "localhost"}
        reader, writer = await asyncio.open_connection(*self.addresses[tls], **extra)
        try:
            for _ in range(self.dice.randrange(1, 4)):
                data = b"x" * self.dice.choice((1, 1000, 50_000))
                writer.write(data)
                await writer.drain()
                assert await reader.readexactly(len(data)) == data
            if self.dice.random() < 0.3:
                writer.transport.abort()
            else:
                writer.close()
                await writer.wait_closed()
        finally:
            writer.close()

    async def clients(self, count: int, tls: bool) -> None:
        """Many at once; some are cancelled on the way."""
        tasks = [asyncio.ensure_future(self.client(tls)) for _ in range(count)]
        for task in tasks:
            if self.dice.random() < 0.1:
                asyncio.get_running_loop().call_later(self.dice.random() / 100, task.cancel)
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception) and not isinstance(outcome, OSError):
                raise outcome


async def fail() -> None:
    await asyncio.sleep(0)
    raise LookupError("on purpose")


async def tasks_and_timers(dice: random.Random) -> None:
    """Timers and tasks of all fates."""
    loop = asyncio.get_running_loop()
    timers = [loop.call_later(dice.random() * 1000, int) for _ in range(2000)]
    for _ in range(500):
        loop.call_later(dice.random() / 1000, int)
    sleepers = [asyncio.ensure_future(asyncio.sleep(1000)) for _ in range(500)]
    queue: asyncio.Queue[int] = asyncio.Queue(10)
    getters = [asyncio.ensure_future(queue.get()) for _ in range(200)]
    for number in range(150):
        await queue.put(number)
    await asyncio.gather(*(asyncio.sleep(dice.random() / 1000) for _ in range(500)))
    await asyncio.gather(*(fail() for _ in range(50)), return_exceptions=True)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.001):
            await asyncio.sleep(1000)
    for timer in timers:
        timer.cancel()
    for task in (*sleepers, *getters):
        task.cancel()
    await asyncio.gather(*sleepers, *getters, return_exceptions=True)
    loop.call_soon(divmod, 1, 0)
    await asyncio.gather(*(asyncio.to_thread(int) for _ in range(20)))
    await loop.getaddrinfo("localhost", 80)


def state() -> tuple[int, Counter[str], dict[int, str], int]:
    """What must not grow."""
    return resident_kib(), kinds_of_objects(), open_fds(), threading.active_count()


async def live(seed: int, cycles: int) -> list[str]:
    """All cycles, and what grew."""
    dice = random.Random(seed)
    # All threads of the pool are there from the beginning: it makes one only when none is free.
    asyncio.get_running_loop().set_default_executor(pool := ThreadPoolExecutor(THREADS))
    everybody = threading.Barrier(THREADS)
    for job in [pool.submit(everybody.wait) for _ in range(THREADS)]:
        await asyncio.wrap_future(job)
    service = Service(dice)
    await service.open()
    before = state()
    resident = []
    for cycle in range(cycles):
        if cycle == max(cycles // 3, 2):
            await asyncio.sleep(0.1)
            before = state()
        await service.clients(100, tls=False)
        await service.clients(12, tls=True)
        await tasks_and_timers(dice)
        resident.append(resident_kib())
    await asyncio.sleep(0.1)
    after = state()
    service.close()
    # The least of several cycles: what the C library keeps for a while comes and goes by some MiB.
    third = cycles // 3
    before = (min(resident[third:-third]), *before[1:])
    after = (min(resident[-third:]), *after[1:])
    return differences(before, after, cycles)


def differences(before: Any, after: Any, cycles: int) -> list[str]:
    """What grew."""
    found = []
    if after[0] - before[0] > GROWTH_KIB_MAX:
        found.append(f"memory grew from {before[0]} to {after[0]} KiB")
    more = after[1] - before[1]
    if sum(more.values()) > 200:
        found.append(f"objects: {more.most_common(8)}")
    new = {fd: what for fd, what in after[2].items() if before[2].get(fd) != what}
    if new:
        found.append(f"descriptors: {new}")
    if after[3] > before[3]:
        found.append(f"threads: {threading.enumerate()}")
    sys.stdout.write(f"{cycles} cycles: {before[0]} to {after[0]} KiB, {sum(more.values())} objects\n")
    return found


def main(spec: str, seed: int, cycles: int) -> None:
    """Live on this kind of loop."""
    module, _, attribute = spec.partition(":")
    gc.collect()
    with asyncio.Runner(loop_factory=getattr(importlib.import_module(module), attribute)) as runner:
        found = runner.run(live(seed, cycles))
    for line in found:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write("done\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
