"""One limit for several processes: a store of the test's own in virtual time, and a real Redis."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest
from frameworks.conftest import redis_port
from maypole.patterns import PatternEvent, RateLimited, RedisRateLimit

__all__ = ["redis_port"]

Run = Callable[..., Any]
spawn = asyncio.create_task


class Store:
    """What the scripts do, on the loop's clock; fails while it is told to."""

    def __init__(self, latency: float = 0.0) -> None:
        self.tat = self.paused = 0.0
        self.calls = 0
        self.latency = latency
        self.error: Exception | None = None
        self.hangs = False

    def register_script(self, script: str) -> Any:
        return self.reserve if "cost" in script else self.pause

    async def answer(self) -> float:
        self.calls += 1
        await asyncio.sleep(3600 if self.hangs else self.latency)
        if self.error is not None:
            raise self.error
        return asyncio.get_running_loop().time() * 1e6

    async def reserve(self, keys: list[str], args: list[str]) -> list[Any]:
        assert keys == ["api", "api:pause"]
        now = await self.answer()
        _, cost, fill, wait_max = map(float, args)
        start = max(now, self.paused)
        tat = max(self.tat, start)
        wait = max(start, tat + cost - fill) - now
        if 0 <= wait_max < wait:
            return [0, f"{wait:.0f}"]
        self.tat = tat + cost
        return [1, f"{wait:.0f}"]

    async def pause(self, keys: list[str], args: list[str]) -> int:
        now = await self.answer()
        self.paused = max(self.paused, now + float(args[1]))
        return 1


async def acquired_at(limit: RedisRateLimit, n: float = 1, **options: Any) -> float:
    await limit.acquire(n, **options)
    return round(asyncio.get_running_loop().time() - 1000.0, 4)


def test_two_processes_share_one_rate(run: Run) -> None:
    async def main() -> list[float]:
        store = Store()
        one, two = (RedisRateLimit(store, "api", "10/s", burst=2) for _ in range(2))
        times = await asyncio.gather(*(acquired_at(limit) for limit in (one, two) * 3))
        return sorted(times)

    assert run(main()) == [0.0, 0.0, 0.1, 0.2, 0.3, 0.4]


def test_those_who_wait_are_served_in_order(run: Run) -> None:
    async def main() -> list[int]:
        limit = RedisRateLimit(Store(latency=0.005), "api", "10/s", burst=3)
        order: list[int] = []

        async def one(i: int, n: float) -> None:
            await limit.acquire(n)
            order.append(i)

        await asyncio.gather(*(one(i, n) for i, n in enumerate([1, 3, 1, 2, 1])))
        return order

    assert run(main()) == [0, 1, 2, 3, 4]


def test_a_lease_saves_calls_of_the_store(run: Run) -> None:
    async def main() -> tuple[int, int]:
        calls = []
        for lease in (1, 10):
            store = Store()
            limit = RedisRateLimit(store, "api", 100, burst=10, lease=lease)
            await asyncio.gather(*(limit.acquire() for _ in range(100)))
            calls.append(store.calls)
        return calls[0], calls[1]

    assert run(main()) == (100, 10)


def test_what_was_reserved_for_a_cancelled_task_goes_to_the_next(run: Run) -> None:
    async def main() -> list[float]:
        store = Store()
        limit = RedisRateLimit(store, "api", 10)
        await limit.acquire()
        tasks = [spawn(acquired_at(limit)) for _ in range(4)]
        await asyncio.sleep(0.05)
        tasks[0].cancel()
        tasks[2].cancel()
        await asyncio.wait(tasks)
        stats = limit.stats()
        assert (stats.granted, stats.cancelled, stats.waiting) == (3, 2, 0)
        return [tasks[1].result(), tasks[3].result()]

    assert run(main()) == [0.1, 0.2]


def test_a_grant_that_was_not_taken_stays_here(run: Run) -> None:
    async def main() -> None:
        limit = RedisRateLimit(Store(), "api", 10)
        await limit.acquire()
        task = spawn(limit.acquire())
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_at(1000.1, task.cancel)
        await asyncio.wait([task])
        await asyncio.sleep(0.001)
        assert limit.stats().spare == 1
        assert await acquired_at(limit) == 0.101
        assert limit.stats().spare == 0

    run(main())


def test_a_wait_that_is_too_long_is_refused(run: Run) -> None:
    async def main() -> None:
        limit = RedisRateLimit(Store(), "api", 1, max_waiting=1)
        await limit.acquire()
        with pytest.raises(RateLimited, match="would be let through in 1 s") as caught:
            await limit.acquire(timeout=0.5)
        assert caught.value.retry_after == pytest.approx(1.0)
        assert not await limit.try_acquire()
        waiting = spawn(limit.acquire())
        await asyncio.sleep(0)
        with pytest.raises(RateLimited, match="1 are waiting already"):
            await limit.acquire()
        await waiting
        assert limit.stats().rejected == 3

    run(main())


def test_a_pause_holds_all_processes(run: Run) -> None:
    async def main() -> tuple[float, float]:
        store = Store()
        one, two = (RedisRateLimit(store, "api", 10, burst=5) for _ in range(2))
        await one.pause(2.0)
        await two.pause(0.5)
        first, second = await asyncio.gather(acquired_at(one), acquired_at(two))
        return first, second

    assert run(main()) == (2.0, 2.0)


@pytest.mark.parametrize("how", ["raises", "hangs"])
def test_without_the_store_each_process_goes_on_at_its_share(run: Run, how: str) -> None:
    heard: list[PatternEvent] = []

    async def main() -> tuple[list[float], int]:
        store = Store()
        limit = RedisRateLimit(
            store, "api", 20, instances=2, store_timeout=0.5, store_retry=100, on_event=heard.append
        )
        await limit.acquire()
        store.error = ConnectionError("gone") if how == "raises" else None
        store.hangs = how == "hangs"
        times = await asyncio.gather(*(acquired_at(limit) for _ in range(4)))
        return times, limit.stats().store_errors

    times, errors = run(main())
    assert errors == 1
    begun = 0.5 if how == "hangs" else times[0]
    assert [round(at - begun, 4) for at in times] == [0.0, 0.1, 0.2, 0.3]
    whats = [event.what for event in heard]
    assert whats.count("store_error") == 1
    assert whats.count("wait") == whats.count("grant") == 5


def test_it_returns_to_the_store_when_that_is_back(run: Run) -> None:
    async def main() -> None:
        store = Store()
        limit = RedisRateLimit(store, "api", 1000, store_retry=1.0)
        store.error = ConnectionError("gone")
        await limit.acquire()
        store.error = None
        calls = store.calls
        await limit.acquire()
        assert store.calls == calls
        await asyncio.sleep(1.0)
        await limit.acquire()
        assert store.calls == calls + 1

    run(main())


def test_without_the_store_it_may_be_closed_or_open(run: Run) -> None:
    async def main() -> None:
        store = Store()
        store.error = ConnectionError("gone")
        closed = RedisRateLimit(store, "api", 1, on_store_error="closed")
        with pytest.raises(RateLimited, match="the store does not answer") as caught:
            await closed.acquire()
        assert caught.value.retry_after == pytest.approx(1.0)
        opened = RedisRateLimit(store, "api", 1, on_store_error="open")
        assert await asyncio.gather(*(acquired_at(opened) for _ in range(50))) == [0.0] * 50

    run(main())


def test_one_limit_serves_one_run_after_another(run: Run) -> None:
    limit = RedisRateLimit(Store(), "api", 10)

    async def cut_short() -> None:
        tasks = [spawn(limit.acquire()) for _ in range(3)]
        await asyncio.sleep(0.05)
        assert len(tasks) == 3

    run(cut_short())
    limit._reserve_in_store = Store().reserve

    async def main() -> list[float]:
        return await asyncio.gather(*(acquired_at(limit) for _ in range(2)))

    times = run(main())
    assert times == sorted(times)
    assert limit.stats().waiting == 0


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"rate": 0}, "rate must be above 0"),
        ({"burst": 0}, "burst must be above 0"),
        ({"lease": 2}, "lease must be above 0 and at most the burst"),
        ({"instances": 0}, "instances must be 1 or more"),
        ({"max_waiting": -1}, "max_waiting must be 0 or more"),
        ({"store_timeout": 0}, "store_timeout must be above 0"),
        ({"on_store_error": "panic"}, "on_store_error must be"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        RedisRateLimit(Store(), "api", **{"rate": 10, **settings})
    with pytest.raises(ValueError, match="n must be above 0 and at most the burst"):
        asyncio.run(RedisRateLimit(Store(), "api", 10).acquire(2))


PROGRAM = """
import asyncio, sys, time
from redis.asyncio import Redis
from maypole.patterns import RedisRateLimit

async def main():
    client = Redis(port=int(sys.argv[1]))
    limit = RedisRateLimit(client, sys.argv[2], 500, burst=100, lease=float(sys.argv[3]), clock=sys.argv[4])
    times = []

    async def work():
        end = time.time() + 1.5
        while time.time() < end:
            await limit.acquire()
            times.append(time.time())

    await asyncio.gather(*(work() for _ in range(20)))
    await client.aclose()
    print(len(times), min(times), max(times), limit.stats().store_errors)

asyncio.run(main())
"""


@pytest.mark.parametrize(("lease", "clock"), [(1, "server"), (10, "server"), (10, "client")])
def test_four_processes_stay_within_the_bound(redis_port: int, lease: int, clock: str) -> None:
    pytest.importorskip("redis")
    key = f"bound-{lease}-{clock}-{time.time_ns()}"
    command = [sys.executable, "-c", PROGRAM, str(redis_port), key, str(lease), clock]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    results = []
    for process in processes:
        output, _ = process.communicate(timeout=50)
        assert process.returncode == 0
        results.append([float(word) for word in output.split()])
    counts = [count for count, *_ in results]
    seconds = max(last for _, _, last, _ in results) - min(first for _, first, _, _ in results)
    assert sum(errors for *_, errors in results) == 0
    # A little more than the time between the first grant and the last: a grant is seen after it was given.
    assert sum(counts) <= 100 + 500 * (seconds + 0.05) + lease * 4
    assert min(counts) > 0


def test_a_real_redis_keeps_the_order_of_time_and_the_pause(redis_port: int) -> None:
    redis = pytest.importorskip("redis.asyncio")

    async def main() -> None:
        async with redis.Redis(port=redis_port) as client:
            key = f"pause-{time.time_ns()}"
            limit = RedisRateLimit(client, key, 10_000, burst=10)
            assert await limit.try_acquire(10)
            await limit.pause(30)
            await limit.pause(1)
            other = RedisRateLimit(client, key, 10_000, burst=10)
            with pytest.raises(RateLimited) as caught:
                await other.acquire(timeout=5)
            assert caught.value.retry_after is not None
            assert 20 < caught.value.retry_after <= 30
            assert await client.pttl(f"{key}:pause") > 20_000
            assert await client.pttl(key) >= -2  # the bucket goes away by itself

    asyncio.run(main())
