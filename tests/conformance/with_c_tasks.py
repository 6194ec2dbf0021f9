"""The loop for ``run.py`` whose tasks and futures are asyncio's own."""

import asyncio

import maypole


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Make one such loop."""
    return maypole.new_event_loop(task_impl="c")
