"""Several ways to one answer: the first that has it wins, and the others are stopped."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from maypole.patterns.errors import WorkCancelled
from maypole.patterns.tasks import cancel_all, log_failure, settle

if TYPE_CHECKING:
    from collections.abc import Collection, Coroutine

T = TypeVar("T")


async def race(*work: Coroutine[Any, Any, T]) -> T:
    """Return or raise what the first of several coroutines does; the others are cancelled, and have ended.

    Args:
        work: coroutines. Of those that end in the same turn of the loop the one named first wins.

    Raises:
        ValueError: nothing to run.
        WorkCancelled: the first that ended was cancelled from inside.
        Exception: what the first raised.

    Cancel safety: all are cancelled, and have ended before the cancellation is raised.

    >>> async def answer(text, seconds):
    ...     await asyncio.sleep(seconds)
    ...     return text
    >>> asyncio.run(race(answer("slow", 60), answer("fast", 0.01)))
    'fast'
    """
    tasks = _started(work)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    except BaseException:
        await stop(tasks)
        raise
    winner = next(task for task in tasks if task in done)
    tasks.remove(winner)
    await stop(tasks)
    return result_of(winner)


async def first_success(*work: Coroutine[Any, Any, T]) -> T:
    """Return what the first of several coroutines returns; the others are cancelled, and have ended.

    Args:
        work: coroutines. One that fails leaves the others alone.

    Raises:
        ValueError: nothing to run.
        BaseExceptionGroup: all have failed; with every error, in the order of the arguments.

    Cancel safety: as for `race`.

    >>> async def refuse():
    ...     raise ConnectionRefusedError("first mirror")
    >>> async def answer():
    ...     await asyncio.sleep(0.01)
    ...     return "second mirror"
    >>> asyncio.run(first_success(refuse(), answer()))
    'second mirror'
    """
    tasks = _started(work)
    pending = set(tasks)
    try:
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            winner = next((task for task in tasks if task in done and succeeded(task)), None)
            if winner is not None:
                await stop([task for task in tasks if task in pending])
                return winner.result()
    except BaseException:
        await stop([task for task in tasks if task in pending])
        raise
    raise BaseExceptionGroup("none of the work succeeded", [error_of(task) for task in tasks])


async def stop(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until they have ended, whatever happens to the caller; log what they raise."""
    for task in tasks:
        if task.done():
            log_failure(task)
        else:
            task.add_done_callback(log_failure)
    cancel_all(tasks)
    interrupted = await settle(tasks)
    if interrupted is not None:
        raise interrupted


def succeeded(task: asyncio.Task[Any]) -> bool:
    """Whether a task that is done has a result."""
    return not task.cancelled() and task.exception() is None


def error_of(task: asyncio.Task[Any]) -> BaseException:
    """Return why a task that is done has no result."""
    if task.cancelled():
        return WorkCancelled(f"{task.get_name()} was cancelled from inside")
    error = task.exception()
    assert error is not None
    return error


def result_of(task: asyncio.Task[T]) -> T:
    """Return or raise what a task did that is done; a cancellation of its own is no cancellation of ours."""
    if succeeded(task):
        return task.result()
    raise error_of(task)


def _started(work: tuple[Coroutine[Any, Any, T], ...]) -> list[asyncio.Task[T]]:
    if not work:
        raise ValueError("nothing to run: give at least one coroutine")
    loop = asyncio.get_running_loop()
    return [loop.create_task(coroutine) for coroutine in work]
