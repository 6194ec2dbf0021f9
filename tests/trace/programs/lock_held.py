"""A lock that is held while its holder waits for something slow."""

import asyncio


async def call(lock: asyncio.Lock) -> None:
    async with lock:  # FAULT
        await asyncio.sleep(0.02)


async def main() -> None:
    lock = asyncio.Lock()
    await asyncio.gather(*(call(lock) for _ in range(10)))


asyncio.run(main())
