#!/usr/bin/env python3
"""A plain function that hands a coroutine to the event loop as a task."""
import asyncio

wait_random = __import__('0-basic_async_syntax').wait_random


def task_wait_random(max_delay: int) -> asyncio.Task:
    """Return a task that runs wait_random(max_delay).

    The task is scheduled at once and runs in the background; await it for
    its result. An event loop must be running when this is called.

    >>> async def show() -> float:
    ...     return await task_wait_random(0)
    >>> asyncio.run(show())
    0.0
    """
    return asyncio.create_task(wait_random(max_delay))
