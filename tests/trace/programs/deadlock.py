"""Two tasks that take two locks in opposite order; it ends by SIGTERM."""

import asyncio
import os
import signal


async def transfer(first: asyncio.Lock, second: asyncio.Lock) -> None:
    async with first:
        await asyncio.sleep(0.001)
        async with second:  # FAULT
            pass


async def main() -> None:
    one, two = asyncio.Lock(), asyncio.Lock()
    there = asyncio.create_task(transfer(one, two), name="there")
    back = asyncio.create_task(transfer(two, one), name="back")
    asyncio.get_running_loop().call_later(0.1, os.kill, os.getpid(), signal.SIGTERM)
    await asyncio.gather(there, back)


asyncio.run(main())
