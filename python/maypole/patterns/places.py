"""Where the function of a pipeline stage runs: beside the loop on threads, in processes, in a cluster.

A place has one verb, ``submit(fn, item)``, which returns something to await. Everything else about a stage,
its limit, order and error policy, is the same wherever it runs.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from maypole.patterns.arguments import seconds_or_none
from maypole.patterns.deadline import finally_within

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

T = TypeVar("T")
R = TypeVar("R")


class Place(Protocol):
    """What a stage needs of the place where its function runs.

    Attributes:
        deaths: how many workers ended while they had an item; the item was run again elsewhere.
    """

    deaths: int

    def submit(self, fn: Callable[[T], R], item: T, /) -> Awaitable[R]:
        """Run ``fn(item)`` there; awaiting gives the result or raises what the function raised."""
        ...

    async def __aenter__(self) -> Self:
        """Get ready; called when a run begins."""
        ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Give back what the run held; called when it has ended, however it did."""
        ...


class InExecutor:
    """A `concurrent.futures.Executor` that somebody else starts and shuts down.

    Args:
        executor: threads, processes, or what has the same interface.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self.deaths = 0

    def submit(self, fn: Callable[[T], R], item: T, /) -> Awaitable[R]:
        """Run ``fn(item)`` in the executor.

        Cancel safety: a call that has not begun never begins; one that has goes on, and its result is lost.
        """
        return asyncio.get_running_loop().run_in_executor(self._executor, fn, item)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        return None


class Threads:
    """Threads of its own for each run.

    Args:
        workers: how many; None as many as `concurrent.futures.ThreadPoolExecutor` takes.
        grace: seconds that leaving a run waits for calls that have begun: a thread cannot be stopped.

    >>> from maypole.patterns.pipeline import source
    >>> async def main():
    ...     return await source(["2", "3"]).map(int, on=Threads(2), concurrency=2).collect()
    >>> asyncio.run(main())
    [2, 3]
    """

    def __init__(self, workers: int | None = None, *, grace: float = 10.0) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"workers must be 1 or more, got {workers}")
        self._workers = workers
        seconds_or_none("grace", grace, zero=True)
        self._grace = grace
        self._pool: ThreadPoolExecutor | None = None
        self.deaths = 0

    def submit(self, fn: Callable[[T], R], item: T, /) -> Awaitable[R]:
        """Run ``fn(item)`` on one of the threads."""
        if self._pool is None:
            raise RuntimeError("the threads run inside `async with` only")
        return asyncio.get_running_loop().run_in_executor(self._pool, fn, item)

    async def __aenter__(self) -> Self:
        if self._pool is not None:
            raise RuntimeError("these threads serve another run now")
        self._pool = ThreadPoolExecutor(self._workers, thread_name_prefix="maypole-stage")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
            await finally_within(asyncio.to_thread(pool.shutdown), self._grace)


def place(on: Place | Executor | None) -> Place | None:
    """Return the place that ``on=`` means.

    Raises:
        TypeError: it has no ``submit``.
    """
    if isinstance(on, Executor):
        return InExecutor(on)
    if on is not None and not _is_place(on):
        raise TypeError(f"on must be a place (Threads, Processes, …) or an Executor, got {on!r}")
    return on


def _is_place(on: Any) -> bool:
    return callable(getattr(on, "submit", None)) and hasattr(type(on), "__aenter__")
