"""`call_later`: insertion, cancellation, firing, and how late timers fire."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from typing import TYPE_CHECKING

from measuring.lateness import figures
from measuring.scenario import Tier, scenario

if TYPE_CHECKING:
    from measuring.bench import Bench

#: Within this time all timers of a `timer.fire` scenario are due.
FIRING_S = 0.05


@scenario("timer.insert_cancel", count=100_000, unit="timer", tier=Tier.QUICK, params={"alive": 1000})
async def insert_cancel(bench: Bench) -> None:
    """A timer is inserted and the oldest of a thousand cancelled: what a server's timeouts do."""
    loop = asyncio.get_running_loop()
    alive: deque[asyncio.TimerHandle] = deque()

    def never() -> None:
        raise AssertionError("a cancelled timer fired")

    for _ in range(bench.param("alive")):
        alive.append(loop.call_later(60, never))
    with bench.measure(bench.count):
        for turn in range(bench.count):
            alive.append(loop.call_later(60 + turn % 97, never))
            alive.popleft().cancel()
            if turn % 1000 == 0:
                await asyncio.sleep(0)
    for handle in alive:
        handle.cancel()
    await asyncio.sleep(0)


@scenario("timer.fire.1M", count=1_000_000, unit="timer", samples=1, tier=Tier.COMPLETE)
@scenario("timer.fire.100k", count=100_000, unit="timer", samples=1)
@scenario("timer.fire.10k", count=10_000, unit="timer")
@scenario("timer.fire.1k", count=1_000, unit="timer", samples=9)
async def fire(bench: Bench) -> None:
    """All timers are inserted, then all fire, in an order unlike that of insertion."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    count = bench.count
    left = count

    def hit() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            done.set_result(None)

    with bench.measure(count):
        for turn in range(count):
            # 7919 is prime: the delays are spread evenly and come in no order.
            loop.call_later(FIRING_S * (turn * 7919 % count) / count, hit)
        await done
    bench.expect(left, 0, "timers left")


@scenario(
    "timer.lateness",
    count=300,
    unit="timer",
    samples=1,
    tier=Tier.QUICK,
    primary="late_p50_us",
    compared=False,
)
async def lateness(bench: Bench) -> None:
    """How late `call_later` calls back on an idle loop, one timer at a time. Early is wrong."""
    loop = asyncio.get_running_loop()
    delays = random.Random(1)
    seen_us: list[float] = []
    for _ in range(bench.count):
        fired: asyncio.Future[float] = loop.create_future()
        delay = delays.uniform(0.0005, 0.005)
        asked = time.monotonic()
        loop.call_later(delay, stamp, fired)
        seen_us.append((await fired - asked - delay) * 1e6)
    bench.expect(len(seen_us), bench.count, "timers")
    bench.metrics.update(figures(seen_us))


def stamp(fired: asyncio.Future[float]) -> None:
    """Says when it was called."""
    fired.set_result(time.monotonic())


@scenario("timer.lateness.1k", count=1_000, unit="timer", samples=1, primary="late_p50_us", compared=False)
async def lateness_of_many(bench: Bench) -> None:
    """The same with all timers waiting at once, over one second."""
    loop = asyncio.get_running_loop()
    delays = random.Random(1)
    done: asyncio.Future[None] = loop.create_future()
    seen_us: list[float] = []

    def hit(due: float) -> None:
        seen_us.append((time.monotonic() - due) * 1e6)
        if len(seen_us) == bench.count:
            done.set_result(None)

    for _ in range(bench.count):
        delay = delays.uniform(0.05, 1.0)
        loop.call_later(delay, hit, time.monotonic() + delay)
    await done
    bench.expect(len(seen_us), bench.count, "timers")
    bench.metrics.update(figures(seen_us))
