"""Timers: those that fire, those that are cancelled, and the timeouts made of them."""

from __future__ import annotations

import asyncio
import contextlib

TIMERS = 1500
#: All that fires does so within this time.
SPAN_S = 0.005


async def run() -> None:
    """Do all kinds of it once."""
    await fire()
    cancel()
    await timeouts()


async def fire() -> None:
    """Callbacks and sleeps that end in another order than they began."""
    loop = asyncio.get_running_loop()
    fired: list[int] = []
    last = loop.create_future()
    delays = [SPAN_S * (number * 37 % 101) / 101 for number in range(TIMERS)]
    for number, delay in enumerate(delays):
        loop.call_later(delay, fired.append, number)
    loop.call_later(SPAN_S, last.set_result, None)
    await asyncio.gather(*(asyncio.sleep(delay, number) for number, delay in enumerate(delays)))
    await last
    assert sorted(fired) == list(range(TIMERS))


def cancel() -> None:
    """Callbacks that never come."""
    loop = asyncio.get_running_loop()
    for handle in [loop.call_later(60 + number % 7, print, number) for number in range(TIMERS)]:
        handle.cancel()


async def timeouts() -> None:
    """Most of them do not pass."""
    for _ in range(300):
        async with asyncio.timeout(30):
            await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.sleep(0), 30)
    for _ in range(20):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SPAN_S / 10):
                await asyncio.sleep(30)
