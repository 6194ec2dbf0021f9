"""A library call that sleeps, in a task that somebody else made."""

import asyncio
import time


def fetch() -> str:
    time.sleep(0.15)  # FAULT
    return "row"


async def worker() -> None:
    await asyncio.sleep(0.001)
    fetch()


async def boss() -> None:
    await asyncio.create_task(worker(), name="worker")


async def main() -> None:
    await asyncio.create_task(boss(), name="boss")


asyncio.run(main())
