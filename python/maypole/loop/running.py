"""`run` and `new_event_loop`: the two ways to get a maypole loop."""

from __future__ import annotations

import asyncio
import contextlib
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


def run(
    main: Coroutine[Any, Any, T],
    *,
    debug: bool | None = None,
    stall: float | None = None,
    agent: bool = False,
) -> T:
    """Run a coroutine on a new maypole loop and return its result, as ``asyncio.run`` does.

    Args:
        main: the coroutine to run; from Python 3.14 on any awaitable.
        debug: asyncio's debug mode; None leaves it to ``PYTHONASYNCIODEBUG`` and ``-X dev``.
        stall: seconds that a turn may take before a `maypole.trace.Watchdog` tells what holds the loop; 0 is
            no watchdog, None leaves it to ``MAYPOLE_STALL``.
        agent: whether an agent answers ``maypole top``, ``maypole tree`` and ``maypole trace --attach``
        meanwhile;
            ``MAYPOLE_AGENT=1`` asks for one in all loops.

    Returns:
        What the coroutine returns.

    Raises:
        ValueError: if `main` is not a coroutine; from Python 3.14 on TypeError if it cannot be awaited. If
            `stall` is no number of seconds.
        RuntimeError: if a loop is running in this thread.
        OSError: if `agent` is wanted and finds no place for its socket.
        KeyboardInterrupt: after Ctrl-C, once the main task was cancelled and the loop cleaned up.

    Source: https://docs.python.org/3/library/asyncio-runner.html#asyncio.run

    Example:
        >>> import asyncio, maypole
        >>> maypole.run(asyncio.sleep(0, "done"))
        'done'
    """
    if asyncio._get_running_loop() is not None:
        raise RuntimeError("maypole.run() cannot be called from a running event loop")
    with (
        contextlib.ExitStack() as attendants,
        asyncio.Runner(debug=debug, loop_factory=new_event_loop) as runner,
    ):
        if stall is not None:
            from maypole.trace.watchdog import watch

            watchdog = watch(runner.get_loop(), stall)
            if watchdog is not None:
                attendants.callback(watchdog.stop)
        if agent:
            from maypole.trace.agent import serving

            attendants.enter_context(serving(runner.get_loop()))
        return runner.run(main)
