"""One call for many who ask for the same at the same time."""

from __future__ import annotations

import asyncio
import functools
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from maypole.patterns.deadline import within, without_deadline
from maypole.patterns.errors import QueueFull, WorkCancelled
from maypole.patterns.events import Listener, Listeners, described
from maypole.patterns.tasks import keep, log_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Hashable

T = TypeVar("T")
P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class SingleFlightStats:
    """What was asked for and what was done.

    Attributes:
        calls: how often somebody asked.
        started: how often the work was begun.
        shared: how often somebody joined work that was under way.
        abandoned: how often the work was cancelled because nobody waited for it any more.
    """

    name: str | None
    calls: int
    started: int
    shared: int
    failed: int
    abandoned: int
    in_flight: int
    waiting: int


class _Flight:
    """Work that is under way."""

    __slots__ = ("callers", "key", "task")

    def __init__(self, key: Hashable, task: asyncio.Task[Any]) -> None:
        self.key = key
        self.task = task
        self.callers = 0


class SingleFlight:
    """Joins calls with the same key: the first one does the work, the others get its result or its error.

    Args:
        max_waiting: how many callers may wait in all.
        name: for messages, stats and events.
        on_event: called with each `PatternEvent`: ``start``, ``share``, ``end``, ``abandon``.

    Nothing is cached: when the work is done, the next call does it again. The work runs in a task of its own,
    outside the first caller's `Deadline`, and is cancelled when the last caller has left.

    Source: golang.org/x/sync/singleflight

    >>> async def main():
    ...     flight = SingleFlight()
    ...     async def load(user):
    ...         await asyncio.sleep(0.01)
    ...         return {"user": user}
    ...     first, second = await asyncio.gather(*(flight.do(7, load, 7) for _ in range(2)))
    ...     return first is second, flight.stats().started
    >>> asyncio.run(main())
    (True, 1)
    """

    def __init__(
        self, *, max_waiting: int = 10_000, name: str | None = None, on_event: Listener | None = None
    ) -> None:
        if max_waiting < 1:
            raise ValueError(f"max_waiting must be 1 or more, got {max_waiting}")
        self.name = name
        self.called = f"single flight {name!r}" if name else "single flight"
        self._max_waiting = max_waiting
        self.events = Listeners("single_flight", name, on_event)
        self._flights: dict[Hashable, _Flight] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting = 0
        self._calls = self._started = self._shared = self._failed = self._abandoned = 0

    async def do(
        self, key: Hashable, fn: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return what ``fn(*args, **kwargs)`` returns, or what the call under way for this key will return.

        Raises:
            Exception: what the function raised; every caller gets the same one.
            QueueFull: ``max_waiting`` callers wait already.
            RuntimeError: the work for this key asks for itself, and would wait for ever.
            TimeoutError: the `Deadline` that holds here is over.
            WorkCancelled: the function was cancelled from inside.

        Cancel safety: a caller that is cancelled leaves; the work goes on for the others.
        """
        self._use_loop()
        self._calls += 1
        flight = self._flights.get(key)
        if flight is not None and not flight.task.done():
            if (id(self), key) in _inside.get():
                raise RuntimeError(f"{self.called}: the work for {key!r} asks for itself")
            self._check_room()
            self._shared += 1
            if self.events:
                self.events.tell("share", self._now(), key=key, callers=flight.callers + 1)
        else:
            self._check_room()
            flight = self._start(key, fn(*args, **kwargs))
        result: T = await self._join(flight)
        return result

    def wrap(
        self, fn: Callable[P, Coroutine[Any, Any, T]], *, key: Callable[P, Hashable] | None = None
    ) -> Callable[P, Coroutine[Any, Any, T]]:
        """Return the function with its calls joined; without ``key`` by all of its arguments.

        >>> flight = SingleFlight()
        >>> @flight.wrap
        ... async def load(user):
        ...     return user
        >>> asyncio.run(load(5))
        5
        """

        @functools.wraps(fn)
        async def joined(*args: P.args, **kwargs: P.kwargs) -> T:
            if key is not None:
                return await self.do((fn, key(*args, **kwargs)), fn, *args, **kwargs)
            return await self.do((fn, args, tuple(sorted(kwargs.items()))), fn, *args, **kwargs)

        return joined

    def stats(self) -> SingleFlightStats:
        """Return the counts."""
        return SingleFlightStats(
            name=self.name,
            calls=self._calls,
            started=self._started,
            shared=self._shared,
            failed=self._failed,
            abandoned=self._abandoned,
            in_flight=len(self._flights),
            waiting=self._waiting,
        )

    def describe(self) -> dict[str, Any]:
        """Return the counts and the keys under way as a dict."""
        return described("single_flight", self.stats()) | {"keys": list(self._flights)}

    def _start(self, key: Hashable, work: Coroutine[Any, Any, Any]) -> _Flight:
        context = without_deadline()
        context.run(_inside.set, _inside.get() | {(id(self), key)})
        task = keep(asyncio.get_running_loop().create_task(work, context=context))
        flight = _Flight(key, task)
        self._flights[key] = flight
        self._started += 1
        if self.events:
            self.events.tell("start", self._now(), key=key)
        task.add_done_callback(lambda _: self._ended(flight))
        return flight

    async def _join(self, flight: _Flight) -> Any:
        flight.callers += 1
        self._waiting += 1
        try:
            await asyncio.wait([flight.task], timeout=within(None))
        finally:
            flight.callers -= 1
            self._waiting -= 1
            if not flight.callers and not flight.task.done():
                self._abandon(flight)
        if not flight.task.done():
            raise TimeoutError(
                f"{self.called}: the deadline is over, the work for {flight.key!r} is not done"
            )
        if flight.task.cancelled():
            raise WorkCancelled(f"{self.called}: the work for {flight.key!r} was cancelled from inside")
        return flight.task.result()

    def _abandon(self, flight: _Flight) -> None:
        self._abandoned += 1
        self._forget(flight)  # who asks now gets work that is not about to be cancelled
        flight.task.add_done_callback(log_failure)
        flight.task.cancel()
        if self.events:
            self.events.tell("abandon", self._now(), key=flight.key)

    def _ended(self, flight: _Flight) -> None:
        self._forget(flight)
        failed = not flight.task.cancelled() and flight.task.exception() is not None
        self._failed += failed
        if self.events:
            self.events.tell("end", self._now(), key=flight.key, failed=failed)

    def _forget(self, flight: _Flight) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]

    def _check_room(self) -> None:
        if self._waiting >= self._max_waiting:
            raise QueueFull(f"{self.called}: {self._waiting} callers wait already", name=self.name)

    def _use_loop(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is loop:
            return
        if self._loop is not None and not self._loop.is_closed() and self._flights:
            raise RuntimeError(f"{self.called}: tasks of another event loop are waiting")
        self._loop = loop
        self._flights.clear()
        self._waiting = 0

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def __repr__(self) -> str:
        return f"<SingleFlight {self.called}: {len(self._flights)} in flight, {self._waiting} wait>"


# The keys whose work we are inside of, however deep.
_inside: ContextVar[frozenset[tuple[int, Any]]] = ContextVar("maypole_single_flight", default=frozenset())
