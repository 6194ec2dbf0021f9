"""How many at once: places, and a line of those who wait for one."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from maypole._maypole import Gate, Ready
from maypole.patterns.arguments import seconds_or_none, whole, whole_or_none
from maypole.patterns.deadline import within
from maypole.patterns.errors import BulkheadFull
from maypole.patterns.events import Listeners, described
from maypole.patterns.statistics import WaitStats
from maypole.patterns.turn import Turn, now

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
    from types import TracebackType

    from maypole.patterns.events import Listener

P = ParamSpec("P")
T = TypeVar("T")

_READY = Ready()


@dataclass(frozen=True, slots=True)
class BulkheadStats:
    """What a `Bulkhead` holds, and what it has done.

    Attributes:
        name: the name of the bulkhead.
        limit: how many places there are.
        in_use: how many are in use; after the limit shrank it can be more.
        in_use_max: the most that were ever in use.
        waiting: how many tasks wait.
        granted: how many calls were let in; those that gave it back are not counted.
        rejected: how many were refused: no place at once, a full line, too long a wait.
        cancelled: how many were cancelled while they waited, or before they knew of their place.
        wait: how long those waited who were let in after a wait.
    """

    name: str | None
    limit: int
    in_use: int
    in_use_max: int
    waiting: int
    granted: int
    rejected: int
    cancelled: int
    wait: WaitStats


class Bulkhead:
    """Lets in at most ``limit`` at once, so that one slow thing does not take everything with it.

    Args:
        limit: how many places there are. It can be set while tasks wait and work: fewer take effect as places
            are released, more at once.
        max_waiting: how many tasks may wait for a place; 0 refuses as soon as all are taken, None has no
            bound.
        timeout: seconds that a task waits at most, unless ``acquire`` says otherwise; None for no bound.
        reserve: shares of the places that are kept for groups, such as ``{"admin": 0.1}``. One place is
            always for everybody.
        name: for messages, stats and events.
        on_event: called with each `PatternEvent`: ``wait``, ``grant`` (after a wait), ``reject``, ``limit``.

    Tasks are let in in the order in which they came, whatever their weights. Two things pass others: a higher
    ``priority``, and a group that has a place of its own free. ``try_acquire`` and ``release`` are safe from
    any thread; tasks of several loops may wait in one line.

    Raises:
        ValueError: a limit below 1, shares that leave nothing.

    >>> async def main():
    ...     database = Bulkhead(2, max_waiting=10)
    ...     async def query():
    ...         async with database:
    ...             await asyncio.sleep(1)
    ...     await asyncio.gather(*(query() for _ in range(4)))
    ...     return asyncio.get_running_loop().time() - 1000
    >>> from maypole.testing import run_virtual
    >>> run_virtual(main(), loop="asyncio")
    2.0
    """

    _kind = "bulkhead"

    def __init__(
        self,
        limit: int,
        *,
        max_waiting: int | None = 0,
        timeout: float | None = None,
        reserve: Mapping[str, float] | None = None,
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        whole("limit", limit, least=1)
        whole_or_none("max_waiting", max_waiting, least=0)
        seconds_or_none("timeout", timeout, zero=True)
        self.name = name
        self.timeout = timeout
        self.max_waiting = max_waiting
        self.events = Listeners(self._kind, name, on_event)
        shares = dict(reserve or {})
        self._groups: dict[str | None, int] = {None: 0}
        self._groups.update({group: index for index, group in enumerate(shares, 1)})
        self._core: Gate[Turn] = Gate(limit, max_waiting, list(shares.values()))

    @property
    def limit(self) -> int:
        """How many places there are."""
        return self._core.limit

    @limit.setter
    def limit(self, limit: int) -> None:
        whole("limit", limit, least=1)
        self._set_limit(limit, "set")

    @property
    def in_use(self) -> int:
        """How many places are in use."""
        return self._core.in_use

    @property
    def busy(self) -> bool:
        """Whether somebody is inside or waits."""
        return self._core.in_use > 0 or self._core.waiting > 0

    @property
    def resting(self) -> bool:
        """Whether it could be made anew without anybody noticing."""
        return not self.busy

    def try_acquire(self, n: int = 1, *, group: str | None = None) -> bool:
        """Take ``n`` places now if they are free and nobody waits for them; safe from any thread.

        Raises:
            ValueError: ``n`` is less than 1, or more than can ever be had: the places but those kept for
                others; a group without a share.
        """
        index = self._group(group)
        if self._core.try_acquire(self._weight(n, index), index):
            return True
        self.events.tell("reject", now(), n=n, reason="no place is free")
        return False

    async def acquire(
        self, n: int = 1, *, group: str | None = None, priority: int = 0, timeout: float | None = None
    ) -> None:
        """Wait for ``n`` places. Each `acquire` needs one `release`.

        Args:
            n: the weight.
            group: who asks, where places are reserved.
            priority: who is more urgent is let in before those who are less, however long these have waited;
                so give those who must not starve a share of the places instead.
            timeout: seconds; None as the bulkhead says. The `Deadline` that holds here counts too.

        Raises:
            BulkheadFull: all places are taken and ``max_waiting`` tasks wait, or no place came free in time.
            ValueError: as for `try_acquire`.

        Cancel safety: a task that is cancelled while it waits takes no place, also if it had just come free.
        """
        index = self._group(group)
        if not self._core.enter(self._weight(n, index), index, priority):
            await self._wait(n, index, timeout, priority)

    def release(self, n: int = 1, *, group: str | None = None) -> None:
        """Give ``n`` places back; whoever is next is let in. Cannot be cancelled, and never waits.

        Raises:
            RuntimeError: more than were acquired.
        """
        if self._core.release(n, self._group(group)):
            self._serve()

    def __aenter__(self) -> Awaitable[Any]:
        """Wait for one place, as `acquire` does."""
        if self._core.enter():
            return _READY
        return self._wait(1, 0, None)

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Awaitable[None]:
        """Give the place back."""
        if self._core.release():
            self._serve()
        return _READY

    @asynccontextmanager
    async def places(
        self, n: int = 1, *, group: str | None = None, priority: int = 0, timeout: float | None = None
    ) -> AsyncIterator[None]:
        """Hold ``n`` places for a block, as `acquire` and `release` do.

        >>> async def main():
        ...     jobs = Bulkhead(10, reserve={"admin": 0.2})
        ...     async with jobs.places(8), jobs.places(2, group="admin"):
        ...         return jobs.in_use
        >>> asyncio.run(main())
        10
        """
        await self.acquire(n, group=group, priority=priority, timeout=timeout)
        try:
            yield
        finally:
            self.release(n, group=group)

    def stats(self) -> BulkheadStats:
        """Return the places, who is in and who waits, and what was decided so far."""
        granted, rejected, cancelled, in_use_max = self._core.tally()
        return BulkheadStats(
            self.name,
            self._core.limit,
            self._core.in_use,
            in_use_max,
            self._core.waiting,
            granted,
            rejected,
            cancelled,
            WaitStats(*self._core.waits()),
        )

    def describe(self) -> dict[str, Any]:
        """Return the stats as a dict, with the places in use and kept of each group."""
        groups = {
            group: dict(zip(("in_use", "reserved"), self._core.group_use(index), strict=True))
            for group, index in self._groups.items()
            if group is not None
        }
        return described(self._kind, self.stats()) | {"groups": groups}

    def __call__(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """Decorate a coroutine function: each call takes one place.

        Raises:
            TypeError: not a coroutine function.
        """
        if not iscoroutinefunction(fn):
            raise TypeError(f"a bulkhead decorates coroutine functions, got {fn!r}")

        @wraps(fn)
        async def limited(*args: P.args, **kwargs: P.kwargs) -> T:
            async with self:
                return await fn(*args, **kwargs)

        return limited

    def __repr__(self) -> str:
        called = f" {self.name}" if self.name else ""
        core = self._core
        return f"<{type(self).__name__}{called} {core.in_use} of {core.limit} in use, {core.waiting} waiting>"

    def _weight(self, n: int, group: int) -> int:
        most = self._most(group)
        if not 1 <= n <= most:
            raise ValueError(f"n must be from 1 to the {most} that can be had at once, got {n!r}")
        return n

    def _most(self, group: int) -> int:
        """The most that can ever be acquired at once."""
        return self._core.most(group)

    def _group(self, group: str | None) -> int:
        index = self._groups.get(group)
        if index is None:
            known = ", ".join(repr(name) for name in self._groups if name is not None) or "none"
            raise ValueError(f"no places are reserved for {group!r}; groups: {known}")
        return index

    def _set_limit(self, limit: int, reason: str) -> None:
        before = self._core.limit
        self._core.limit = limit
        if limit != before:
            self.events.tell("limit", now(), before=before, limit=limit, reason=reason)
            self._serve()

    async def _wait(self, n: int, group: int, timeout: float | None, priority: int = 0) -> None:
        timeout = within(self.timeout if timeout is None else timeout)
        loop = asyncio.get_running_loop()
        turn = Turn(loop, n, loop.time())
        if timeout is not None and timeout <= 0:
            raise self._refusal(turn, "no place is free", count=True)
        ticket = self._core.join(turn.since, n, group, turn, priority)
        if not ticket:
            raise self._refusal(turn, f"{self._core.waiting} are waiting already")
        self.events.tell("wait", turn.since, n=n)
        timer = None if timeout is None else loop.call_later(timeout, self._too_late, turn, ticket, group)
        try:
            await turn.future
        except BaseException:
            self._left(turn, ticket, group)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if self.events:
            self.events.tell("grant", loop.time(), n=n, waited=loop.time() - turn.since)

    def _refusal(self, turn: Turn, why: str, *, count: bool = False) -> BulkheadFull:
        if count:
            self._core.reject()
        called = f"bulkhead {self.name!r}" if self.name else "bulkhead"
        self.events.tell("reject", now(), n=turn.n, reason=why)
        return BulkheadFull(
            f"{called}: {self._core.in_use} of {self._core.limit} in use, {why}", name=self.name
        )

    def _too_late(self, turn: Turn, ticket: int, group: int) -> None:
        if self._core.leave(ticket, group, True):
            waited = turn.loop.time() - turn.since
            turn.refuse(self._refusal(turn, f"no place came free in {waited:.3g} s"))
            self._serve()

    def _left(self, turn: Turn, ticket: int, group: int) -> None:
        """The wait ended without the task going in: cancelled, refused, or its loop is gone."""
        if not self._core.leave(ticket, group, False):
            if turn.give_up() is None:
                return  # refused: it is counted, and nobody's turn has changed
            self._core.give_back(int(turn.n), group)
        self._serve()

    def _serve(self) -> None:
        """Let those in for whom there is a place."""
        while True:
            let_in = self._core.serve(now())
            declined = [(turn, group) for turn, group in let_in if not turn.grant(0)]
            for turn, group in declined:
                self._core.give_back(int(turn.n), group)
            if not declined:
                return
