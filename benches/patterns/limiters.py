"""Rate limits: who starves, who waits for whom, who polls, what a second run and a jump of the clock do."""

from __future__ import annotations

import asyncio
import itertools
import warnings
from functools import partial
from typing import TYPE_CHECKING, Any

from patterns.checks import Answer, cancel, check, failure, jump_the_wall_clock

if TYPE_CHECKING:
    from collections.abc import Callable

HEAVY = failure("heavy waiter", "who wants 50 units and came first is served before those who came later")
KEYS = failure("key waits for key", "who waits for key A does not delay key B")
ORDER = failure("order", "600 who wait are served in the order in which they came")
TIMERS = failure("polling", "600 who wait are not polled: five timers each at most")
RERUN = failure("second run", "a limit with waiters serves a second asyncio.run without a word")
WALL = failure("limit, wall clock", "a jump of the wall clock gives a limit no units")

Acquire = Any
"""``await acquire(n)``, and ``await acquire(n, key)`` where there are keys."""


def maypole_limit(rate: float, burst: float) -> Acquire:
    from maypole.patterns import Keyed, RateLimit

    keyed: Keyed[str, RateLimit] = Keyed(lambda _: RateLimit(rate, burst=burst))

    async def acquire(n: float = 1, key: str = "a") -> None:
        await keyed[key].acquire(n)

    return acquire


def aiolimiter_limit(rate: float, burst: float) -> Acquire:
    from aiolimiter import AsyncLimiter

    limiter = AsyncLimiter(burst, burst / rate)

    async def acquire(n: float = 1) -> None:
        await limiter.acquire(n)

    return acquire


def pyrate_limit(rate: float, burst: float) -> Acquire:
    from pyrate_limiter import BucketFactory, InMemoryBucket, Limiter, MonotonicClock, Rate, RateItem

    class PerKey(BucketFactory):
        def __init__(self) -> None:
            self.clock = MonotonicClock()
            self.made: dict[str, InMemoryBucket] = {}

        def wrap_item(self, name: str, weight: int = 1) -> RateItem:
            return RateItem(name, self.clock.now(), weight=weight)

        def get(self, item: RateItem) -> InMemoryBucket:
            if item.name not in self.made:
                rates = [Rate(int(burst), int(1000 * burst / rate))]
                self.made[item.name] = self.create(InMemoryBucket, rates)
            return self.made[item.name]

    limiter = Limiter(PerKey())

    async def acquire(n: int = 1, key: str = "a") -> None:
        await limiter.try_acquire_async(key, n)

    return acquire


def throttled_limit(rate: float, burst: float) -> Acquire:
    from throttled.asyncio import MemoryStore, Throttled, rate_limiter

    quota = rate_limiter.per_sec(int(rate), burst=int(burst))
    throttle = Throttled(using="gcra", quota=quota, store=MemoryStore(), timeout=60)

    async def acquire(n: int = 1, key: str = "a") -> None:
        if (await throttle.limit(key, cost=n)).limited:
            raise TimeoutError

    return acquire


def asyncio_throttle_limit(rate: float, burst: float) -> Acquire:
    from asyncio_throttle import Throttler

    throttler = Throttler(int(burst), burst / rate)

    async def acquire(n: int = 1) -> None:
        await throttler.acquire()

    return acquire


LIMITS: dict[str, Callable[[float, float], Acquire]] = {
    "maypole": maypole_limit,
    "aiolimiter": aiolimiter_limit,
    "asyncio-throttle": asyncio_throttle_limit,
    "pyrate-limiter": pyrate_limit,
    "throttled-py": throttled_limit,
}
WEIGHTED = ("maypole", "aiolimiter", "pyrate-limiter", "throttled-py")
WITH_KEYS = ("maypole", "pyrate-limiter", "throttled-py")


async def heavy_waiter(make: Callable[[float, float], Acquire]) -> Answer:
    acquire = make(100, 50)
    await acquire(50)
    loop = asyncio.get_running_loop()
    began = loop.time()
    heavy = asyncio.create_task(acquire(50))
    await asyncio.sleep(0)

    async def take_one_after_another() -> None:
        while True:
            await acquire(1)

    light = [asyncio.create_task(take_one_after_another()) for _ in range(20)]
    done, _ = await asyncio.wait([heavy], timeout=4)
    took = loop.time() - began
    await cancel(heavy, *light)
    return Answer(bool(done) and took < 1.0, f"after {took:.2f} s" if done else "not in 4 s (ideal 0.5 s)")


async def key_waits_for_key(make: Callable[[float, float], Acquire]) -> Answer:
    acquire = make(1, 1)
    await acquire(1, "a")
    waiting = asyncio.create_task(acquire(1, "a"))
    await asyncio.sleep(0.05)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await acquire(1, "b")
    took = loop.time() - began
    await cancel(waiting)
    return Answer(took < 0.5, f"B waited {took:.2f} s")


async def contend(acquire: Acquire, count: int) -> list[int]:
    """The order in which so many are served that came one after another."""
    served: list[int] = []

    async def take(number: int) -> None:
        await acquire(1)
        served.append(number)

    await asyncio.gather(*(take(number) for number in range(count)))
    return served


async def in_order(make: Callable[[float, float], Acquire]) -> Answer:
    served = await contend(make(500, 100), 600)
    swapped = sum(first > second for first, second in itertools.pairwise(served))
    return Answer(swapped == 0, f"{swapped} times out of order")


async def few_timers(make: Callable[[float, float], Acquire]) -> Answer:
    loop = asyncio.get_running_loop()
    call_at = loop.call_at
    timers = 0

    def counted(*args: Any, **kwargs: Any) -> asyncio.TimerHandle:
        nonlocal timers
        timers += 1
        return call_at(*args, **kwargs)

    loop.call_at = counted  # type: ignore[method-assign]
    await contend(make(500, 100), 600)
    return Answer(timers <= 3000, f"{timers / 600:.1f} timers for each")


def second_run(make: Callable[[float, float], Acquire]) -> Answer:
    """Runs loops of its own."""
    acquire = make(1000, 1)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for _ in range(2):
            try:
                asyncio.run(contend(acquire, 10))
            except RuntimeError as error:
                return Answer(False, f"raises {error}")
    said = [str(warning.message) for warning in warned]
    return Answer(not said, f"warns: {said[0][:60]}" if said else "works")


async def wall_clock(make: Callable[[float, float], Acquire], package: str) -> Answer:
    acquire = make(1, 1)
    await acquire(1)
    jump_the_wall_clock(package, 3600)
    late = asyncio.create_task(acquire(1))
    done, _ = await asyncio.wait([late], timeout=0.3)
    await cancel(late)
    return Answer(not done, "let a call through" if done else "waits its second")


@check(WALL, "limits")
async def limits_wall_clock() -> Answer:
    from limits import RateLimitItemPerHour
    from limits.aio.storage import MemoryStorage
    from limits.aio.strategies import MovingWindowRateLimiter

    limiter, item = MovingWindowRateLimiter(MemoryStorage()), RateLimitItemPerHour(1)
    assert await limiter.hit(item)
    assert not await limiter.hit(item)
    jump_the_wall_clock("limits", 3601)
    through = await limiter.hit(item)
    return Answer(not through, "let a call through" if through else "stays at its limit")


async def in_thread(function: Callable[[], Answer]) -> Answer:
    return await asyncio.to_thread(function)


for _library in WEIGHTED:
    check(HEAVY, _library)(partial(heavy_waiter, LIMITS[_library]))
for _library in WITH_KEYS:
    check(KEYS, _library)(partial(key_waits_for_key, LIMITS[_library]))
for _library, _make in LIMITS.items():
    check(ORDER, _library)(partial(in_order, _make))
    check(TIMERS, _library)(partial(few_timers, _make))
    check(RERUN, _library)(partial(in_thread, partial(second_run, _make)))
for _library, _package in {
    "maypole": "maypole",
    "throttled-py": "throttled",
    "aiolimiter": "aiolimiter",
}.items():
    check(WALL, _library)(partial(wall_clock, LIMITS[_library], _package))
