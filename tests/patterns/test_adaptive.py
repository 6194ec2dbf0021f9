"""An adaptive limit: what moves it, and where it settles against a server that is a queue."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any, Literal

import pytest
from maypole.patterns import Adaptive, BulkheadFull, PatternEvent
from maypole.testing import VirtualClock

Run = Callable[..., Any]


class Server:
    """So many slots, each call with an exponential time: capacity is slots / mean."""

    def __init__(self, slots: int, mean: float, seed: int) -> None:
        self.slots = asyncio.Semaphore(slots)
        self.mean = mean
        self.choose = random.Random(seed)

    async def call(self) -> None:
        seconds = self.choose.expovariate(1 / self.mean)
        async with self.slots:
            await asyncio.sleep(seconds)


async def load(limit: Adaptive, server: Server, rate: float, seconds: float, seed: int) -> list[int]:
    """Calls at random times, whoever is inside; the limit of each second."""
    loop = asyncio.get_running_loop()
    choose = random.Random(seed)
    end = loop.time() + seconds
    limits: list[int] = []
    tasks: set[asyncio.Task[None]] = set()

    async def call() -> None:
        try:
            async with limit:
                await server.call()
        except BulkheadFull:
            pass

    while loop.time() < end:
        tasks.add(task := asyncio.create_task(call()))
        task.add_done_callback(tasks.discard)
        await asyncio.sleep(choose.expovariate(rate))
        limits.append(limit.limit)
    await asyncio.gather(*tasks)
    return limits


def settled(limits: list[int]) -> float:
    """The mean of the last half."""
    half = limits[len(limits) // 2 :]
    return sum(half) / len(half)


def test_aimd_holds_the_mean_time_at_the_target(run: Run) -> None:
    async def main() -> float:
        limit = Adaptive(target=0.1, initial=60)
        return settled(await load(limit, Server(10, 0.05, 1), rate=300, seconds=60, seed=2))

    # Little: 200 calls a second for 0.1 s each are 20 at once.
    assert 16 <= run(main()) <= 24


def test_aimd_follows_a_server_that_loses_slots(run: Run) -> None:
    async def main() -> float:
        limit = Adaptive(target=0.1, initial=20)
        return settled(await load(limit, Server(4, 0.05, 3), rate=300, seconds=60, seed=4))

    assert 6 <= run(main()) <= 11


def test_the_gradient_needs_no_target(run: Run) -> None:
    async def main() -> tuple[float, float]:
        limit = Adaptive(algorithm="gradient", initial=100, probe_every=30)
        limits = await load(limit, Server(10, 0.05, 5), rate=300, seconds=100, seed=6)
        stats = limit.adaptive_stats()
        assert stats.baseline is not None
        return settled(limits), stats.baseline

    found, baseline = run(main())
    assert 10 <= found <= 40
    assert 0.03 <= baseline <= 0.08


def test_vegas_keeps_a_small_queue(run: Run) -> None:
    async def main() -> float:
        limit = Adaptive(algorithm="vegas", initial=10)
        return settled(await load(limit, Server(10, 0.05, 7), rate=300, seconds=30, seed=8))

    assert 10 <= run(main()) <= 60


def test_the_limit_stays_while_few_use_it(run: Run) -> None:
    async def main() -> int:
        limit = Adaptive(target=0.1, initial=50)
        for _ in range(300):
            async with limit:
                await asyncio.sleep(0.01)
        return limit.limit

    assert run(main()) == 50


def test_an_overload_shrinks_it_even_when_nobody_answers(run: Run) -> None:
    heard: list[PatternEvent] = []

    async def main() -> int:
        limit = Adaptive(target=1.0, initial=50, on_event=heard.append)
        for _ in range(30):
            with pytest.raises(TimeoutError):
                async with limit, asyncio.timeout(0.1):
                    await asyncio.sleep(1)
        return limit.limit

    assert run(main()) == 40  # two windows, a tenth less each
    assert [event.detail["limit"] for event in heard] == [45, 40]
    assert heard[0].detail["reason"] == "overload"


def test_other_errors_and_cancellations_and_drops_say_nothing(run: Run) -> None:
    async def main() -> None:
        limit = Adaptive(target=0.001, initial=50, min_samples=1, window=0.1)
        for _ in range(10):
            with pytest.raises(KeyError):
                async with limit:
                    await asyncio.sleep(0.1)
                    raise KeyError
            async with limit as slot:
                slot.drop()
                await asyncio.sleep(0.1)
        assert limit.limit == 50
        assert limit.in_use == 0

    run(main())


@pytest.mark.parametrize("loop", ["asyncio", "maypole"])
def test_the_own_loops_delay_is_not_blamed_on_the_remote(loop: Literal["asyncio", "maypole"]) -> None:
    async def main(exclude: bool) -> float:
        limit = Adaptive(target=1.0, initial=50, min_samples=1, window=0.05, exclude_loop_lag=exclude)

        async def hog() -> None:
            while True:
                time.sleep(0.04)
                await asyncio.sleep(0)

        busy = asyncio.create_task(hog())
        for _ in range(20):
            async with limit:
                await asyncio.sleep(0)  # the answer is there at once; this program is late to see it
        busy.cancel()
        return limit.adaptive_stats().mean

    def measured(exclude: bool) -> float:
        clock = VirtualClock()  # in which time.sleep is work
        with clock.time_module(), asyncio.Runner(loop_factory=lambda: clock.new_event_loop(loop)) as runner:
            return runner.run(main(exclude))

    assert measured(exclude=True) <= 0.005
    assert measured(exclude=False) >= 0.04


def test_acquire_and_release_take_places_and_measure_nothing(run: Run) -> None:
    async def main() -> None:
        limit = Adaptive(target=0.001, initial=2, min_samples=1, window=0.1, max_waiting=5)
        for _ in range(5):
            await limit.acquire()
            await asyncio.sleep(1)
            limit.release()
        assert limit.limit == 2
        # A weight above the limit of the moment goes in alone.
        await limit.acquire()
        heavy = asyncio.create_task(limit.acquire(10))
        await asyncio.sleep(0)
        assert not heavy.done()
        limit.release()
        await heavy

    run(main())


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "aimd needs a target"),
        ({"target": 0}, "target must be above 0"),
        ({"target": 1, "min": 0}, "min must be 1 or more"),
        ({"target": 1, "min": 5, "max": 4}, "max must be at least min"),
        ({"target": 1, "initial": 500}, "initial must be from min to max"),
        ({"target": 1, "window": 0}, "window must be above 0"),
        ({"target": 1, "min_samples": 0}, "min_samples must be 1 or more"),
        ({"algorithm": "gradient", "probe_every": 0}, "probe_every must be above 0"),
        ({"algorithm": "guess"}, "algorithm must be 'aimd', 'gradient' or 'vegas', got 'guess'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Adaptive(**settings)
    with pytest.raises(AttributeError, match="finds itself"):
        Adaptive(target=1).limit = 3
    assert Adaptive(target=1).describe()["algorithm"] == "aimd"
