"""One rate limit for several processes, kept in Redis."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from maypole._maypole import Ready
from maypole.patterns.deadline import within, without_deadline
from maypole.patterns.errors import RateLimited
from maypole.patterns.events import Listeners, described, log
from maypole.patterns.rate_limit import RateLimit
from maypole.patterns.rates import count_and_period
from maypole.patterns.tasks import keep
from maypole.patterns.turn import Turn

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import TracebackType

    from maypole.patterns.events import Listener

OnStoreError = Literal["local", "open", "closed"]

_READY = Ready()

_NOW = """
local now = tonumber(ARGV[1])
if now < 0 then
  local time = redis.call('TIME')
  now = time[1] * 1000000 + time[2]
end
local paused = tonumber(redis.call('GET', KEYS[2]) or '0')
"""

# KEYS: the bucket, its pause. ARGV: now (-1: the server's), cost, fill, longest wait (-1: any); microseconds.
_RESERVE = (
    _NOW
    + """
local cost, fill, wait_max = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local from = math.max(now, paused)
local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), from)
local wait = math.max(from, tat + cost - fill) - now
if wait_max >= 0 and wait > wait_max then
  return {0, string.format('%.0f', wait)}
end
tat = tat + cost
redis.call('SET', KEYS[1], string.format('%.0f', tat), 'PX', math.ceil((tat - now) / 1000) + 1)
return {1, string.format('%.0f', wait)}
"""
)

# ARGV: now, how long. The pause that ends last counts.
_PAUSE = (
    _NOW
    + """
local ends = math.max(paused, now + tonumber(ARGV[2]))
redis.call('SET', KEYS[2], string.format('%.0f', ends), 'PX', math.ceil((ends - now) / 1000) + 1)
return 1
"""
)


class Script(Protocol):
    """A script that the client has registered."""

    def __call__(self, keys: list[str], args: list[Any]) -> Awaitable[Any]:
        """Run it."""


class RedisClient(Protocol):
    """What is needed of ``redis.asyncio.Redis``."""

    def register_script(self, script: str) -> Any:
        """Return a callable that runs a Lua script, and loads it where it is not known."""


@dataclass(frozen=True, slots=True)
class RedisRateLimitStats:
    """What a `RedisRateLimit` did in this process.

    Attributes:
        name: the name of the limit.
        granted: how many calls were let through; those that gave it back are not counted.
        rejected: how many were refused.
        cancelled: how many were cancelled while they waited.
        waiting: how many wait now.
        spare: units that were reserved and are not used yet.
        reserved: units that were ever reserved in the store.
        store_calls: how often the store was asked.
        store_errors: how often it did not answer.
    """

    name: str | None
    granted: int
    rejected: int
    cancelled: int
    waiting: int
    spare: float
    reserved: float
    store_calls: int
    store_errors: int


class RedisRateLimit:
    """A `RateLimit` that all processes share which use the same key of one Redis.

    Args:
        client: a ``redis.asyncio.Redis``; it stays yours.
        key: the name of the limit in Redis.
        rate: units per period, or a text with its period.
        per: the period in seconds, for a rate that is a number.
        burst: how many units may come at once.
        lease: how many units to reserve with one call of the store, when as many are wanted. More cost fewer
            calls; all processes together may exceed the bound by ``lease`` for each of them.
        max_waiting: how many tasks of this process may wait; None for no bound.
        on_store_error: what to do while the store does not answer: ``"local"`` goes on with a limit of this
            process alone, at an equal share of the rate; ``"open"`` lets everybody through, ``"closed"``
            nobody.
        instances: how many processes share the limit, for ``"local"``.
        store_timeout: seconds after which the store has not answered.
        store_retry: seconds after which it is asked again.
        clock: ``"server"``: the time is that of Redis. ``"client"`` where a script may not ask for it: all
            machines' wall clocks must then agree.
        name, on_event: as for `RateLimit`; events are ``wait``, ``grant`` (both when the store was
            asked), ``reject``, ``pause``, ``store_error``.

    Reserves places in one line for all processes, in the store, and serves its own tasks from them in the
    order in which they came. On a cluster, put a hash tag into the key: ``{api}``.

    Raises:
        ValueError: settings that make no sense.

    Source: the generic cell rate algorithm, as a reservation.
    """

    def __init__(
        self,
        client: RedisClient,
        key: str,
        rate: float | str,
        *,
        per: float = 1.0,
        burst: float = 1,
        lease: float = 1,
        max_waiting: int | None = 10_000,
        on_store_error: OnStoreError = "local",
        instances: int = 1,
        store_timeout: float = 1.0,
        store_retry: float = 1.0,
        clock: Literal["server", "client"] = "server",
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        count, period = count_and_period(rate, per)
        if instances < 1:
            raise ValueError(f"instances must be 1 or more, got {instances}")
        if not burst > 0:
            raise ValueError(f"burst must be above 0, got {burst!r}")
        if not 0 < lease <= burst:
            raise ValueError(f"lease must be above 0 and at most the burst, got {lease!r}")
        if max_waiting is not None and max_waiting < 0:
            raise ValueError(f"max_waiting must be 0 or more, got {max_waiting}")
        if not (store_timeout > 0 and store_retry >= 0):
            raise ValueError("store_timeout must be above 0, and store_retry 0 or more seconds")
        if on_store_error not in ("local", "open", "closed"):
            raise ValueError(f"on_store_error must be 'local', 'open' or 'closed', got {on_store_error!r}")
        share = max(1.0, burst / instances)
        self._local = RateLimit(count / period / instances, burst=share, max_waiting=None)
        self.name = name
        self.key = key
        self.max_waiting = max_waiting
        self.events = Listeners("redis_rate_limit", name, on_event)
        self._keys = [key, f"{key}:pause"]
        self._reserve_in_store: Script = client.register_script(_RESERVE)
        self._pause_in_store: Script = client.register_script(_PAUSE)
        self._unit_us = 1e6 * period / count
        self._burst = burst
        self._lease = lease
        self._on_store_error = on_store_error
        self._store_timeout = store_timeout
        self._store_retry = store_retry
        self._server_clock = clock == "server"
        self._line: OrderedDict[Turn, float | None] = OrderedDict()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: asyncio.Task[None] | None = None
        self._held_until = 0.0
        self._store_down_until = 0.0
        self._spare = 0.0
        self._reserved = 0.0
        self._counts = {"granted": 0, "rejected": 0, "cancelled": 0, "calls": 0, "errors": 0}

    async def try_acquire(self, n: float = 1) -> bool:
        """Ask the store for ``n`` units now; False if they are not there, or somebody of this process waits.

        Raises:
            ValueError: ``n`` is not above 0, or more than the burst.
        """
        try:
            await self.acquire(n, timeout=0)
        except RateLimited:
            return False
        return True

    async def acquire(self, n: float = 1, *, timeout: float | None = None) -> None:
        """Wait for ``n`` units.

        Args:
            n: the weight.
            timeout: seconds; None waits as long as it takes. The `Deadline` that holds here counts too.

        Raises:
            RateLimited: it would be too late, or ``max_waiting`` tasks wait, or the store does not answer and
                ``on_store_error`` is ``"closed"``.
            ValueError: ``n`` is not above 0, or more than the burst.

        Cancel safety: a task that is cancelled takes nothing; what was reserved for it goes to the next one
        of this process.
        """
        if not 0 < n <= self._burst:
            raise ValueError(f"n must be above 0 and at most the burst of {self._burst:g}, got {n!r}")
        loop = asyncio.get_running_loop()
        self._belong_to(loop)
        if not self._line and self._spare >= n and loop.time() >= self._held_until:
            self._spare -= n
            self._counts["granted"] += 1
            return
        if self.max_waiting is not None and len(self._line) >= max(self.max_waiting, 1):
            raise self._refusal(f"{len(self._line)} are waiting already", None)
        timeout = within(timeout)
        if timeout is not None and timeout <= 0 and self._line:
            raise self._refusal("others are waiting", None)
        await self._wait(Turn(loop, n, loop.time()), timeout)

    async def pause(self, seconds: float) -> None:
        """Let nothing through for so many seconds, in all processes; nothing but time lifts it.

        Other processes hear of it with their next call of the store: each may use up what it has reserved.

        Raises:
            ValueError: seconds are negative or not finite.
        """
        self._local.pause(seconds)
        loop = asyncio.get_running_loop()
        self._belong_to(loop)
        self._held_until = max(self._held_until, loop.time() + seconds)
        self.events.tell("pause", loop.time(), seconds=seconds)
        try:
            await self._ask(self._pause_in_store, [seconds * 1e6])
        except Exception as error:
            self._store_failed(error)

    def __aenter__(self) -> Awaitable[None]:
        """Wait for one unit, as `acquire` does."""
        return self.acquire()

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Awaitable[None]:
        """Nothing is given back: the unit is used."""
        return _READY

    def stats(self) -> RedisRateLimitStats:
        """Return what this process did."""
        counts = self._counts
        return RedisRateLimitStats(
            self.name,
            counts["granted"],
            counts["rejected"],
            counts["cancelled"],
            len(self._line),
            self._spare,
            self._reserved,
            counts["calls"],
            counts["errors"],
        )

    def describe(self) -> dict[str, Any]:
        """Return the stats as a dict."""
        return described("redis_rate_limit", self.stats()) | {"key": self.key}

    def __repr__(self) -> str:
        return f"<RedisRateLimit {self.key} {1e6 / self._unit_us:g}/s burst {self._burst:g}>"

    def _belong_to(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is loop:
            return
        if self._loop is not None and self._line and not self._loop.is_closed():
            raise RuntimeError("tasks of another event loop are waiting")
        self._loop = loop
        self._line.clear()
        self._server = None
        self._held_until = self._store_down_until = 0.0

    def _refusal(self, why: str, retry_after: float | None) -> RateLimited:
        called = self.name or self.key
        self._counts["rejected"] += 1
        self.events.tell("reject", asyncio.get_running_loop().time(), reason=why, retry_after=retry_after)
        return RateLimited(f"rate limit {called!r}: {why}", name=self.name, retry_after=retry_after)

    async def _wait(self, turn: Turn, timeout: float | None) -> None:
        self._line[turn] = None if timeout is None else turn.since + timeout
        timer = None
        if timeout is not None and timeout > 0:
            timer = turn.loop.call_later(timeout, self._too_late, turn)
        self._serve_on()
        self.events.tell("wait", turn.since, n=turn.n)
        try:
            await turn.future
        except BaseException as error:
            self._left(turn, error)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if self.events:
            now = turn.loop.time()
            self.events.tell("grant", now, n=turn.n, waited=now - turn.since)

    def _too_late(self, turn: Turn) -> None:
        if turn in self._line:
            del self._line[turn]
            turn.refuse(self._refusal("not let through in time", None))

    def _left(self, turn: Turn, error: BaseException) -> None:
        self._line.pop(turn, None)
        if turn.give_up() is not None:
            self._spare += turn.n
            self._counts["granted"] -= 1
            self._serve_on()
        if not isinstance(error, RateLimited):
            self._counts["cancelled"] += 1

    def _serve_on(self) -> None:
        """One task asks the store and serves the line; it ends when nobody waits."""
        if self._line and self._server is None and self._loop is not None and not self._loop.is_closed():
            self._server = keep(self._loop.create_task(self._serve(), context=without_deadline()))

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._line:
                first = next(iter(self._line))
                held = self._held_until - loop.time()
                if held > 0:
                    await asyncio.sleep(held)
                elif self._spare < first.n:
                    await self._reserve_for(first)
                else:
                    del self._line[first]
                    if first.grant(0):
                        self._spare -= first.n
                        self._counts["granted"] += 1
        except Exception as error:
            while self._line:
                self._line.popitem(last=False)[0].refuse(error)
            raise
        finally:
            if self._server is asyncio.current_task():
                self._server = None

    async def _reserve_for(self, first: Turn) -> None:
        """Reserve what the first needs, and more for those behind it, and wait until it is due."""
        loop = asyncio.get_running_loop()
        needed = first.n - self._spare
        wanted = min(max(needed, min(self._lease, self._wanted())), self._burst)
        deadline = self._line[first]
        longest = -1.0 if deadline is None else max(0.0, deadline - loop.time()) * 1e6
        if loop.time() < self._store_down_until:
            await self._without_store(first, wanted)
            return
        args = [wanted * self._unit_us, self._burst * self._unit_us, longest]
        try:
            granted, wait_us = await self._ask(self._reserve_in_store, args)
        except Exception as error:
            self._store_failed(error)
            return
        wait = float(wait_us) / 1e6
        if int(granted):
            self._reserved += wanted
            if wait > 0:
                await asyncio.sleep(wait)
            self._spare += wanted
        elif first in self._line:
            del self._line[first]
            first.refuse(self._refusal(f"{first.n:g} would be let through in {wait:.3g} s", wait))

    def _wanted(self) -> float:
        """What the line needs, as far as one lease goes."""
        total = -self._spare
        for turn in self._line:
            total += turn.n
            if total >= self._lease:
                break
        return total

    async def _ask(self, script: Script, args: list[float]) -> Any:
        self._counts["calls"] += 1
        now = -1.0 if self._server_clock else time.time() * 1e6
        async with asyncio.timeout(self._store_timeout):
            return await script(keys=self._keys, args=[f"{arg:.3f}" for arg in (now, *args)])

    def _store_failed(self, error: Exception) -> None:
        at = asyncio.get_running_loop().time()
        self._counts["errors"] += 1
        self._store_down_until = at + self._store_retry
        self.events.tell("store_error", at, error=repr(error))
        log.warning("rate limit %r: the store does not answer: %r", self.name or self.key, error)

    async def _without_store(self, first: Turn, wanted: float) -> None:
        if self._on_store_error == "closed":
            if first in self._line:
                del self._line[first]
                later = max(0.0, self._store_down_until - asyncio.get_running_loop().time())
                first.refuse(self._refusal("the store does not answer", later))
            return
        if self._on_store_error == "local":
            left = first.n - self._spare
            while left > 0:
                piece = min(left, self._local._core.most)
                await self._local.acquire(piece)
                left -= piece
            wanted = first.n - self._spare
        self._spare += wanted
