"""Ending tasks for sure: every pattern that starts tasks ends them here."""

from __future__ import annotations

import asyncio
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, TypeVar

from maypole.patterns.events import log

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

T = TypeVar("T")

_kept: set[asyncio.Task[Any]] = set()


def keep(task: asyncio.Task[T]) -> asyncio.Task[T]:
    """Hold a task until it ends: the loop itself has only a weak reference.

    Source: https://docs.python.org/3/library/asyncio-task.html#asyncio.create_task
    """
    _kept.add(task)
    task.add_done_callback(_kept.discard)
    return task


def log_failure(task: asyncio.Task[Any]) -> None:
    """Log how a task failed that nobody awaits; for `asyncio.Task.add_done_callback`."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s failed, and nobody waited for it", task.get_name(), exc_info=error)


def cancel_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Ask every task to stop."""
    for task in tasks:
        task.cancel()


async def settle(
    tasks: Collection[asyncio.Task[Any]], timeout: float | None = None
) -> asyncio.CancelledError | None:
    """Wait until all tasks are done or the time is over, whatever happens to the caller.

    Args:
        tasks: they are not cancelled; ask `asyncio.Task.done` afterwards.
        timeout: seconds; None waits without end.

    Returns:
        The cancellation that came meanwhile, which the caller owes to whoever sent it; None if none came.
    """
    loop = asyncio.get_running_loop()
    end = None if timeout is None else loop.time() + timeout
    interrupted: asyncio.CancelledError | None = None
    while pending := [task for task in tasks if not task.done()]:
        left = None if end is None else end - loop.time()
        if left is not None and left <= 0:
            break
        try:
            await asyncio.wait(pending, timeout=left)
        except asyncio.CancelledError as error:
            interrupted = error
    return interrupted


def being_cancelled() -> bool:
    """Whether somebody asked the running task to stop: tells its own end from that of what it awaits."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def standing(task: asyncio.Task[Any]) -> str:
    """Say in one line which task this is and where its code stands.

    >>> async def main():
    ...     task = asyncio.create_task(asyncio.sleep(60), name="nap")
    ...     await asyncio.sleep(0)
    ...     text = standing(task)
    ...     task.cancel()
    ...     return text
    >>> asyncio.run(main())  # doctest: +ELLIPSIS
    'nap: tasks.py:... in sleep'
    """
    frames = task.get_stack(limit=1)
    if not frames:
        return f"{task.get_name()}: not begun"
    code = frames[-1].f_code
    return f"{task.get_name()}: {PurePath(code.co_filename).name}:{frames[-1].f_lineno} in {code.co_name}"
