#!/usr/bin/env python3
"""The concurrent waits once more, this time built from tasks."""
import asyncio
from typing import List

task_wait_random = __import__('3-tasks').task_wait_random


async def task_wait_n(n: int, max_delay: int) -> List[float]:
    """Start task_wait_random(max_delay) n times and return all delays.

    As in wait_n the order comes from completion alone. The tasks already
    run while the list of them is still being built.

    >>> asyncio.run(task_wait_n(3, 0))
    [0.0, 0.0, 0.0]
    """
    tasks = [task_wait_random(max_delay) for _ in range(n)]
    return [await finished for finished in asyncio.as_completed(tasks)]
