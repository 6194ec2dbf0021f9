"""A computation that never lets the loop go on."""

import asyncio
import time


def crunch(seconds: float) -> int:
    count, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:  # FAULT
        count += 1  # FAULT
    return count


async def worker() -> None:
    await asyncio.sleep(0.001)
    crunch(0.2)


async def main() -> None:
    await asyncio.create_task(worker(), name="worker")


asyncio.run(main())
