"""A task that nobody keeps: the garbage collector takes it while it waits."""

import asyncio
import gc


async def notify() -> None:
    await asyncio.get_running_loop().create_future()


async def forget() -> None:
    asyncio.create_task(notify(), name="notify")  # noqa: RUF006  # FAULT


async def main() -> None:
    await asyncio.create_task(forget(), name="forgetful")
    await asyncio.sleep(0.01)
    gc.collect()


asyncio.run(main())
