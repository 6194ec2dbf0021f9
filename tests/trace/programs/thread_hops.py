"""Tiny jobs, each sent to a thread and waited for."""

import asyncio


def double(number: int) -> int:
    return 2 * number


async def hopper() -> int:
    total = 0
    for number in range(500):
        total += await asyncio.to_thread(double, number)  # FAULT
    return total


async def main() -> None:
    await asyncio.create_task(hopper(), name="hopper")


asyncio.run(main())
