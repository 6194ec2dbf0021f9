"""Objects that hold each other in a long row, and what is left of them once the first is dropped.

    python long_chains.py KIND FACTORY LENGTH [installed]

Freed one inside the other they need a piece of the stack each; asyncio's own outlast the lengths tried here.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import weakref
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

PARENT: contextvars.ContextVar[Any] = contextvars.ContextVar("parent")


class Counted:
    """What the last of a row holds: gone when all are gone."""


async def results(end: object, length: int) -> Any:
    """A future whose result is a future, and so on."""
    loop = asyncio.get_running_loop()
    first: asyncio.Future[Any] = loop.create_future()
    last = first
    for _ in range(length):
        following: asyncio.Future[Any] = loop.create_future()
        last.set_result(following)
        last = following
    last.set_result(end)
    return first


async def ancestors(end: object, length: int) -> Any:
    """A task whose context names its parent, whose context names the next."""
    PARENT.set(end)

    async def child() -> None:
        PARENT.set(asyncio.current_task())

    task = None
    for _ in range(length):
        task = asyncio.create_task(child())
        await task
        PARENT.set(task)
    PARENT.set(None)
    return task


async def abandoned(end: object, length: int) -> Any:
    """A pending future whose callback holds a pending future, and so on."""

    def nothing(*_: object) -> None: ...

    loop = asyncio.get_running_loop()
    innermost: Any = end
    for _ in range(length):
        future = loop.create_future()
        future.add_done_callback(partial(nothing, innermost))
        innermost = future
    return innermost


async def queues(end: object, length: int) -> Any:
    """A queue in a queue in a queue."""
    outermost: asyncio.Queue[Any] = asyncio.Queue()
    outermost.put_nowait(end)
    for _ in range(length):
        around: asyncio.Queue[Any] = asyncio.Queue()
        around.put_nowait(outermost)
        outermost = around
    return outermost


async def gathered(end: object, length: int) -> Any:
    """What gathers what gathers."""

    async def nothing() -> object:
        return end

    outermost: Any = asyncio.ensure_future(nothing())
    for _ in range(length):
        outermost = asyncio.gather(outermost)
    await asyncio.wait([outermost])
    return outermost


KINDS: dict[str, Callable[[object, int], Any]] = {
    kind.__name__: kind for kind in (results, ancestors, abandoned, queues, gathered)
}


def report(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    """Build a row, drop it, and say whether its end was freed."""
    kind, factory, length, *installed = sys.argv[1:]
    if installed:
        import_module("maypole").install()
    module, _, name = factory.partition(":")
    with asyncio.Runner(loop_factory=getattr(import_module(module), name)) as runner:
        runner.get_loop().set_exception_handler(lambda *_: None)
        end = Counted()
        watched = weakref.ref(end)
        first = runner.run(KINDS[kind](end, int(length)))
        del end
        report("built")
        del first
        runner.run(asyncio.sleep(0))
        gc.collect()
        report("gone" if watched() is None else "kept")


if __name__ == "__main__":
    main()
