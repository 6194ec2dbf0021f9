"""Pipelines: a source and stages behind it, each with its own concurrency, order, rate and error policy."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from maypole.patterns.places import Place, place
from maypole.patterns.stages import OnItemError, Rate, StageSpec
from maypole.patterns.streams import PipelineReport, Stream

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from contextlib import AbstractAsyncContextManager

    from maypole.patterns.events import Listener

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")

BUFFER = 64
"""How many items lie between two stages, unless a stage says otherwise."""


class Pipeline(Generic[T_co]):
    """A description of stages; nothing runs until `run`, `collect` or `stream`. Make one with `source`.

    Each method returns a new pipeline and leaves this one as it is. A stage's workers share the items; no
    task is made per item. Between two stages lies a bounded channel: a slow stage holds back those before it.

    >>> import asyncio
    >>> async def double(x):
    ...     await asyncio.sleep(0.001)
    ...     return 2 * x
    >>> pipe = source(range(6)).map(double, concurrency=3).filter(lambda x: x % 4 == 0).batch(2)
    >>> asyncio.run(pipe.collect())
    [[0, 4], [8]]
    """

    __slots__ = ("_buffer", "_items", "_stages", "name")

    def __init__(self, items: Any, stages: tuple[StageSpec, ...], buffer: int, name: str | None) -> None:
        self._items = items
        self._stages = stages
        self._buffer = buffer
        self.name = name

    @overload
    def map(
        self,
        fn: Callable[[T_co], Awaitable[U]],
        *,
        concurrency: int = ...,
        ordered: bool = ...,
        buffer: int = ...,
        rate: Rate | None = ...,
        limit: AbstractAsyncContextManager[Any] | None = ...,
        timeout: float | None = ...,
        on: None = ...,
        on_error: OnItemError = ...,
        name: str | None = ...,
    ) -> Pipeline[U]: ...

    @overload
    def map(
        self,
        fn: Callable[[T_co], U],
        *,
        concurrency: int = ...,
        ordered: bool = ...,
        buffer: int = ...,
        rate: Rate | None = ...,
        limit: AbstractAsyncContextManager[Any] | None = ...,
        timeout: float | None = ...,
        on: Place | Executor | None = ...,
        on_error: OnItemError = ...,
        name: str | None = ...,
    ) -> Pipeline[U]: ...

    def map(
        self,
        fn: Callable[[T_co], Any],
        *,
        concurrency: int = 1,
        ordered: bool = True,
        buffer: int = BUFFER,
        rate: Rate | None = None,
        limit: AbstractAsyncContextManager[Any] | None = None,
        timeout: float | None = None,
        on: Place | Executor | None = None,
        on_error: OnItemError = "raise",
        name: str | None = None,
    ) -> Pipeline[Any]:
        """Apply a function to every item.

        Args:
            fn: plain or async. An item's result is what the next stage gets.
            concurrency: how many items are in work at a time.
            ordered: whether results leave in the order of the items. Finished ones then wait for earlier
                ones, at most ``buffer`` of them.
            buffer: how many results may wait for the next stage.
            rate: its ``await acquire()`` is called before each attempt: a `RateLimit`.
            limit: entered around each attempt: a `Bulkhead`, a semaphore, a breaker. Stages may share one.
            timeout: seconds for one attempt, from when the rate has let it go.
            on: where a plain function runs: a place (`Threads`, `Processes`, …) or an Executor. None calls it
                in the loop.
            on_error: ``"raise"`` ends the pipeline; ``"skip"`` makes the item a dead letter in the report;
                ``"outcome"`` passes on `Ok`, `Err` or `Cancelled` in place of every result; a function gets
                the `Failure` and returns ``"raise"``, ``"skip"``, ``"retry"``, or seconds to wait before
                the next attempt.
            name: for the report and for messages; None takes the function's.

        Raises:
            ValueError: concurrency or buffer below what makes sense, or an unknown policy.
            TypeError: fn cannot be called, or is async while ``on`` is given.
        """
        if on is not None and inspect.iscoroutinefunction(fn):
            raise TypeError(f"{_name_of(fn)} is async: a place runs plain functions; leave out on=")
        spec = StageSpec(
            kind="map",
            name=name or _name_of(fn),
            fn=fn,
            concurrency=concurrency,
            ordered=ordered,
            buffer=buffer,
            rate=rate,
            limit=limit,
            timeout=timeout,
            on=place(on),
            on_error=on_error,
        )
        return self._with(spec)

    def filter(
        self,
        fn: Callable[[T_co], Any],
        *,
        concurrency: int = 1,
        ordered: bool = True,
        buffer: int = BUFFER,
        on_error: OnItemError = "raise",
        name: str | None = None,
    ) -> Pipeline[T_co]:
        """Pass on the items for which a plain or async function gives something true.

        The arguments are those of `map`.
        """
        if on_error == "outcome":
            raise ValueError('a filter has no results to replace: on_error="outcome" is for map')
        spec = StageSpec(
            kind="filter",
            name=name or _name_of(fn),
            fn=fn,
            concurrency=concurrency,
            ordered=ordered,
            buffer=buffer,
            on_error=on_error,
        )
        return self._with(spec)

    def batch(
        self, size: int, *, every: float | None = None, buffer: int = BUFFER, name: str = "batch"
    ) -> Pipeline[list[T_co]]:
        """Gather items into lists.

        Args:
            size: the longest list.
            every: seconds after its first item at which a list goes, full or not; None waits until it is
                full. The last list can be shorter in any case.
        """
        if size < 1 or (every is not None and not every >= 0):
            raise ValueError(f"batch needs size >= 1 and every >= 0, got {size!r} and {every!r}")
        return self._with(StageSpec(kind="batch", name=name, size=size, every=every, buffer=buffer))

    @overload
    def flatten(self: Pipeline[Iterable[U]], *, buffer: int = ..., name: str = ...) -> Pipeline[U]: ...

    @overload
    def flatten(self: Pipeline[AsyncIterable[U]], *, buffer: int = ..., name: str = ...) -> Pipeline[U]: ...

    def flatten(self: Pipeline[Any], *, buffer: int = BUFFER, name: str = "flatten") -> Pipeline[Any]:
        """Pass on the parts of each item one by one; items are plain or async iterables."""
        return self._with(StageSpec(kind="flatten", name=name, buffer=buffer))

    def stream(
        self, *, grace: float = 10.0, max_dead_letters: int = 1000, on_event: Listener | None = None
    ) -> Stream[T_co]:
        """Run, and iterate: ``async with pipe.stream() as items: async for item in items: ...``.

        Args:
            grace: seconds that workers have for their cleanup when the run is stopped.
            max_dead_letters: how many skipped items the report keeps.
            on_event: called with each `PatternEvent`: ``start`` and ``end`` of tasks, ``skip``, ``retry``,
                ``fail``.

        Cancel safety: cancelling the block stops every worker and closes the source before it ends.
        """
        return Stream(
            self._items,
            self._stages,
            name=self.name,
            buffer=self._buffer,
            grace=grace,
            max_dead_letters=max_dead_letters,
            on_event=on_event,
        )

    async def run(
        self, *, grace: float = 10.0, max_dead_letters: int = 1000, on_event: Listener | None = None
    ) -> PipelineReport:
        """Run to the end, drop what comes out, and return the report.

        Raises:
            BaseExceptionGroup: the errors of all stages.

        Cancel safety: as `stream`.
        """
        stream = self.stream(grace=grace, max_dead_letters=max_dead_letters, on_event=on_event)
        async with stream:
            async for _ in stream:
                pass
        return stream.report()

    async def collect(self, *, grace: float = 10.0) -> list[T_co]:
        """Run to the end and return all that comes out.

        Raises:
            BaseExceptionGroup: the errors of all stages.

        Cancel safety: as `stream`.
        """
        async with self.stream(grace=grace) as items:
            return [item async for item in items]

    def describe(self) -> dict[str, Any]:
        """Return the stages as a dict."""
        stages = [
            {"kind": spec.kind, "name": spec.name, "concurrency": spec.concurrency, "ordered": spec.ordered}
            for spec in self._stages
        ]
        return {"kind": "pipeline", "name": self.name, "stages": stages}

    def _with(self, spec: StageSpec) -> Pipeline[Any]:
        if spec.fn is not None and not callable(spec.fn):
            raise TypeError(f"a stage needs a function, got {spec.fn!r}")
        if spec.concurrency < 1:
            raise ValueError(f"concurrency must be 1 or more, got {spec.concurrency}")
        if spec.buffer < 0:
            raise ValueError(f"buffer must be 0 or more, got {spec.buffer}")
        if not callable(spec.on_error) and spec.on_error not in ("raise", "skip", "outcome"):
            raise ValueError(f"on_error must be raise, skip, outcome or a function; got {spec.on_error!r}")
        return Pipeline(self._items, (*self._stages, spec), self._buffer, self.name)

    def __repr__(self) -> str:
        stages = " -> ".join(["source", *(f"{spec.name} x{spec.concurrency}" for spec in self._stages)])
        return f"<Pipeline {self.name or ''} {stages}>"


@overload
def source(items: Iterable[T], *, buffer: int = ..., name: str | None = ...) -> Pipeline[T]: ...


@overload
def source(items: AsyncIterable[T], *, buffer: int = ..., name: str | None = ...) -> Pipeline[T]: ...


def source(items: Any, *, buffer: int = BUFFER, name: str | None = None) -> Pipeline[Any]:
    """Begin a pipeline with what gives it items.

    Args:
        items: an iterable or async iterable: a list, a generator, the receiver of a channel. Generators and
            receivers are closed when a run ends, however it does.
        buffer: how many items are read ahead.
        name: of the pipeline, for messages, reports and events.

    Raises:
        TypeError: items cannot be iterated over.
        ValueError: a negative buffer.
    """
    if not isinstance(items, (Iterable, AsyncIterable)):
        raise TypeError(f"a source needs an iterable or an async iterable, got {items!r}")
    if buffer < 0:
        raise ValueError(f"buffer must be 0 or more, got {buffer}")
    return Pipeline(items, (), buffer, name)


def _name_of(fn: object) -> str:
    return str(getattr(fn, "__qualname__", None) or repr(fn))
