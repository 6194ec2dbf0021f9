#!/usr/bin/env python3
"""Many coroutines at once, with results in the order they finish."""
import asyncio
from typing import List

wait_random = __import__('0-basic_async_syntax').wait_random


async def wait_n(n: int, max_delay: int) -> List[float]:
    """Start wait_random(max_delay) n times at once and return all delays.

    The list is ascending although nothing is sorted: the shortest wait
    finishes first, and each result is taken at the moment it arrives.

    >>> asyncio.run(wait_n(3, 0))
    [0.0, 0.0, 0.0]
    """
    waits = [wait_random(max_delay) for _ in range(n)]
    return [await finished for finished in asyncio.as_completed(waits)]
