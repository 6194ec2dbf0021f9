"""A rate limit: how fast, who is next, and what happens to those who give up."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from maypole.patterns import Deadline, PatternEvent, RateLimit, RateLimited

Run = Callable[..., Any]
spawn = asyncio.create_task


async def acquired_at(limit: RateLimit, n: float = 1, **options: Any) -> float:
    await limit.acquire(n, **options)
    return asyncio.get_running_loop().time()


def seconds_since_start(times: list[float]) -> list[float]:
    return [round(at - 1000.0, 6) for at in times]


def test_a_rate_is_evenly_spread(run: Run) -> None:
    async def main() -> list[float]:
        limit = RateLimit(10)
        return await asyncio.gather(*(acquired_at(limit) for _ in range(4)))

    assert seconds_since_start(run(main())) == [0.0, 0.1, 0.2, 0.3]


def test_a_burst_comes_at_once_and_the_rest_at_the_rate(run: Run) -> None:
    async def main() -> list[float]:
        limit = RateLimit("10/s", burst=3)
        return await asyncio.gather(*(acquired_at(limit) for _ in range(5)))

    assert seconds_since_start(run(main())) == [0.0, 0.0, 0.0, 0.1, 0.2]


def test_initial_zero_begins_empty(run: Run) -> None:
    async def main() -> list[float]:
        limit = RateLimit(10, burst=3, initial=0)
        return await asyncio.gather(*(acquired_at(limit) for _ in range(2)))

    assert seconds_since_start(run(main())) == [0.1, 0.2]


def test_a_window_never_holds_more_than_its_limit(run: Run) -> None:
    async def main() -> list[float]:
        limit = RateLimit.window(2, per=1.0)
        await asyncio.sleep(0.9)
        return await asyncio.gather(*(acquired_at(limit) for _ in range(5)))

    assert seconds_since_start(run(main())) == [0.9, 0.9, 1.9, 1.9, 2.9]


def test_all_rules_must_admit(run: Run) -> None:
    async def main() -> list[float]:
        limit = RateLimit.all(RateLimit("10/s", burst=2), RateLimit.window(3, per=1.0))
        return await asyncio.gather(*(acquired_at(limit) for _ in range(5)))

    assert seconds_since_start(run(main())) == [0.0, 0.0, 0.1, 1.0, 1.0]


def test_those_who_wait_are_served_in_order_whatever_their_weight(run: Run) -> None:
    async def main() -> list[str]:
        limit = RateLimit(100, burst=50, initial=0)
        order: list[str] = []

        async def one(name: str, n: float) -> None:
            await limit.acquire(n)
            order.append(name)

        tasks = [spawn(one("heavy", 50)), *(spawn(one(f"light {i}", 1)) for i in range(5))]
        await asyncio.gather(*tasks)
        return order

    assert run(main()) == ["heavy", *(f"light {i}" for i in range(5))]


def test_a_heavy_waiter_is_not_starved_by_light_ones(run: Run) -> None:
    """aiolimiter 1.3.0 serves the heavy one never: its heap is ordered by weight, and newcomers go first."""

    async def main() -> float:
        limit = RateLimit(100, burst=50)
        await limit.acquire(50)
        heavy = spawn(acquired_at(limit, 50))
        await asyncio.sleep(0)

        async def light() -> None:
            while not heavy.done():
                await limit.acquire(1)

        lights = [spawn(light()) for _ in range(20)]
        at = await heavy
        await asyncio.wait(lights)
        return at

    assert seconds_since_start([run(main())]) == [0.5]


def test_try_acquire_never_overtakes_a_waiter(run: Run) -> None:
    async def main() -> tuple[bool, bool]:
        limit = RateLimit(10, burst=2)
        limit.try_acquire(1)
        waiter = spawn(limit.acquire(2))
        await asyncio.sleep(0)
        overtook = limit.try_acquire(1)  # one unit is there, and somebody waits for two
        await waiter
        await asyncio.sleep(1)
        return overtook, limit.try_acquire(2)

    assert run(main()) == (False, True)


def test_a_weight_that_can_never_be_granted_is_an_error_at_once(run: Run) -> None:
    async def main() -> None:
        limit = RateLimit(10, burst=5)
        with pytest.raises(ValueError, match="n must be at most what can be granted at once, got 6"):
            await limit.acquire(6)
        with pytest.raises(ValueError, match="n must be above 0, got 0"):
            limit.try_acquire(0)
        with pytest.raises(ValueError, match="whole number where a window counts"):
            RateLimit.window(5, per=1).try_acquire(1.5)

    run(main())


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: RateLimit(0), "rate must be above 0"),
        (lambda: RateLimit(float("nan")), "rate must be above 0"),
        (lambda: RateLimit(10, burst=0), "burst must be above 0"),
        (lambda: RateLimit(10, burst=2, initial=3), "initial must be from 0 to burst"),
        (lambda: RateLimit(10, per=0), "per must be above 0"),
        (lambda: RateLimit(10, max_waiting=-1), "max_waiting must be 0 or more"),
        (lambda: RateLimit("10 per s"), "a rate is written as"),
        (lambda: RateLimit("10/s", per=2), "names its own period"),
        (lambda: RateLimit.window(0, per=1), "limit must be a whole number"),
        (lambda: RateLimit.window(10, per=0), "window must be above 0"),
        (lambda: RateLimit.all(), "at least one limit"),
        (lambda: RateLimit(10).pause(-1), "seconds must be finite and not negative"),
        (lambda: RateLimit(10).pause(float("inf")), "seconds must be finite and not negative"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


def test_a_wait_that_is_too_long_is_refused_at_once(run: Run) -> None:
    async def main() -> tuple[float, float | None]:
        loop = asyncio.get_running_loop()
        limit = RateLimit(1, name="api")
        await limit.acquire()
        await asyncio.sleep(0.25)
        with pytest.raises(
            RateLimited, match=r"rate limit 'api': 1 would be let through in 0.75 s"
        ) as caught:
            await limit.acquire(timeout=0.5)
        assert limit.stats().rejected == 1
        assert limit.stats().waiting == 0
        return loop.time(), caught.value.retry_after

    at, retry_after = run(main())
    assert at == 1000.25
    assert retry_after == pytest.approx(0.75)


def test_a_deadline_counts_as_a_timeout(run: Run) -> None:
    async def main() -> None:
        limit = RateLimit(1)
        await limit.acquire()
        async with Deadline(0.5):
            with pytest.raises(RateLimited):
                await limit.acquire()
        assert asyncio.get_running_loop().time() == 1000.0

    run(main())


def test_a_full_line_refuses(run: Run) -> None:
    async def main() -> RateLimited:
        limit = RateLimit(1, max_waiting=2)
        await limit.acquire()
        waiting = [spawn(limit.acquire()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(RateLimited, match="2 are waiting already") as caught:
            await limit.acquire()
        await asyncio.gather(*waiting)
        return caught.value

    assert run(main()).retry_after == pytest.approx(3.0)


def test_no_line_at_all_still_lets_through_what_is_there(run: Run) -> None:
    async def main() -> None:
        limit = RateLimit(1, max_waiting=0)
        await limit.acquire()
        with pytest.raises(RateLimited):
            await limit.acquire()

    run(main())


@pytest.mark.parametrize("seed", range(5))
def test_any_subset_of_waiters_may_be_cancelled_in_any_order(run: Run, seed: int) -> None:
    async def main() -> tuple[list[float], int]:
        choose = random.Random(seed)
        limit = RateLimit(10, burst=2)
        tasks = [spawn(acquired_at(limit)) for _ in range(50)]
        await asyncio.sleep(0.25)  # 4 are through
        cancelled = choose.sample(range(4, 50), 40)
        for index in cancelled:
            tasks[index].cancel()
            if choose.random() < 0.5:
                await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        stats = limit.stats()
        assert (stats.granted, stats.cancelled, stats.waiting) == (10, 40, 0)
        times = [task.result() for index, task in enumerate(tasks) if index not in cancelled]
        return times, stats.granted

    times, _ = run(main())
    # Nobody waits a turn for one who is gone: the ten come as if the forty had never been.
    assert seconds_since_start(times) == [0.0, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]


def test_a_grant_that_was_not_taken_comes_back(run: Run) -> None:
    async def main() -> float:
        limit = RateLimit(10)
        await limit.acquire()
        task = spawn(limit.acquire())
        other = spawn(acquired_at(limit))
        await asyncio.sleep(0)
        # At this moment the timer grants to the task, which is cancelled before it runs again.
        asyncio.get_running_loop().call_at(1000.1, task.cancel)
        asyncio.get_running_loop().call_at(1000.1, task.cancel)
        at = await other
        assert task.cancelled()
        stats = limit.stats()
        assert (stats.granted, stats.cancelled) == (2, 1)
        return at

    assert seconds_since_start([run(main())]) == [0.1]


def test_many_waiters_need_few_timers(run: Run) -> None:
    async def main() -> tuple[int, int]:
        loop = asyncio.get_running_loop()
        limit = RateLimit(5000)
        fired = 0
        call_at = loop.call_at

        def counted(when: float, callback: Any, *args: Any, **options: Any) -> asyncio.TimerHandle:
            def call() -> None:
                nonlocal fired
                fired += 1
                callback(*args)

            return call_at(when, call, **options)

        loop.call_at = counted  # type: ignore[method-assign,assignment]
        tasks = [spawn(limit.acquire()) for _ in range(10_000)]
        await asyncio.sleep(0)
        for task in tasks[1::10]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        del loop.call_at
        return fired, limit.stats().granted

    fired, granted = run(main())
    assert granted == 9000
    assert fired <= 9000 + 1000 + 1 + 1  # grants, cancellations, one, and the sleep of the test


def test_in_any_interval_the_burst_and_the_rate_are_not_exceeded(run: Run) -> None:
    async def main() -> list[tuple[float, float]]:
        loop = asyncio.get_running_loop()
        choose = random.Random(7)
        limit = RateLimit(20, burst=5)
        granted: list[tuple[float, float]] = []

        async def one(delay: float, n: float, patience: float) -> None:
            await asyncio.sleep(delay)
            try:
                async with asyncio.timeout(patience):
                    await limit.acquire(n)
            except TimeoutError:
                return
            granted.append((loop.time(), n))

        weights = [0.5, 1, 1.7, 5]
        calls = [
            one(choose.uniform(0, 20), choose.choice(weights), choose.uniform(0.01, 3)) for _ in range(300)
        ]
        await asyncio.gather(*calls)
        return granted

    granted = run(main())
    assert len(granted) > 100
    for i, (begin, _) in enumerate(granted):
        total = 0.0
        for at, n in granted[i:]:
            total += n
            assert total <= 5 + 20 * (at - begin) + 1e-6


def test_a_pause_holds_everybody_and_can_only_be_lengthened(run: Run) -> None:
    async def main() -> list[float]:
        limit = RateLimit(10, burst=10)
        limit.pause(2.0)
        limit.pause(0.5)
        assert not limit.try_acquire()
        first = spawn(acquired_at(limit))
        await asyncio.sleep(1.0)
        limit.pause(3.0)
        assert limit.stats().paused_for == pytest.approx(3.0)
        return [await first]

    assert seconds_since_start(run(main())) == [4.0]


def test_a_pause_refuses_at_once_who_cannot_wait_so_long(run: Run) -> None:
    async def main() -> tuple[float, float | None, float]:
        loop = asyncio.get_running_loop()
        limit = RateLimit(10)
        await limit.acquire()
        impatient = spawn(limit.acquire(timeout=1.0))
        patient = spawn(acquired_at(limit))
        await asyncio.sleep(0.05)
        limit.pause(5.0)
        with pytest.raises(RateLimited) as caught:
            await impatient
        return loop.time(), caught.value.retry_after, await patient

    refused_at, retry_after, granted_at = run(main())
    assert refused_at == pytest.approx(1000.05)
    assert retry_after == pytest.approx(5.0)
    assert granted_at == pytest.approx(1005.05)


def test_another_rate_moves_those_who_wait(run: Run) -> None:
    async def main() -> list[float]:
        limit = RateLimit(1)
        await limit.acquire()
        waiting = [spawn(acquired_at(limit)) for _ in range(3)]
        await asyncio.sleep(0.5)
        limit.set_rate(10)
        return await asyncio.gather(*waiting)

    # Half a unit was there; the other half comes at the new rate.
    assert seconds_since_start(run(main())) == [0.55, 0.65, 0.75]


def test_a_slower_rate_refuses_who_cannot_wait_so_long(run: Run) -> None:
    async def main() -> None:
        limit = RateLimit(10)
        await limit.acquire()
        waiting = spawn(limit.acquire(timeout=0.5))
        await asyncio.sleep(0)
        limit.set_rate("1/min")
        with pytest.raises(RateLimited):
            await waiting

    run(main())


def test_a_smaller_burst_fails_those_whose_weight_is_above_it(run: Run) -> None:
    async def main() -> None:
        limit = RateLimit(10, burst=5, initial=0)
        heavy = spawn(limit.acquire(5))
        light = spawn(limit.acquire(1))
        await asyncio.sleep(0)
        limit.set_rate(10, burst=2)
        with pytest.raises(ValueError, match="5 units can never be granted: the burst is now 2"):
            await heavy
        await light

    run(main())


def test_the_window_of_a_window_can_be_set(run: Run) -> None:
    async def main() -> list[float]:
        limit = RateLimit.window(1, per=10)
        await limit.acquire()
        waiting = [spawn(acquired_at(limit)) for _ in range(2)]
        await asyncio.sleep(1)
        limit.set_rate(1, per=2)
        with pytest.raises(ValueError, match="a window has no burst"):
            limit.set_rate(1, per=2, burst=3)
        return await asyncio.gather(*waiting)

    assert seconds_since_start(run(main())) == [2.0, 4.0]


def test_a_reservation_tells_its_delay_and_keeps_its_place(run: Run) -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        limit = RateLimit(10)
        first, second, third = (limit.reserve() for _ in range(3))
        assert first.granted
        assert [round(r.delay, 6) for r in (first, second, third)] == [0.0, 0.1, 0.2]
        assert second.cancel()
        assert not second.cancel()
        assert round(third.delay, 6) == 0.1
        await first
        await third
        times = [loop.time()]
        with pytest.raises(RuntimeError, match="used or cancelled before"):
            await third
        assert not third.cancel()
        return times

    assert seconds_since_start(run(main())) == [0.1]


def test_a_reservation_that_nobody_awaits_counts_all_the_same(run: Run) -> None:
    async def main() -> list[float]:
        limit = RateLimit(10)
        for _ in range(3):
            limit.reserve()
        return [await acquired_at(limit)]

    assert seconds_since_start(run(main())) == [0.3]


def test_a_late_refund_gives_back_only_what_was_not_refilled(run: Run) -> None:
    async def main() -> tuple[float, float]:
        limit = RateLimit(10, burst=2)
        limit.reserve(2).cancel()
        at_once = limit.stats().available
        late = limit.reserve(2)
        await asyncio.sleep(0.15)  # one and a half are there again
        limit.try_acquire(1)
        late.cancel()
        return at_once, limit.stats().available

    assert run(main()) == (pytest.approx(2.0), pytest.approx(1.0))


def test_the_wall_clock_is_not_asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> list[float]:
        limit = RateLimit(10)
        await limit.acquire()
        waiting = [spawn(acquired_at(limit)) for _ in range(2)]
        await asyncio.sleep(0)
        monkeypatch.setattr(time, "time", lambda: 1e12)
        return await asyncio.gather(*waiting)

    assert seconds_since_start(run(main())) == [0.1, 0.2]


def test_one_limit_serves_one_run_after_another(run: Run) -> None:
    limit = RateLimit(10)

    async def main() -> list[float]:
        return await asyncio.gather(*(acquired_at(limit) for _ in range(2)))

    async def long() -> None:
        await limit.acquire()
        await asyncio.sleep(3600)
        await limit.acquire()

    run(long())
    # The next loop's clock begins anew, an hour earlier: nobody waits for that hour.
    assert seconds_since_start(run(main())) == pytest.approx([0.1, 0.2])
    stats = limit.stats()
    assert (stats.granted, stats.waiting) == (4, 0)


def test_a_run_that_ends_while_tasks_wait_leaves_nobody_in_line(run: Run) -> None:
    limit = RateLimit(1)
    left: list[asyncio.Task[None]] = []

    async def first() -> None:
        left.extend(spawn(limit.acquire()) for _ in range(5))
        await asyncio.sleep(0.5)

    async def second() -> float:
        return await acquired_at(limit)

    run(first())
    assert limit.stats().waiting == 0
    assert seconds_since_start([run(second())]) == pytest.approx([0.5], abs=0.11)


def test_a_decorated_function_waits_for_its_turn(run: Run) -> None:
    async def main() -> tuple[tuple[int, float], ...]:
        @RateLimit(10)
        async def call(x: int) -> tuple[int, float]:
            return x, asyncio.get_running_loop().time()

        return await asyncio.gather(call(1), call(2))

    results = run(main())
    assert [x for x, _ in results] == [1, 2]
    assert seconds_since_start([at for _, at in results]) == [0.0, 0.1]
    with pytest.raises(TypeError, match="coroutine functions"):
        RateLimit(10)(print)  # type: ignore[arg-type]


def test_listeners_hear_waits_grants_and_refusals_and_cannot_hurt(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[PatternEvent] = []

    async def main() -> None:
        limit = RateLimit(10, name="api", on_event=heard.append)
        limit.events.add(lambda event: 1 // 0)
        await limit.acquire()
        await limit.acquire()
        with pytest.raises(RateLimited):
            await limit.acquire(timeout=0.01)
        limit.pause(1)

    run(main())
    assert [event.what for event in heard] == ["wait", "grant", "reject", "pause"]
    assert heard[1].detail["waited"] == pytest.approx(0.1)
    assert {event.name for event in heard} == {"api"}
    assert "a listener of rate_limit 'api' failed on 'grant'" in caplog.text


def test_stats_and_describe_show_what_happened(run: Run) -> None:
    async def main() -> None:
        limit = RateLimit("10/s", burst=2, name="api")
        await asyncio.gather(*(limit.acquire() for _ in range(4)))
        stats = limit.stats()
        assert stats.name == "api"
        assert (stats.granted, stats.rejected, stats.cancelled, stats.waiting) == (4, 0, 0, 0)
        assert stats.wait.count == 2
        assert stats.wait.longest == pytest.approx(0.2)
        assert stats.wait.total == pytest.approx(0.3)
        assert stats.next_grant == pytest.approx(0.1)
        described = limit.describe()
        assert described["kind"] == "rate_limit"
        assert described["rules"] == [{"rate": 10.0, "burst": 2.0}]
        assert repr(limit) == "<RateLimit api 10/s burst 2, 0 waiting>"

    run(main())


def test_stats_need_no_loop() -> None:
    limit = RateLimit(10, burst=4)
    assert limit.stats().available == 4.0
    assert limit.try_acquire(4)
    assert limit.stats().available == 0.0


def test_try_acquire_is_safe_from_any_thread() -> None:
    limit = RateLimit(0.001, burst=1000)
    taken: list[bool] = []

    def take() -> None:
        taken.extend(limit.try_acquire() for _ in range(500))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(taken) == 1000


def test_tasks_of_two_loops_wait_in_one_line(run_real: Run) -> None:
    limit = RateLimit(200)
    granted: list[int] = []

    async def main() -> None:
        for _ in range(10):
            async with limit:
                granted.append(threading.get_ident())

    others = [threading.Thread(target=run_real, args=(main(),)) for _ in range(2)]
    for thread in others:
        thread.start()
    run_real(main())
    for thread in others:
        thread.join()
    assert len(granted) == 30
    assert len(set(granted)) == 3
    stats = limit.stats()
    assert (stats.granted, stats.waiting) == (30, 0)


def test_order_and_counts_hold_on_every_loop(run_real: Run) -> None:
    async def main() -> list[int]:
        limit = RateLimit(2000, burst=5)
        order: list[int] = []

        async def one(i: int) -> None:
            async with limit:
                order.append(i)

        tasks = [spawn(one(i)) for i in range(30)]
        await asyncio.sleep(0)
        for i in (7, 8, 20):
            tasks[i].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        stats = limit.stats()
        assert (stats.granted, stats.cancelled, stats.waiting) == (27, 3, 0)
        return order

    assert run_real(main()) == [i for i in range(30) if i not in (7, 8, 20)]


def test_the_loop_has_no_timer_left_when_nobody_waits(run: Run) -> None:
    async def main() -> None:
        limit = RateLimit(0.001)
        await limit.acquire()
        task = spawn(limit.acquire())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert limit._timer is None

    run(main())
