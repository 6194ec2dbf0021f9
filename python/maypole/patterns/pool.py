"""A pool of resources that are dear to make: sockets, browser pages, child processes, licences.

Use your driver's own pool where it has one (asyncpg, psycopg, redis-py, httpx): it knows its protocol.
"""

from __future__ import annotations

import asyncio
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from maypole.patterns.arguments import exceptions, function_or_none, seconds_or_none
from maypole.patterns.errors import PoolClosed, PoolExhausted, QueueFull
from maypole.patterns.events import Listener, Listeners, described, log
from maypole.patterns.lease import Item, Lease, calling_code
from maypole.patterns.stock import Stock
from maypole.patterns.waiters import Waiters

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class PoolStats:
    """The state of a pool and what it has done.

    The names are those of psycopg_pool, with resources in place of connections.

    Attributes:
        pool_size: resources that exist, are being made, or are being closed.
        pool_available: those that are idle.
        requests_queued: requests that could not be served at once.
        requests_errors: requests that were refused, timed out, or met a failed creation.
        usage_ms: milliseconds that resources were out, in sum.
        returns_bad: resources that came back broken.
        resources_num: resources that were made; ``resources_ms`` is how long that took, in sum.
        resources_lost: resources that failed a check, or whose lease was thrown away.
        leaks: leases that were held for longer than ``leak_after``.
    """

    name: str | None
    pool_min: int
    pool_max: int
    pool_size: int
    pool_available: int
    requests_waiting: int
    requests_num: int
    requests_queued: int
    requests_wait_ms: float
    requests_errors: int
    usage_ms: float
    returns_bad: int
    resources_num: int
    resources_ms: float
    resources_errors: int
    resources_lost: int
    leaks: int


class Pool(Generic[R]):
    """Lends resources, makes new ones when needed, and closes those that are broken, old or idle for long.

    Args:
        create: makes a resource; plain or async. It runs in a task of the pool's own: cancelling the one who
            waits never leaks a half-made resource.
        close: closes one; plain or async.
        max_size: how many resources may exist at a time.
        min_idle: how many are kept ready.
        check: asked before a resource is lent that was idle for ``check_after`` seconds; plain or async. It
            is bad if this raises or returns False.
        is_broken: asked when a resource comes back.
        discard_on: a block that ends with one of these leaves its resource in an unknown state (an answer may
            still be on its way): it is closed.
        max_idle: seconds after which an idle resource is closed, above ``min_idle`` of them.
        max_lifetime: seconds after which a resource is closed.
        jitter: max_idle and max_lifetime are shortened at random by up to this part, so that what was made
            together is not replaced together.
        timeout: seconds that ``acquire`` waits, unless it says otherwise; None waits without end.
        max_waiting: how many tasks may wait.
        create_timeout: seconds for one ``create`` or ``check``.
        close_timeout: seconds for one ``close``.
        leak_after: seconds after which a lease is reported with the place in the code that took it.
        name: for messages, stats and events.
        on_event: called with each `PatternEvent`: ``wait``, ``grant`` (after a wait), ``reject``,
            ``create``, ``fail``, ``broken``, ``close``, ``leak``.

    Tasks are served in the order they came. The resource that came back last is lent first, so that those not
    needed grow old and go.

    >>> async def main():
    ...     pool = Pool(create=object, close=lambda it: None, max_size=2)
    ...     async with pool:
    ...         async with pool.acquire() as first:
    ...             pass
    ...         async with pool.acquire() as second:
    ...             return first is second
    >>> asyncio.run(main())
    True
    """

    def __init__(
        self,
        create: Callable[[], Awaitable[R]] | Callable[[], R],
        close: Callable[[R], object],
        *,
        max_size: int,
        min_idle: int = 0,
        check: Callable[[R], object] | None = None,
        is_broken: Callable[[R], bool] | None = None,
        discard_on: tuple[type[BaseException], ...] = (asyncio.CancelledError, TimeoutError),
        max_idle: float = 600.0,
        max_lifetime: float = 3600.0,
        jitter: float = 0.1,
        timeout: float | None = 30.0,
        max_waiting: int | None = 10_000,
        check_after: float = 0.5,
        create_timeout: float = 30.0,
        close_timeout: float = 10.0,
        leak_after: float | None = None,
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        self.called = f"pool {name!r}" if name else "pool"
        self.name = name
        self._is_broken = function_or_none("is_broken", is_broken)
        self._discard_on = exceptions("discard_on", discard_on)
        self._timeout = seconds_or_none("timeout", timeout, zero=True)
        self._leak_after = seconds_or_none("leak_after", leak_after)
        self.events = Listeners("pool", name, on_event)
        self._line = _Line[R](self.called, max_waiting, self._put_back)
        self._stock: Stock[R] = Stock(
            self.called,
            create,
            close,
            check,
            max_size=max_size,
            min_idle=min_idle,
            max_idle=max_idle,
            max_lifetime=max_lifetime,
            jitter=jitter,
            check_after=check_after,
            create_timeout=create_timeout,
            close_timeout=close_timeout,
            customers=self._line,
            events=self.events,
        )
        self._lent: set[Item[R]] = set()
        self._requests = self._queued = self._refused = self._returned_bad = self._leaked = 0
        self._wait_s = self._usage_s = 0.0

    def acquire(self, timeout: float | None = None) -> Lease[R]:
        """Ask for a resource: ``async with pool.acquire() as r``, or ``lease = await pool.acquire()``.

        Args:
            timeout: seconds; None takes the pool's own.

        Raises:
            PoolExhausted: when entered or awaited: nothing came free in time, or too many wait already.
            PoolClosed: the pool is closed.
            Exception: what ``create`` raised, with a note that names the pool.

        Cancel safety: a cancelled request takes nothing; what was made for it serves the next one.
        """
        return Lease(self, timeout)

    def try_acquire(self) -> Lease[R] | None:
        """Return a lease of a resource that is idle and needs no check, or None."""
        item = None if self._stock.closed or self._line.wanted() else self._stock.fresh()
        if item is None:
            return None
        self._requests += 1
        self._lend(item)
        return Lease(self, None, item)

    async def aclose(self, grace: float = 10.0) -> tuple[str, ...]:
        """Lend nothing more, wait for what is lent, and close everything.

        Args:
            grace: seconds to wait. What comes back later is closed then.

        Returns:
            One line for each resource that is still out or whose creation or closing does not end.

        Cancel safety: cancelling ends the waiting; the pool stays closed.
        """
        self._stock.drain()
        self._line.waiters.fail_all(lambda: PoolClosed(f"{self.called} is closed"))
        try:
            async with asyncio.timeout(grace):
                await self._stock.emptied()
        except TimeoutError:
            left = tuple(f"{item.holder}: took one at {item.site}" for item in self._lent)
            left += tuple(self._stock.abandon())
            log.error("%s: %d do not end:\n  %s", self.called, len(left), "\n  ".join(left))
            return left
        return ()

    def stats(self) -> PoolStats:
        """Return the state of the pool and its counts."""
        stock = self._stock
        return PoolStats(
            name=self.name,
            pool_min=stock.min_idle,
            pool_max=stock.max_size,
            pool_size=stock.size,
            pool_available=len(stock.idle),
            requests_waiting=self._line.wanted(),
            requests_num=self._requests,
            requests_queued=self._queued,
            requests_wait_ms=self._wait_s * 1000,
            requests_errors=self._refused,
            usage_ms=self._usage_s * 1000,
            returns_bad=self._returned_bad,
            resources_num=stock.created,
            resources_ms=stock.create_s * 1000,
            resources_errors=stock.create_errors,
            resources_lost=stock.lost,
            leaks=self._leaked,
        )

    def describe(self) -> dict[str, Any]:
        """Return the stats, and who holds what since when, as a dict."""
        held = [{"holder": item.holder, "site": item.site, "since": item.taken_at} for item in self._lent]
        return described("pool", self.stats()) | {"held": held}

    async def __aenter__(self) -> Self:
        if self._stock.closed and self._stock.size:
            raise PoolClosed(f"{self.called} is closing; {self._stock.size} resources are left")
        self._stock.closed = False
        self._stock.loop()
        self._stock.provide()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # What a lease asks for

    async def take(self, timeout: float | None) -> Item[R]:
        """Wait for an item; a `Lease` calls this."""
        if self._stock.closed:
            raise PoolClosed(f"{self.called} is closed")
        self._requests += 1
        loop = self._stock.loop()
        began = loop.time()
        item = None if self._line.wanted() else self._stock.fresh()
        if item is None:
            self._queued += 1
            self.events.tell("wait", began)
            try:
                item = await self._take_in_line(self._timeout if timeout is None else timeout)
            finally:
                self._wait_s += loop.time() - began
            if self.events:
                self.events.tell("grant", loop.time(), waited=loop.time() - began)
        self._lend(item)
        return item

    async def _take_in_line(self, timeout: float | None) -> Item[R]:
        waiters = self._line.waiters
        try:
            place = waiters.stand()
            self._stock.provide()
            return await waiters.handed(place, timeout)
        except _NotMade as failed:
            self._refused += 1
            failed.error.add_note(f"{self.called} could not make a resource")
            raise failed.error from failed.error.__cause__
        except TimeoutError:
            stock = self._stock
            text = f"{self.called}: no resource in time; {stock.lent} of {stock.max_size} are lent"
            raise self._refuse(text) from None
        except QueueFull as full:
            raise self._refuse(str(full)) from None

    def _refuse(self, text: str) -> PoolExhausted:
        self._refused += 1
        self.events.tell("reject", self._stock.loop().time(), waiting=self._line.wanted())
        return PoolExhausted(text, name=self.name)

    def _lend(self, item: Item[R]) -> None:
        loop = item.loop
        self._lent.add(item)
        item.taken_at = loop.time()
        item.taken_in = calling_code(_OWN)
        task = asyncio.current_task()
        item.holder = task.get_name() if task is not None else "no task"
        if self._leak_after is not None:
            item.leak_timer = loop.call_later(self._leak_after, self._report_leak, item)
        if self._stock.min_idle:
            self._stock.provide()  # there may be too few left

    def take_back(self, item: Item[R], bad: bool) -> None:
        """Take an item back; a `Lease` calls this."""
        self._ended(item)
        if bad or self._says_broken(item):
            self._returned_bad += 1
            bad = True
        self._stock.returned(item, bad)

    def _ended(self, item: Item[R]) -> None:
        """Note that nobody holds this one any more."""
        self._lent.discard(item)
        if item.leak_timer is not None:
            item.leak_timer.cancel()
            item.leak_timer = None
        if not item.loop.is_closed():
            self._usage_s += item.loop.time() - item.taken_at

    def _says_broken(self, item: Item[R]) -> bool:
        if self._is_broken is None:
            return False
        try:
            return bool(self._is_broken(item.resource))
        except Exception:
            log.exception("%s: is_broken failed; the resource counts as broken", self.called)
            return True

    def spoils(self, error: BaseException) -> bool:
        """Whether a block that ended so leaves its resource in an unknown state."""
        return isinstance(error, self._discard_on)

    def lost(self, item: Item[R]) -> None:
        """Take back what a lease held that was thrown away; from any thread."""
        warnings.warn(
            f"a lease of {self.called} was thrown away without release", ResourceWarning, stacklevel=3
        )
        if not item.loop.is_closed():
            item.loop.call_soon_threadsafe(self._returned_lost, item)

    def _returned_lost(self, item: Item[R]) -> None:
        self._ended(item)
        self._stock.lost += 1
        self._stock.returned(item, bad=True)

    def _put_back(self, item: Item[R]) -> None:
        """One who waited was cancelled with an item already on its way."""
        self._stock.returned(item, bad=False)

    def _report_leak(self, item: Item[R]) -> None:
        self._leaked += 1
        self.events.tell("leak", item.loop.time(), site=item.site, holder=item.holder)
        text = "%s: %s holds a resource for more than %g s, taken at %s"
        log.warning(text, self.called, item.holder, self._leak_after, item.site)

    def __repr__(self) -> str:
        stock = self._stock
        return f"<Pool {self.called}: {stock.lent} lent, {len(stock.idle)} idle, {self._line.wanted()} wait>"


class _NotMade(Exception):
    """Carries what ``create`` raised to the one it was made for."""

    def __init__(self, error: Exception) -> None:
        self.error = error


class _Line(Generic[R]):
    """Those who wait, as the stock sees them."""

    def __init__(self, called: str, max_waiting: int | None, give_back: Callable[[Item[R]], None]) -> None:
        self.waiters: Waiters[Item[R]] = Waiters(give_back, name=called, max_waiting=max_waiting)

    def wanted(self) -> int:
        return len(self.waiters)

    def hand(self, item: Item[R]) -> bool:
        return self.waiters.hand(item)

    def disappoint(self, error: Exception) -> bool:
        return self.waiters.fail(lambda: _NotMade(error))


_OWN = frozenset({__file__, Lease.__init__.__code__.co_filename})
"""A call passes through these files before the pool asks where it came from."""
