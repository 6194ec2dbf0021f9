"""The resources of a pool that nobody has: making them, checking them, letting them go."""

from __future__ import annotations

import asyncio
import inspect
import random
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from maypole.patterns.arguments import function, function_or_none
from maypole.patterns.deadline import without_deadline
from maypole.patterns.events import log, loop_time
from maypole.patterns.lease import Item
from maypole.patterns.tasks import cancel_all, keep

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from maypole.patterns.events import Listeners

R = TypeVar("R")

REFILL_S = 1.0
"""After so many seconds a failed creation is tried again, if ``min_idle`` wants it."""


class Customers(Protocol[R]):
    """Those a stock works for."""

    def wanted(self) -> int:
        """Return how many wait for a resource."""
        ...

    def hand(self, item: Item[R]) -> bool:
        """Give an item to the first of them; False if none waits."""
        ...

    def disappoint(self, error: Exception) -> bool:
        """Tell the first of them that none could be made for it; False if none waits."""
        ...


class Stock(Generic[R]):
    """Makes, checks, keeps and closes resources in tasks of its own; `maypole.patterns.pool.Pool` says how.

    Attributes:
        idle: what lies ready; the one that came back last is the last.
        lent: how many the pool's users have.
        coming: how many are being made or checked.
        closing: how many are being closed.
    """

    def __init__(
        self,
        called: str,
        create: Callable[[], Any],
        close: Callable[[R], object],
        check: Callable[[R], object] | None,
        *,
        max_size: int,
        min_idle: int,
        max_idle: float,
        max_lifetime: float,
        jitter: float,
        check_after: float,
        create_timeout: float,
        close_timeout: float,
        customers: Customers[R],
        events: Listeners,
    ) -> None:
        for what, fn in (("create", create), ("close", close)):
            function(what, fn)
        function_or_none("check", check)
        if max_size < 1 or not 0 <= min_idle <= max_size:
            raise ValueError(f"a pool needs 0 <= min_idle <= max_size >= 1, got {min_idle} and {max_size}")
        if not 0 <= jitter < 1:
            raise ValueError(f"jitter must be at least 0 and below 1, got {jitter!r}")
        above = (max_idle, max_lifetime, create_timeout, close_timeout)
        if not all(seconds > 0 for seconds in above) or not check_after >= 0:
            raise ValueError("the times of a pool must be above 0 (check_after may be 0)")
        self._called = called
        self._create = create
        self._close = close
        self._check = check
        self.max_size = max_size
        self.min_idle = min_idle
        self._max_idle = max_idle
        self._max_lifetime = max_lifetime
        self._jitter = jitter
        self._check_after = check_after
        self._create_timeout = create_timeout
        self._close_timeout = close_timeout
        self._customers = customers
        self.events = events
        self.idle: list[Item[R]] = []
        self.lent = self.coming = self.closing = 0
        self.closed = False
        self.created = self.create_errors = self.lost = 0
        self.create_s = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._upkeep: asyncio.TimerHandle | None = None
        self._refill_at = 0.0
        self._empty: asyncio.Event | None = None

    @property
    def size(self) -> int:
        """How many there are; one that is being closed still counts."""
        return len(self.idle) + self.lent + self.coming + self.closing

    def loop(self) -> asyncio.AbstractEventLoop:
        """Return the running loop. What was made on an earlier one is of no use any more and is closed."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._upkeep = None
            self._refill_at = 0.0
            left, self.idle = self.idle, []
            for item in left:
                self.lost += 1
                self.dispose(item)
        return loop

    def fresh(self) -> Item[R] | None:
        """Take an item that can be lent without more ado."""
        now = self.loop().time()
        while self.idle:
            item = self.idle[-1]
            if item.dies_at <= now:
                self.dispose(self.idle.pop())
            elif self._needs_check(item, now):
                return None
            else:
                self.lent += 1
                return self.idle.pop()
        return None

    def put(self, item: Item[R]) -> None:
        """Take an item in: it goes to the first who waits, or lies idle."""
        loop = self.loop()
        if self.closed or item.loop is not loop or item.dies_at <= loop.time():
            self.dispose(item)
            return
        if self._customers.hand(item):
            self.lent += 1  # from now on, and not only when its task runs
            return
        item.idle_since = loop.time()
        self.idle.append(item)
        self._plan_upkeep(min(item.idle_until, item.dies_at))

    def provide(self) -> None:
        """See to it that something is on its way for everybody who waits, and for ``min_idle``."""
        if self.closed:
            return
        while self.idle and self._customers.wanted() > self.coming:
            item = self.idle.pop()
            if self._needs_check(item, self.loop().time()):
                self.coming += 1
                self._spawn(self._check_and_put(item), "check")
            else:
                self.put(item)
        while self.size < self.max_size and self._missing() > self.coming:
            self.coming += 1
            self._spawn(self._make(), "create")

    def dispose(self, item: Item[R]) -> None:
        """Close a resource, in a task of its own."""
        self.closing += 1
        self._spawn(self._close_item(item), "close")

    def drain(self) -> None:
        """Close what lies idle, and everything else as it comes back."""
        self.closed = True
        if self._upkeep is not None:
            self._upkeep.cancel()
            self._upkeep = None
        while self.idle:
            self.dispose(self.idle.pop())

    async def emptied(self) -> None:
        """Wait until nothing is left; only after `drain`."""
        while self.size:
            if self._empty is None:
                self._empty = asyncio.Event()
            await self._empty.wait()

    def returned(self, item: Item[R], bad: bool) -> None:
        """Take back what was lent."""
        self.lent -= 1
        if bad:
            self.events.tell("broken", loop_time())
            self.dispose(item)
            self.provide()
        else:
            self.put(item)

    def abandon(self) -> list[str]:
        """Stop the tasks that still run and return what they were about."""
        names = sorted(task.get_name() for task in self._tasks)
        cancel_all(list(self._tasks))
        return names

    def _missing(self) -> int:
        """How many resources there should be that are not idle."""
        wanted = self._customers.wanted()
        if self._refill_at <= self.loop().time():
            wanted += max(0, self.min_idle - len(self.idle))
        return wanted

    def _needs_check(self, item: Item[R], now: float) -> bool:
        return self._check is not None and now - item.idle_since > self._check_after

    def _shortened(self) -> float:
        return 1 - self._jitter * random.random()

    def _spawn(self, work: Coroutine[Any, Any, None], what: str) -> None:
        # Not under the deadline of the one who happens to be first: others are served by it too.
        task = self.loop().create_task(work, name=f"{self._called} {what}", context=without_deadline())
        self._tasks.add(keep(task))
        task.add_done_callback(self._tasks.discard)

    def _gone(self) -> None:
        """One less is coming or closing."""
        if self._empty is not None and not self.size:
            self._empty.set()
            self._empty = None
        self.provide()

    async def _make(self) -> None:
        loop = self.loop()
        began = loop.time()
        try:
            async with asyncio.timeout(self._create_timeout):
                resource: R = await _answer(self._create())
        except Exception as error:
            self.coming -= 1
            self._failed_to_make(error)
            return
        except BaseException:  # the loop is about to end
            self.coming -= 1
            raise
        self.coming -= 1
        self.created += 1
        self.create_s += loop.time() - began
        self._refill_at = 0.0
        self.events.tell("create", loop.time(), seconds=loop.time() - began)
        dies_at = loop.time() + self._max_lifetime * self._shortened()
        self.put(Item(resource, loop, dies_at, self._max_idle * self._shortened()))
        self._gone()

    def _failed_to_make(self, error: Exception) -> None:
        self.create_errors += 1
        now = self.loop().time()
        self.events.tell("fail", now, error=error)
        if not self.closed:
            self._refill_at = now + REFILL_S
            self._plan_upkeep(self._refill_at)
            if not self._customers.disappoint(error):
                log.warning("%s could not make a resource in advance", self._called, exc_info=error)
        self._gone()

    async def _check_and_put(self, item: Item[R]) -> None:
        assert self._check is not None
        try:
            async with asyncio.timeout(self._create_timeout):
                good = await _answer(self._check(item.resource)) is not False
        except Exception as error:
            log.debug("%s: a check failed", self._called, exc_info=error)
            good = False
        except BaseException:  # the loop is about to end
            self.coming -= 1
            self.lost += 1
            raise
        self.coming -= 1
        if good:
            item.idle_since = self.loop().time()
            self.put(item)
        else:
            self.lost += 1
            self.events.tell("broken", self.loop().time())
            self.dispose(item)
        self._gone()

    async def _close_item(self, item: Item[R]) -> None:
        try:
            async with asyncio.timeout(self._close_timeout):
                await _answer(self._close(item.resource))
        except Exception as error:
            log.warning("%s: closing a resource failed", self._called, exc_info=error)
        except BaseException:  # the loop is about to end
            self.closing -= 1
            raise
        self.closing -= 1
        self.events.tell("close", self.loop().time())
        self._gone()

    def _plan_upkeep(self, at: float) -> None:
        if self._upkeep is None or self._upkeep.cancelled() or at < self._upkeep.when():
            if self._upkeep is not None:
                self._upkeep.cancel()
            self._upkeep = self.loop().call_at(at, self._keep_up)

    def _keep_up(self) -> None:
        """Let go what is too old, and fill up to ``min_idle``."""
        self._upkeep = None
        now = self.loop().time()
        spare = len(self.idle) - self.min_idle
        kept: list[Item[R]] = []
        for item in self.idle:  # the one that has been idle for longest is the first
            if item.dies_at <= now or (item.idle_until <= now and spare > 0):
                spare -= 1
                self.dispose(item)
            else:
                kept.append(item)
        self.idle = kept
        self.provide()
        ends = [item.dies_at for item in kept] + [item.idle_until for item in kept if item.idle_until > now]
        if self._refill_at > now:
            ends.append(self._refill_at)
        if ends:
            self._plan_upkeep(min(ends))


async def _answer(result: Any) -> Any:
    """Await what an async function returned; take that of a plain one as it is."""
    return await result if inspect.isawaitable(result) else result
