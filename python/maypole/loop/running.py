"""`run` and `new_event_loop`: the two ways to get a maypole loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from maypole.loop.event_loop import Clock, EventLoop, TaskImpl

if TYPE_CHECKING:
    from collections.abc import Coroutine

T = TypeVar("T")


def new_event_loop(clock: Clock = "monotonic", task_impl: TaskImpl = "native") -> EventLoop:
    """Make a maypole event loop.

    Args:
        clock: "monotonic", or "virtual" for time that jumps to the next timer when nothing is ready.
        task_impl: "native", or "c" for tasks and futures of CPython's own types.

    Returns:
        A new loop, which the caller closes.

    Raises:
        ValueError: for another clock or implementation.
        OSError: when descriptors have run out.

    Source: https://docs.python.org/3/library/asyncio-eventloop.html#asyncio.new_event_loop

    Example:
        >>> import asyncio, maypole
        >>> with asyncio.Runner(loop_factory=maypole.new_event_loop) as runner:
        ...     runner.run(asyncio.sleep(0, "done"))
        'done'
    """
    return EventLoop(clock, task_impl)


def run(main: Coroutine[Any, Any, T], *, debug: bool | None = None) -> T:
    """Run a coroutine on a new maypole loop and return its result, as ``asyncio.run`` does.

    Args:
        main: the coroutine to run; from Python 3.14 on any awaitable.
        debug: asyncio's debug mode; None leaves it to ``PYTHONASYNCIODEBUG`` and ``-X dev``.

    Returns:
        What the coroutine returns.

    Raises:
        ValueError: if `main` is not a coroutine; from Python 3.14 on TypeError if it cannot be awaited.
        RuntimeError: if a loop is running in this thread.
        KeyboardInterrupt: after Ctrl-C, once the main task was cancelled and the loop cleaned up.

    Source: https://docs.python.org/3/library/asyncio-runner.html#asyncio.run

    Example:
        >>> import asyncio, maypole
        >>> maypole.run(asyncio.sleep(0, "done"))
        'done'
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("maypole.run() cannot be called from a running event loop")
    with asyncio.Runner(debug=debug, loop_factory=new_event_loop) as runner:
        return runner.run(main)
