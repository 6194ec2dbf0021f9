"""What other libraries were seen to get wrong: each failure is a test here, on asyncio, maypole and uvloop.

On asyncio's and maypole's loop the time is virtual. uvloop has its own clock, so all times are short. The
same failures are looked for in the other libraries by ``benches/patterns_compare.py``.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from maypole.patterns import (
    Background,
    Bulkhead,
    ChannelBroken,
    CircuitBreaker,
    CircuitOpen,
    Keyed,
    Pool,
    RateLimit,
    channel,
    source,
)
from maypole.testing import run_virtual
from patterns.conftest import UVLOOP, WITH_UVLOOP

Run = Callable[..., Any]
STEP = 0.02
"""Seconds: the unit of all waits here."""


@pytest.fixture(params=["asyncio", "maypole", WITH_UVLOOP])
def run_any(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on each loop; in virtual time where the loop has it."""
    kind: Any = request.param

    def on_this_loop(main: Any) -> Any:
        if kind is not UVLOOP:
            return run_virtual(main, loop=kind)
        with asyncio.Runner(loop_factory=UVLOOP.new_loop) as runner:
            return runner.run(main)

    return on_this_loop


async def tripped(**settings: Any) -> CircuitBreaker:
    """A breaker that has opened, and may probe now."""
    breaker = CircuitBreaker("remote", consecutive=1, open_for=STEP, jitter=0, **settings)
    with pytest.raises(OSError, match="down"):
        async with breaker:
            raise OSError("down")
    await asyncio.sleep(1.5 * STEP)
    return breaker


async def hang(breaker: CircuitBreaker) -> None:
    async with breaker:
        await asyncio.sleep(100 * STEP)


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


@pytest.mark.parametrize("at_once", [1, 3])
def test_of_fifty_half_open_calls_only_the_probes_reach_the_remote(run_any: Run, at_once: int) -> None:
    async def main() -> None:
        breaker = await tripped(probes=3, max_concurrent_probes=at_once)
        reached = refused = 0

        async def call() -> None:
            nonlocal reached, refused
            try:
                async with breaker:
                    reached += 1
                    await asyncio.sleep(STEP)
            except CircuitOpen:
                refused += 1

        await asyncio.gather(*(call() for _ in range(50)))
        assert (reached, refused) == (at_once, 50 - at_once)

    run_any(main())


def test_a_cancelled_probe_neither_opens_nor_closes(run_any: Run) -> None:
    async def main() -> None:
        breaker = await tripped(probes=1)
        probe = asyncio.create_task(hang(breaker))
        await asyncio.sleep(0)
        assert breaker.try_acquire() is None
        await cancelled(probe)
        assert breaker.stats().state == "half_open"
        permit = breaker.acquire()
        permit.success()
        assert breaker.stats().state == "closed"

    run_any(main())


def test_twenty_cancelled_calls_do_not_trip(run_any: Run) -> None:
    async def main() -> None:
        breaker = CircuitBreaker("remote", consecutive=5, min_calls=1)
        calls = [asyncio.create_task(hang(breaker)) for _ in range(20)]
        await asyncio.sleep(0)
        await cancelled(*calls)
        assert breaker.stats().state == "closed"
        assert breaker.stats().calls == 0

    run_any(main())


def test_a_success_begun_while_closed_does_not_close_a_half_open_breaker(run_any: Run) -> None:
    async def main() -> None:
        breaker = CircuitBreaker("remote", consecutive=1, open_for=STEP, jitter=0, probes=1)
        old = breaker.acquire()
        breaker.acquire().failure(OSError("down"))
        await asyncio.sleep(1.5 * STEP)
        probe = breaker.acquire()
        old.success()
        assert breaker.stats().state == "half_open"
        probe.failure()
        assert breaker.stats().state == "open"
        assert breaker.stats().late == 1

    run_any(main())


def test_a_hung_probe_does_not_freeze_half_open(run_any: Run) -> None:
    async def main() -> None:
        breaker = await tripped(probes=1, half_open_timeout=2 * STEP)
        probe = asyncio.create_task(hang(breaker))
        await asyncio.sleep(0)
        with pytest.raises(CircuitOpen):
            breaker.acquire()
        await asyncio.sleep(3 * STEP)
        assert breaker.stats().state == "open"
        await asyncio.sleep(3 * STEP)  # the second wait is twice as long
        breaker.acquire().success()
        assert breaker.stats().state == "closed"
        await cancelled(probe)

    run_any(main())


def test_a_heavy_waiter_is_not_starved(run_any: Run) -> None:
    async def main() -> list[int]:
        limit = RateLimit(100 / STEP, burst=50)
        assert limit.try_acquire(50)
        order: list[int] = []

        async def take(n: int) -> None:
            await limit.acquire(n)
            order.append(n)

        heavy = asyncio.create_task(take(50))
        await asyncio.sleep(0)
        await asyncio.gather(heavy, *(take(1) for _ in range(20)))
        return order

    assert run_any(main()) == [50] + [1] * 20


def test_a_key_that_waits_does_not_delay_another(run_any: Run) -> None:
    async def main() -> None:
        users: Keyed[str, RateLimit] = Keyed(lambda _: RateLimit(1 / (50 * STEP)))
        await users["a"].acquire()
        waiting = asyncio.create_task(users["a"].acquire())
        await asyncio.sleep(0)
        await asyncio.wait_for(users["b"].acquire(), STEP)
        assert not waiting.done()
        await cancelled(waiting)

    run_any(main())


def test_ten_thousand_waiters_need_no_more_timers_than_grants(run_any: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        limit = RateLimit(100_000, burst=1000)
        fired = 0
        fire = RateLimit._fire

        def counted(self: RateLimit) -> None:
            nonlocal fired
            fired += 1
            fire(self)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RateLimit, "_fire", counted)
            tasks = [loop.create_task(limit.acquire()) for _ in range(10_000)]
            await asyncio.sleep(0)
            await cancelled(*tasks[5000::10])
            await asyncio.wait(tasks)
        stats = limit.stats()
        assert stats.granted + stats.cancelled == 10_000
        assert fired <= stats.granted + stats.cancelled + 1

    run_any(main())


@pytest.mark.parametrize("seed", range(5))
def test_the_sums_are_exact_whoever_is_cancelled_in_whatever_order(run_any: Run, seed: int) -> None:
    async def main() -> None:
        chance = random.Random(seed)
        limit, places = RateLimit(200 / STEP, burst=5), Bulkhead(3, max_waiting=None)

        async def work() -> None:
            async with places, limit:
                await asyncio.sleep(chance.random() * STEP)

        tasks = [asyncio.create_task(work()) for _ in range(60)]
        for task in chance.sample(tasks, 30):
            await asyncio.sleep(chance.random() * STEP / 10)
            task.cancel()
        await asyncio.wait(tasks)
        ended_well = sum(not task.cancelled() for task in tasks)
        assert places.in_use == 0
        assert places.stats().waiting == limit.stats().waiting == 0
        assert places.stats().granted >= ended_well
        assert ended_well <= limit.stats().granted <= places.stats().granted
        assert [places.try_acquire() for _ in range(4)] == [True, True, True, False]

    run_any(main())


def test_shrinking_admits_nobody_until_fewer_are_inside(run_any: Run) -> None:
    async def main() -> None:
        places = Bulkhead(10, max_waiting=5)
        for _ in range(10):
            assert places.try_acquire()
        places.limit = 5
        waiting = asyncio.create_task(places.acquire())
        for left in range(9, 4, -1):
            places.release()
            await asyncio.sleep(0)
            assert (places.in_use, waiting.done()) == (left, False)
        places.release()
        await waiting
        assert places.in_use == 5

    run_any(main())


def test_a_dead_consumer_frees_its_producers(run_any: Run) -> None:
    async def main() -> None:
        send, recv = channel[int](1)

        async def produce() -> None:
            while True:
                await send(1)

        async def consume() -> None:
            async with recv:
                await recv.recv()
                raise ValueError("dead")

        ended = await asyncio.gather(produce(), consume(), return_exceptions=True)
        assert [type(error) for error in ended] == [ChannelBroken, ValueError]
        send.close()

    run_any(main())


def test_leaving_a_pipeline_early_leaves_no_task(run_any: Run) -> None:
    async def main() -> None:
        closed = False

        async def numbers() -> Any:
            nonlocal closed
            try:
                for number in range(1000):
                    yield number
            finally:
                closed = True

        async def work(number: int) -> int:
            await asyncio.sleep(STEP / 20)
            return number

        pipe = source(numbers()).map(work, concurrency=8).map(work, concurrency=4)
        async with pipe.stream() as results:
            async for _ in results:
                break
        assert closed
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_any(main())


def test_a_cancelled_pool_request_leaks_nothing_that_is_being_made(run_any: Run) -> None:
    async def main() -> None:
        made, closed = 0, 0

        async def create() -> object:
            nonlocal made
            await asyncio.sleep(STEP)
            made += 1
            return object()

        def close(_: object) -> None:
            nonlocal closed
            closed += 1

        pool: Pool[object] = Pool(create, close, max_size=2)
        async with pool:
            for cut in (0.5, 1.0, 1.5):
                asking = asyncio.create_task(_use(pool))
                await asyncio.sleep(cut * STEP)
                await cancelled(asking)
            await asyncio.sleep(2 * STEP)
            assert pool.stats().pool_size == pool.stats().pool_available <= 2
        assert made == closed > 0

    run_any(main())


async def _use(pool: Pool[object]) -> None:
    async with pool.acquire():
        await asyncio.sleep(100 * STEP)


def test_closing_waits_for_cleanup_up_to_the_grace(run_any: Run) -> None:
    async def main() -> None:
        ended: list[str] = []

        told = asyncio.Event()

        async def job(name: str, cleanup: Any) -> None:
            try:
                await asyncio.sleep(1000 * STEP)
            finally:
                await cleanup
                ended.append(name)

        background = Background(grace=20 * STEP)
        background.start(job("quick", asyncio.sleep(STEP)))
        slow = background.start(job("slow", told.wait()), name="slow")
        await asyncio.sleep(STEP)
        stuck = await background.aclose()
        assert ended == ["quick"]
        assert len(stuck) == 1
        assert stuck[0].startswith("slow")
        told.set()
        await slow.wait()

    run_any(main())


def test_a_pause_cannot_be_lifted_by_another_caller(run_any: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        limit = RateLimit(1000 / STEP, burst=10)
        until = loop.time() + 4 * STEP
        limit.pause(4 * STEP)
        limit.pause(STEP / 2)
        limit.set_rate(2000 / STEP)
        await asyncio.sleep(STEP)
        assert not limit.try_acquire() or loop.time() >= until  # a real clock may be late
        await asyncio.sleep(4 * STEP)
        assert limit.try_acquire()

    run_any(main())


def test_a_jump_of_the_wall_clock_changes_nothing(run_any: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def jumping() -> Iterator[float]:
        while True:
            yield random.choice((0.0, 4e9))

    jumps = jumping()
    monkeypatch.setattr(time, "time", lambda: next(jumps))

    async def main() -> None:
        breaker = await tripped(probes=1, backoff=10)
        breaker.acquire().failure()
        assert breaker.try_acquire() is None
        await asyncio.sleep(11 * STEP)
        breaker.acquire().success()
        limit = RateLimit(1 / (10 * STEP))
        assert [limit.try_acquire() for _ in range(3)] == [True, False, False]
        await asyncio.sleep(15 * STEP)
        assert [limit.try_acquire() for _ in range(3)] == [True, False, False]

    run_any(main())


def test_two_runs_in_a_row_use_the_same_objects(run_any: Run) -> None:
    limit, places = RateLimit(1000), Bulkhead(1, max_waiting=9)
    breaker = CircuitBreaker("remote")
    pool: Pool[object] = Pool(object, lambda _: None, max_size=1)

    async def use() -> None:
        async with limit, places, breaker, pool.acquire():
            await asyncio.sleep(STEP / 20)

    async def main() -> None:
        async with pool:
            await asyncio.gather(*(use() for _ in range(5)))

    for _ in range(2):
        run_any(main())
    assert limit.stats().granted == places.stats().granted == breaker.stats().succeeded == 10
