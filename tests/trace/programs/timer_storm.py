"""Thousands of timers that are due at the same moment."""

import asyncio
import time


def tick() -> None:
    end = time.perf_counter() + 0.00005
    while time.perf_counter() < end:
        pass


async def main() -> None:
    loop = asyncio.get_running_loop()
    due = loop.time() + 0.05
    for _ in range(3_000):
        loop.call_at(due, tick)
    await asyncio.sleep(0.1)


asyncio.run(main())
