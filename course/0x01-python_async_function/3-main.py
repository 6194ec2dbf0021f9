#!/usr/bin/env python3
"""Await a task and print the class that every task has."""
import asyncio

task_wait_random = __import__('3-tasks').task_wait_random


async def test(max_delay: int) -> None:
    """Create one task, wait until it has finished and print its class."""
    task = task_wait_random(max_delay)
    await task
    print(task.__class__)

asyncio.run(test(5))
