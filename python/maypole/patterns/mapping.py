"""One async function over many items, so many at a time."""

from __future__ import annotations

import asyncio
import inspect
import reprlib
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_args, overload

from maypole.patterns.errors import WorkCancelled
from maypole.patterns.outcome import Cancelled, Err, Ok, Outcome
from maypole.patterns.pipeline import source
from maypole.patterns.scope import TaskScope
from maypole.patterns.tasks import being_cancelled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator
    from types import TracebackType

    from maypole.patterns.streams import Stream

T = TypeVar("T")
R = TypeVar("R")

OnError = Literal["raise", "collect"]


class Mapped(Generic[R]):
    """What `amap` returns: await it for the list, or enter it for the stream of results."""

    def __init__(
        self,
        fn: Callable[[Any], Awaitable[Any]],
        items: Any,
        concurrency: int,
        ordered: bool,
        collect: bool,
    ) -> None:
        self._fn = fn
        self._items = items
        self._concurrency = concurrency
        self._ordered = ordered
        self._collect = collect
        self._name = f"amap of {getattr(fn, '__qualname__', fn)}"
        self._stream: Stream[R] | None = None

    def __await__(self) -> Generator[Any, None, list[R]]:
        return self._list().__await__()

    async def __aenter__(self) -> Stream[R]:
        if self._stream is not None:
            raise RuntimeError(f"{self._name}: has been entered already")
        pipe = source(self._items, buffer=self._concurrency, name=self._name).map(
            self._fn,
            concurrency=self._concurrency,
            ordered=self._ordered,
            buffer=self._concurrency,
            on_error="outcome" if self._collect else "raise",
        )
        stream: Stream[Any] = pipe.stream()
        self._stream = stream
        return await stream.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._stream is not None
        await self._stream.__aexit__(kind, error, trace)

    async def _list(self) -> list[R]:
        if isinstance(self._items, AsyncIterable):
            async with self as results:
                return [result async for result in results]
        results_so_far: list[Any] = []
        apply = self._apply_and_tell if self._collect else self._apply
        workers = self._concurrency
        if hasattr(self._items, "__len__"):
            workers = min(workers, len(self._items))
        numbered = enumerate(self._items)
        try:
            async with TaskScope(name=self._name) as scope:
                for worker in range(workers):
                    scope.start(apply(numbered, results_so_far), name=f"{self._name}-{worker}")
        finally:
            if inspect.isgenerator(self._items):
                self._items.close()
        return results_so_far

    async def _apply(self, numbered: Iterator[tuple[int, Any]], results: list[Any]) -> None:
        """Be one worker. All of them share one iterator, so that no task is made per item."""
        fn, ordered = self._fn, self._ordered
        for number, item in numbered:
            try:
                if ordered:
                    results.append(None)  # numbers come without gaps: this is the place of this one
                    results[number] = await fn(item)
                else:
                    results.append(await fn(item))
            except Exception as error:
                error.add_note(f"{self._name}, item {number}: {reprlib.repr(item)}")
                raise
            except asyncio.CancelledError as error:
                if being_cancelled():
                    raise
                # Left alone it would end this worker as if nothing were left to do.
                text = f"{self._name}, item {number}: cancelled by the function itself: {reprlib.repr(item)}"
                raise WorkCancelled(text) from error

    async def _apply_and_tell(self, numbered: Iterator[tuple[int, Any]], results: list[Any]) -> None:
        fn, ordered = self._fn, self._ordered
        for number, item in numbered:
            if ordered:
                results.append(None)
            outcome: Outcome[Any]
            try:
                outcome = Ok(await fn(item))
            except Exception as error:
                error.add_note(f"{self._name}, item {number}: {reprlib.repr(item)}")
                outcome = Err(error)
            except asyncio.CancelledError as error:
                if being_cancelled():
                    raise
                outcome = Cancelled(str(error))
            if ordered:
                results[number] = outcome
            else:
                results.append(outcome)


@overload
def amap(
    fn: Callable[[T], Awaitable[R]],
    items: Iterable[T] | AsyncIterable[T],
    *,
    concurrency: int,
    ordered: bool = ...,
    on_error: Literal["raise"] = ...,
) -> Mapped[R]: ...


@overload
def amap(
    fn: Callable[[T], Awaitable[R]],
    items: Iterable[T] | AsyncIterable[T],
    *,
    concurrency: int,
    ordered: bool = ...,
    on_error: Literal["collect"],
) -> Mapped[Outcome[R]]: ...


def amap(
    fn: Callable[[Any], Awaitable[Any]],
    items: Any,
    *,
    concurrency: int,
    ordered: bool = True,
    on_error: OnError = "raise",
) -> Mapped[Any]:
    """Apply an async function to items, at most ``concurrency`` at a time.

    ``await amap(...)`` gives the list of results. ``async with amap(...) as results`` gives them one by one
    while the others are in work, and stops everything when the block is left.

    Args:
        fn: an async function of one argument. It runs in one of ``concurrency`` tasks, not in a task of its
            own: what it sets in a context variable is seen by the next item of the same task.
        items: an iterable or async iterable; it is read no further than needed.
        concurrency: how many items are in work at a time.
        ordered: results in the order of the items, or as they come.
        on_error: ``"raise"``: the first error stops the others and is raised in a group. ``"collect"``:
            results are `Ok`, `Err` or `Cancelled`, and everything goes on.

    Raises:
        ExceptionGroup: with ``"raise"``; each error has a note that names its item.
        ValueError: concurrency below 1 or an unknown policy.

    Cancel safety: cancelling stops all workers before it is raised.

    >>> async def square(x):
    ...     await asyncio.sleep(0.001)
    ...     return x * x
    >>> async def main():
    ...     return await amap(square, range(5), concurrency=2)
    >>> asyncio.run(main())
    [0, 1, 4, 9, 16]
    """
    if concurrency < 1:
        raise ValueError(f"concurrency must be 1 or more, got {concurrency}")
    if on_error not in get_args(OnError):
        raise ValueError(f"on_error must be one of {', '.join(get_args(OnError))}; got {on_error!r}")
    return Mapped(fn, items, concurrency, ordered, on_error == "collect")
