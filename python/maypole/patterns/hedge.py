"""A second call when the first takes too long: it costs a few calls more, and cuts the slowest answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from maypole.patterns.arguments import able
from maypole.patterns.events import Listeners, described
from maypole.patterns.racing import error_of, result_of, stop, succeeded

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from maypole.patterns.events import Listener
    from maypole.patterns.retry_budget import RetryBudget

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HedgeStats:
    """What a `Hedge` has done.

    Attributes:
        name: its name.
        calls: how often it was asked to call.
        hedged: how many calls more it made.
        won: how many of those answered first.
        refused: how many more it would have made, had the budget allowed it.
    """

    name: str | None
    calls: int
    hedged: int
    won: int
    refused: int


class Hedge:
    """Makes a call again while it is under way for too long, and takes the first answer.

    Args:
        after: seconds without an answer after which another call is made. Take the 95th percentile: then one
            call in twenty is made twice.
        attempts: how many calls may be made, the first included.
        budget: the `RetryBudget`; each call is counted, and another one must be allowed.
        name: for stats and events.
        on_event: called with each `PatternEvent`: ``hedge`` (another call begins), ``reject`` (the budget
            does not allow it), ``win`` (another call than the first has answered).

    Only for calls that may be made twice. It helps against calls that are slow by chance; against a remote
    that is slow because it has too much to do it makes things worse, unless a budget stops it. A call that
    fails is not made again: that is for `Retry`. Calls that lose are cancelled, and have ended.

    Raises:
        ValueError: after is not above 0, attempts below 2.

    Source: Dean and Barroso, The tail at scale, CACM 56 (2013).

    >>> async def main():
    ...     delays = iter([60, 0.01])
    ...     async def fetch(page):
    ...         await asyncio.sleep(next(delays))
    ...         return f"page {page}"
    ...     hedge = Hedge(after=0.1)
    ...     return await hedge.call(fetch, 7), hedge.stats().won
    >>> from maypole.testing import run_virtual
    >>> run_virtual(main(), loop="asyncio")
    ('page 7', 1)
    """

    def __init__(
        self,
        after: float,
        *,
        attempts: int = 2,
        budget: RetryBudget | None = None,
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        if not after > 0:
            raise ValueError(f"after must be above 0 seconds, got {after!r}")
        if attempts < 2:
            raise ValueError(f"attempts must be 2 or more, got {attempts}")
        self.name = name
        self.events = Listeners("hedge", name, on_event)
        self._after = after
        self._attempts = attempts
        self._budget = able("budget", budget, "try_acquire")
        self._calls = self._hedged = self._won = self._refused = 0

    async def call(self, fn: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a coroutine function, again if it takes too long; returns the first answer.

        Raises:
            Exception: all calls that were made have failed: what the first of them raised.
            WorkCancelled: the only call was cancelled from inside.

        Cancel safety: all calls are cancelled, and have ended before the cancellation is raised.
        """
        self._calls += 1
        if self._budget is not None:
            self._budget.deposit()
        tasks: list[asyncio.Task[T]] = []
        try:
            while True:
                tasks.append(asyncio.get_running_loop().create_task(fn(*args, **kwargs)))
                winner = await self._answered(tasks, self._after if self._may_hedge(tasks) else None)
                if winner is not None:
                    break
                if not self._allowed():
                    winner = await self._answered(tasks, None)
                    break
                self._hedged += 1
                self.events.tell("hedge", asyncio.get_running_loop().time(), attempt=len(tasks) + 1)
        except BaseException:
            await stop(tasks)
            raise
        assert winner is not None, "without a timeout there is an answer"
        if winner is not tasks[0]:
            self._won += 1
            self.events.tell("win", asyncio.get_running_loop().time(), attempt=tasks.index(winner) + 1)
        await stop([task for task in tasks if task is not winner and not task.done()])
        return result_of(winner)

    def __call__(self, fn: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """Decorate a coroutine function: each call of it is hedged.

        Raises:
            TypeError: not a coroutine function.
        """
        if not iscoroutinefunction(fn):
            raise TypeError(f"a hedge decorates coroutine functions, got {fn!r}")

        @wraps(fn)
        async def hedged(*args: P.args, **kwargs: P.kwargs) -> T:
            return await self.call(fn, *args, **kwargs)

        return hedged

    def stats(self) -> HedgeStats:
        """Return the counts."""
        return HedgeStats(self.name, self._calls, self._hedged, self._won, self._refused)

    def describe(self) -> dict[str, Any]:
        """Return the counts and the settings as a dict."""
        return described("hedge", self.stats()) | {"after": self._after, "attempts": self._attempts}

    def __repr__(self) -> str:
        called = f" {self.name}" if self.name else ""
        return f"<Hedge{called} after {self._after:g} s, {self._hedged} of {self._calls} calls hedged>"

    def _may_hedge(self, tasks: list[asyncio.Task[T]]) -> bool:
        return len(tasks) < self._attempts

    def _allowed(self) -> bool:
        if self._budget is None or self._budget.try_acquire():
            return True
        self._refused += 1
        self.events.tell("reject", asyncio.get_running_loop().time())
        return False

    async def _answered(self, tasks: list[asyncio.Task[T]], timeout: float | None) -> asyncio.Task[T] | None:
        """The first that succeeded; when all have failed, the first; None when the time is over."""
        loop = asyncio.get_running_loop()
        end = None if timeout is None else loop.time() + timeout
        while True:
            winner = next((task for task in tasks if task.done() and succeeded(task)), None)
            pending = [task for task in tasks if not task.done()]
            if winner is not None:
                return winner
            if not pending:
                for task in tasks:
                    error_of(task)  # seen: the first one's is raised
                return tasks[0]
            left = None if end is None else end - loop.time()
            if left is not None and left <= 0:
                return None
            await asyncio.wait(pending, timeout=left, return_when=asyncio.FIRST_COMPLETED)
