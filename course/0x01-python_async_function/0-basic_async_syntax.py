#!/usr/bin/env python3
"""A first coroutine: it waits a random time without blocking the others."""
import asyncio
import random


async def wait_random(max_delay: int = 10) -> float:
    """Sleep a random number of seconds and return that number.

    The delay is drawn once, between 0 and max_delay with both ends allowed.
    While this coroutine sleeps, the event loop runs whatever else is ready.

    >>> asyncio.run(wait_random(0))
    0.0
    """
    delay = random.uniform(0, max_delay)
    await asyncio.sleep(delay)
    return delay
