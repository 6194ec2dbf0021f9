"""Everything at once: a gather without a limit."""

import asyncio


async def fetch(number: int) -> int:
    await asyncio.sleep(0.2)
    return number


async def main() -> None:
    await asyncio.gather(*(fetch(number) for number in range(2_000)))  # FAULT


asyncio.run(main())
