"""Two ways to call a function less often: wait for a turn, or wait until the calls stop."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar

from maypole.patterns.arguments import function
from maypole.patterns.events import Listeners, described
from maypole.patterns.rate_limit import RateLimit
from maypole.patterns.tasks import keep, log_failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Generator

    from maypole.patterns.events import Listener

P = ParamSpec("P")
T = TypeVar("T")


def throttle(
    fn: Callable[P, Awaitable[T]],
    rate: float | str,
    *,
    per: float = 1.0,
    burst: float = 1,
    max_waiting: int | None = 10_000,
) -> Callable[P, Coroutine[Any, Any, T]]:
    """Return the coroutine function with a `RateLimit` of its own: calls wait for their turn, none is lost.

    Args:
        fn: a coroutine function.
        rate, per, burst, max_waiting: as for `RateLimit`.

    >>> async def main():
    ...     async def ping(x):
    ...         return x, asyncio.get_running_loop().time() - 1000
    ...     slow = throttle(ping, "2/s")
    ...     return await asyncio.gather(slow("a"), slow("b"))
    >>> from maypole.testing import run_virtual
    >>> run_virtual(main(), loop="asyncio")
    [('a', 0.0), ('b', 0.5)]
    """
    return RateLimit(rate, per=per, burst=burst, max_waiting=max_waiting)(fn)


@dataclass(frozen=True, slots=True)
class DebouncedStats:
    """What a debounced function was asked for, and what it made of it.

    Attributes:
        name: its name.
        asked: how often it was called.
        made: how often the function was begun.
        waiting: whether a call is due later.
        running: whether one runs now.
    """

    name: str | None
    asked: int
    made: int
    waiting: bool
    running: bool


def debounce(
    fn: Callable[P, Awaitable[T]],
    wait: float,
    *,
    max_wait: float | None = None,
    name: str | None = None,
    on_event: Listener | None = None,
) -> Debounced[P, T]:
    """Return a function that gathers calls and makes one of them, the last, when no more come.

    Args:
        fn: a coroutine function. Its calls never overlap.
        wait: seconds without a call after which it is made.
        max_wait: seconds after the first call of a row at which it is made in any case; None for no bound.
        name: for stats and events; None takes the function's.
        on_event: called with each `PatternEvent`: ``call`` (the call is made, for so many that asked),
            ``drop`` (it was forgotten).

    Raises:
        ValueError: wait is negative, or max_wait is less than wait.

    >>> async def main():
    ...     async def save(text):
    ...         return f"saved {text}"
    ...     save_soon = debounce(save, 0.5)
    ...     save_soon("a")
    ...     save_soon("ab")
    ...     return await save_soon("abc")
    >>> from maypole.testing import run_virtual
    >>> run_virtual(main(), loop="asyncio")
    'saved abc'
    """
    return Debounced(fn, wait, max_wait, name, on_event)


class Debounced(Generic[P, T]):
    """What `debounce` returns: call it, and await the answer if you need it.

    An error of the function is raised to whoever awaits; if nobody does, it is logged.
    """

    def __init__(
        self,
        fn: Callable[P, Awaitable[T]],
        wait: float,
        max_wait: float | None,
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        if not wait >= 0:
            raise ValueError(f"wait must be 0 or more seconds, got {wait!r}")
        if max_wait is not None and not max_wait >= wait:
            raise ValueError(f"max_wait must be at least wait, got {max_wait!r}")
        self._fn = function("fn", fn)
        self._wait = wait
        self._max_wait = max_wait
        self._row: _Row[T] | None = None
        self._running: asyncio.Task[T] | None = None
        self.name = getattr(fn, "__qualname__", None) if name is None else name
        self.events = Listeners("debounce", self.name, on_event)
        self._asked = self._made = 0

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Answer[T]:
        """Ask for a call with these arguments; a later one of the same row takes its place.

        Raises:
            RuntimeError: no loop runs.
        """
        loop = asyncio.get_running_loop()
        row = self._row
        if row is None or row.loop is not loop:
            row = self._row = _Row(loop)
            row.timer = loop.call_later(self._wait, self._due, row)
        row.call = lambda: self._fn(*args, **kwargs)
        row.context = copy_context()
        row.last_at = loop.time()
        row.asked += 1
        self._asked += 1
        return Answer(row)

    def flush(self) -> None:
        """Make the call that is due later now."""
        if self._row is not None:
            self._begin(self._row)

    def cancel(self) -> None:
        """Forget the call that is due later; who awaits it is cancelled. One that has begun goes on."""
        row, self._row = self._row, None
        if row is not None:
            row.stop_timer()
            row.outcome.cancel()
            self.events.tell("drop", row.loop.time(), asked=row.asked)

    def stats(self) -> DebouncedStats:
        """Return what was asked for, and what was made."""
        return DebouncedStats(
            self.name, self._asked, self._made, self._row is not None, self._running is not None
        )

    def describe(self) -> dict[str, Any]:
        """Return the stats as a dict."""
        return described("debounce", self.stats())

    def __repr__(self) -> str:
        state = "waiting" if self._row is not None else "running" if self._running is not None else "idle"
        return f"<Debounced {self._fn!r}, {state}>"

    def _due(self, row: _Row[T]) -> None:
        due = row.last_at + self._wait
        if self._max_wait is not None:
            due = min(due, row.first_at + self._max_wait)
        if row.loop.time() < due:
            row.timer = row.loop.call_at(due, self._due, row)
        else:
            self._begin(row)

    def _begin(self, row: _Row[T]) -> None:
        self._row = None
        row.stop_timer()
        self._made += 1
        self.events.tell("call", row.loop.time(), asked=row.asked)
        task = row.loop.create_task(self._make(row, self._running), context=row.context)
        self._running = keep(task)
        task.add_done_callback(self._ended)
        task.add_done_callback(row.answer)

    async def _make(self, row: _Row[T], before: asyncio.Task[T] | None) -> T:
        if before is not None and not before.done():
            await asyncio.wait([before])
        assert row.call is not None
        return await row.call()

    def _ended(self, task: asyncio.Task[T]) -> None:
        if self._running is task:
            self._running = None


class _Row(Generic[T]):
    """Calls that follow each other, and become one."""

    __slots__ = ("asked", "awaited", "call", "context", "first_at", "last_at", "loop", "outcome", "timer")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.first_at = self.last_at = loop.time()
        self.timer: asyncio.TimerHandle | None = None
        self.call: Callable[[], Awaitable[T]] | None = None
        self.context = copy_context()
        self.outcome: asyncio.Future[T] = loop.create_future()
        self.awaited = False
        self.asked = 0

    def stop_timer(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    def answer(self, task: asyncio.Task[T]) -> None:
        if self.outcome.done():
            return
        if task.cancelled():
            self.outcome.cancel()
        elif (error := task.exception()) is None:
            self.outcome.set_result(task.result())
        elif self.awaited:
            self.outcome.set_exception(error)
        else:
            self.outcome.cancel()
            log_failure(task)


class Answer(Generic[T]):
    """The answer to a debounced call: await it, or leave it.

    Cancel safety: who is cancelled while it awaits takes nothing from the others.
    """

    __slots__ = ("_row",)

    def __init__(self, row: _Row[T]) -> None:
        self._row = row

    def __await__(self) -> Generator[Any, None, T]:
        self._row.awaited = True
        return asyncio.shield(self._row.outcome).__await__()
