#!/usr/bin/env python3
"""Measure how long a group of concurrent waits takes for each of them."""
import asyncio
import time

wait_n = __import__('1-concurrent_coroutines').wait_n


def measure_time(n: int, max_delay: int) -> float:
    """Return the seconds that wait_n(n, max_delay) takes, divided by n.

    This is a plain function: it starts the event loop itself, so it is
    called without await and without asyncio.run.

    >>> 0.0 <= measure_time(3, 0) < 1.0
    True
    """
    start = time.perf_counter()
    asyncio.run(wait_n(n, max_delay))
    return (time.perf_counter() - start) / n
