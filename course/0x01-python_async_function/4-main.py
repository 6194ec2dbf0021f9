#!/usr/bin/env python3
"""Run a group of five tasks and print their delays, ascending."""
import asyncio

task_wait_n = __import__('4-tasks').task_wait_n

n = 5
max_delay = 6

print(asyncio.run(task_wait_n(n, max_delay)))
