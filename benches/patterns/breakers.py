"""Circuit breakers: what happens half-open, when calls are cancelled, and when the wall clock jumps.

Each library is set up as strictly as it allows: five failures in a row, one probe at a time where that can be
said.
"""

from __future__ import annotations

import asyncio
import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from patterns.checks import STEP_S, Answer, cancel, check, failure, jump_the_wall_clock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

FLOOD = failure(
    "half-open flood", "of 50 simultaneous half-open calls one reaches the remote before it has answered"
)
CANCELLED_PROBE = failure("cancelled probe", "a cancelled probe neither opens nor closes")
CANCELLED_CALLS = failure("cancelled calls", "20 cancelled calls do not trip a closed breaker")
LATE = failure("late success", "a success begun while closed does not close a half-open breaker")
HUNG = failure("hung probe", "a probe that hangs does not keep others out for ever")
WALL = failure("breaker, wall clock", "a jump of the wall clock lets nobody through an open breaker")

THRESHOLD = 5


class Breaker:
    """One library's breaker behind one interface.

    Attributes:
        open_s: how long it stays open.
    """

    package = ""
    open_s = 2 * STEP_S

    async def setup(self) -> None:
        """Make the breaker."""
        raise NotImplementedError

    async def call(self, fn: Callable[[], Awaitable[Any]]) -> Any:
        """Call through the breaker."""
        raise NotImplementedError

    def state(self) -> str:
        """Its own name for its state."""
        raise NotImplementedError

    async def trip(self) -> None:
        """Fail until it is open, then wait until it may probe."""
        for _ in range(THRESHOLD):
            await asyncio.gather(self.call(fail), return_exceptions=True)

    async def wait_until_it_may_probe(self) -> None:
        await asyncio.sleep(self.open_s * 1.3)


class Maypole(Breaker):
    package = "maypole"

    async def setup(self) -> None:
        from maypole.patterns import CircuitBreaker

        self.breaker = CircuitBreaker(
            "remote", consecutive=THRESHOLD, open_for=self.open_s, jitter=0, half_open_timeout=10 * STEP_S
        )

    async def call(self, fn: Callable[[], Awaitable[Any]]) -> Any:
        async with self.breaker:
            return await fn()

    def state(self) -> str:
        return self.breaker.state


class Purgatory(Breaker):
    package = "purgatory"

    async def setup(self) -> None:
        from purgatory import AsyncCircuitBreakerFactory

        factory = AsyncCircuitBreakerFactory(default_threshold=THRESHOLD, default_ttl=self.open_s)
        self.breaker = await factory.get_breaker("remote")

    async def call(self, fn: Callable[[], Awaitable[Any]]) -> Any:
        async with self.breaker:
            return await fn()

    def state(self) -> str:
        return str(self.breaker.context.state)


class Hyx(Breaker):
    package = "hyx"

    async def setup(self) -> None:
        from hyx.circuitbreaker.api import consecutive_breaker

        self.breaker = consecutive_breaker(
            failure_threshold=THRESHOLD, recovery_time_secs=self.open_s, recovery_threshold=1
        )

    async def call(self, fn: Callable[[], Awaitable[Any]]) -> Any:
        async with self.breaker:
            return await fn()

    def state(self) -> str:
        return type(self.breaker.state).__name__


class Aiobreaker(Breaker):
    package = "aiobreaker"

    async def setup(self) -> None:
        from aiobreaker import CircuitBreaker

        self.breaker = CircuitBreaker(
            fail_max=THRESHOLD, timeout_duration=datetime.timedelta(seconds=self.open_s)
        )

    async def call(self, fn: Callable[[], Awaitable[Any]]) -> Any:
        return await self.breaker.call_async(fn)

    def state(self) -> str:
        return str(self.breaker.current_state)


class Circuitbreaker(Breaker):
    package = "circuitbreaker"
    open_s = 1.0

    async def setup(self) -> None:
        from circuitbreaker import CircuitBreaker

        self.breaker = CircuitBreaker(failure_threshold=THRESHOLD, recovery_timeout=1, name="remote")

    async def call(self, fn: Callable[[], Awaitable[Any]]) -> Any:
        return await self.breaker.decorate(fn)()

    def state(self) -> str:
        return str(self.breaker.state)


class Pyresilience(Breaker):
    package = "pyresilience"

    async def setup(self) -> None:
        from pyresilience import CircuitBreakerConfig, resilient

        settings = CircuitBreakerConfig(
            failure_threshold=THRESHOLD, recovery_timeout=self.open_s, success_threshold=1
        )

        @resilient(circuit_breaker=settings)
        async def guarded(fn: Callable[[], Awaitable[Any]]) -> Any:
            return await fn()

        self.guarded = guarded

    async def call(self, fn: Callable[[], Awaitable[Any]]) -> Any:
        return await self.guarded(fn)

    def state(self) -> str:
        return "not shown"


class Fluxgate(Breaker):
    package = "fluxgate"

    async def setup(self) -> None:
        from fluxgate import AsyncCircuitBreaker
        from fluxgate.permits import All
        from fluxgate.retries import Cooldown
        from fluxgate.trippers import FailureStreak

        self.breaker = AsyncCircuitBreaker(
            tripper=FailureStreak(THRESHOLD), retry=Cooldown(self.open_s), permit=All(), max_half_open_calls=1
        )

    async def call(self, fn: Callable[[], Awaitable[Any]]) -> Any:
        return await self.breaker.call(fn)

    def state(self) -> str:
        return str(self.breaker.info().state)


class Interlock(Breaker):
    package = "interlock"

    async def setup(self) -> None:
        from interlock import CircuitBreaker, Config

        settings = Config(
            minimum_number_of_calls=THRESHOLD, wait_duration_in_open=self.open_s, max_concurrent_probes=1
        )
        self.breaker = CircuitBreaker(name="remote", config=settings)

    async def call(self, fn: Callable[[], Awaitable[Any]]) -> Any:
        async with self.breaker:
            return await fn()

    def state(self) -> str:
        return str(self.breaker.state)


BREAKERS: dict[str, type[Breaker]] = {
    "maypole": Maypole,
    "aiobreaker": Aiobreaker,
    "circuitbreaker": Circuitbreaker,
    "fluxgate": Fluxgate,
    "hyx": Hyx,
    "interlock-cb": Interlock,
    "purgatory": Purgatory,
    "pyresilience": Pyresilience,
}


async def fail() -> None:
    raise OSError("down")


async def hang() -> None:
    await asyncio.sleep(3600)


class Remote:
    """Counts the calls that reach it."""

    def __init__(self, takes_s: float) -> None:
        self.reached = 0
        self.takes_s = takes_s

    async def __call__(self) -> None:
        self.reached += 1
        await asyncio.sleep(self.takes_s)


async def ask_remote(breaker: Breaker, calls: int, takes_s: float = STEP_S) -> Remote:
    """Make so many simultaneous calls; those that a breaker lets wait are given up after a while."""
    remote = Remote(takes_s)
    tasks = [asyncio.create_task(breaker.call(remote)) for _ in range(calls)]
    await asyncio.wait(tasks, timeout=4 * STEP_S)
    await cancel(*tasks)
    return remote


def half_open(state: str) -> bool | None:
    """Whether a library's name of a state means half-open; None when it shows none."""
    if state == "not shown":
        return None
    return "half" in state.lower() or "recovering" in state.lower()


async def flood(breaker: Breaker) -> Answer:
    await breaker.trip()
    await breaker.wait_until_it_may_probe()
    remote = await ask_remote(breaker, 50, 3600)
    return Answer(remote.reached == 1, f"{remote.reached} of 50 are there before one has answered")


async def cancelled_probe(breaker: Breaker) -> Answer:
    await breaker.trip()
    await breaker.wait_until_it_may_probe()
    probe = asyncio.create_task(breaker.call(hang))
    await asyncio.sleep(STEP_S / 5)
    await cancel(probe)
    state = breaker.state()
    return Answer(half_open(state), f"state {state}")


async def cancelled_calls(breaker: Breaker) -> Answer:
    calls = [asyncio.create_task(breaker.call(hang)) for _ in range(20)]
    await asyncio.sleep(STEP_S / 5)
    await cancel(*calls)
    remote = await ask_remote(breaker, 1)
    return Answer(remote.reached == 1, "stays closed" if remote.reached else "has tripped")


async def late_success(breaker: Breaker) -> Answer:
    go_on = asyncio.Event()
    old = asyncio.create_task(breaker.call(go_on.wait))
    await asyncio.sleep(0)
    await breaker.trip()
    await breaker.wait_until_it_may_probe()
    probe = asyncio.create_task(breaker.call(hang))
    await asyncio.sleep(STEP_S / 5)
    go_on.set()
    await asyncio.gather(old, return_exceptions=True)
    state = breaker.state()
    await cancel(probe)
    return Answer(half_open(state), f"state {state}")


async def hung_probe(breaker: Breaker) -> Answer:
    await breaker.trip()
    await breaker.wait_until_it_may_probe()
    probe = asyncio.create_task(breaker.call(hang))
    loop = asyncio.get_running_loop()
    end, reached = loop.time() + 4, 0
    while not reached and loop.time() < end:
        await asyncio.sleep(STEP_S)
        reached = (await ask_remote(breaker, 1)).reached
    await cancel(probe)
    return Answer(reached == 1, "another call gets through" if reached else "closed to all for 4 s")


async def wall_clock(breaker: Breaker) -> Answer:
    breaker.open_s = max(breaker.open_s, 1.0)
    await breaker.setup()
    await breaker.trip()
    before = await ask_remote(breaker, 1)
    jump_the_wall_clock(breaker.package, 3600)
    after = await ask_remote(breaker, 1)
    through = before.reached + after.reached
    return Answer(not through, "let a call through" if through else "stays open")


QUESTIONS = {
    FLOOD: flood,
    CANCELLED_PROBE: cancelled_probe,
    CANCELLED_CALLS: cancelled_calls,
    LATE: late_success,
    HUNG: hung_probe,
    WALL: wall_clock,
}


async def ask(kind: type[Breaker], question: Callable[[Breaker], Awaitable[Answer]]) -> Answer:
    breaker = kind()
    await breaker.setup()
    return await question(breaker)


for _name, _question in QUESTIONS.items():
    for _library, _kind in BREAKERS.items():
        check(_name, _library)(partial(ask, _kind, _question))
