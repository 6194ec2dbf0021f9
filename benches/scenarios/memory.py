"""Bytes of resident memory per sleeping task, timer and idle connection."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import TYPE_CHECKING

from measuring.scenario import Load, scenario

from scenarios.echo import STREAMS, protocol, streams

if TYPE_CHECKING:
    from measuring.bench import Bench

LONG_S = 3600.0


def resident_bytes() -> int:
    """Resident memory of this process."""
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1]) * 1024
    raise OSError("smaps_rollup has no Rss line")


@scenario(
    "memory.task",
    count=100_000,
    unit="task",
    primary="bytes",
    samples=1,
    warm=False,
    uses=frozenset({"sleep"}),
)
async def task(bench: Bench) -> None:
    """Tasks that sleep for an hour."""
    sleep = bench.api.sleep

    async def wait() -> None:
        await sleep(LONG_S)

    gc.collect()
    before = resident_bytes()
    tasks = [asyncio.create_task(wait()) for _ in range(bench.count)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    bench.record("bytes", (resident_bytes() - before) / bench.count)
    for one in tasks:
        one.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    cancelled = sum(isinstance(result, asyncio.CancelledError) for result in results)
    bench.expect(cancelled, bench.count, "cancelled tasks")


@scenario("memory.timer", count=100_000, unit="timer", primary="bytes", samples=1, warm=False)
async def timer(bench: Bench) -> None:
    """Timers that are due in an hour."""
    loop = asyncio.get_running_loop()
    gc.collect()
    before = resident_bytes()
    handles = [loop.call_later(LONG_S, int) for _ in range(bench.count)]
    await asyncio.sleep(0)
    bench.record("bytes", (resident_bytes() - before) / bench.count)
    for handle in handles:
        handle.cancel()


IDLE = Load("echo", "tcp", 64, 1, idle=4_999)
scenario(
    "memory.connection", count=1, unit="connection", primary="bytes", params={"tls": 0}, load=IDLE, floor=True
)(protocol)
scenario(
    "memory.connection.streams",
    count=1,
    unit="connection",
    primary="bytes",
    params={"tls": 0},
    load=IDLE,
    uses=STREAMS,
)(streams)
