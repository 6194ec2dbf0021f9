"""A bulkhead: who is inside, who waits, and what resizing and cancelling leave behind."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest
from maypole.patterns import Bulkhead, BulkheadFull, Deadline, PatternEvent

Run = Callable[..., Any]
spawn = asyncio.create_task


async def hold(bulkhead: Bulkhead, seconds: float = 1.0) -> float:
    async with bulkhead:
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(seconds)
    return round(began - 1000.0, 6)


def test_no_more_than_the_limit_are_inside(run: Run) -> None:
    async def main() -> int:
        bulkhead = Bulkhead(3, max_waiting=None)
        inside = most = 0

        async def work() -> None:
            nonlocal inside, most
            async with bulkhead:
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.1)
                inside -= 1

        await asyncio.gather(*(work() for _ in range(20)))
        assert bulkhead.stats().in_use_max == 3
        return most

    assert run(main()) == 3


def test_it_refuses_at_once_when_nobody_may_wait(run: Run) -> None:
    async def main() -> None:
        bulkhead = Bulkhead(1, name="db")
        async with bulkhead:
            assert not bulkhead.try_acquire()
            with pytest.raises(BulkheadFull, match="bulkhead 'db': 1 of 1 in use, 0 are waiting already"):
                await bulkhead.acquire()
        assert bulkhead.try_acquire()
        bulkhead.release()
        stats = bulkhead.stats()
        assert (stats.granted, stats.rejected, stats.in_use) == (2, 2, 0)

    run(main())


def test_tasks_are_let_in_in_order(run: Run) -> None:
    async def main() -> list[float]:
        bulkhead = Bulkhead(2, max_waiting=10)
        return await asyncio.gather(*(hold(bulkhead) for _ in range(6)))

    assert run(main()) == [0.0, 0.0, 1.0, 1.0, 2.0, 2.0]


def test_a_full_line_refuses(run: Run) -> None:
    async def main() -> None:
        bulkhead = Bulkhead(1, max_waiting=1)
        tasks = [spawn(hold(bulkhead)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(BulkheadFull, match="1 are waiting already"):
            await bulkhead.acquire()
        await asyncio.gather(*tasks)

    run(main())


@pytest.mark.parametrize("how", ["argument", "setting"])
def test_who_waits_too_long_is_refused(run: Run, how: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        bulkhead = Bulkhead(1, max_waiting=5, timeout=0.5 if how == "setting" else None)
        async with bulkhead:
            before = loop.time()
            with pytest.raises(BulkheadFull, match=r"no place came free in 0.5 s"):
                await bulkhead.acquire(timeout=0.5 if how == "argument" else None)
            assert loop.time() == before + 0.5
            stats = bulkhead.stats()
            assert (stats.rejected, stats.cancelled, stats.waiting) == (1, 0, 0)

    run(main())


def test_a_deadline_ends_the_wait(run: Run) -> None:
    async def main() -> None:
        bulkhead = Bulkhead(1, max_waiting=5)
        async with bulkhead:
            with pytest.raises(TimeoutError):
                async with Deadline(0.5):
                    await bulkhead.acquire(timeout=9)
            assert asyncio.get_running_loop().time() == 1000.5
        assert bulkhead.stats().waiting == 0
        assert bulkhead.in_use == 0

    run(main())


def test_a_weight_takes_several_places_and_nobody_passes_it(run: Run) -> None:
    async def main() -> list[str]:
        bulkhead = Bulkhead(4, max_waiting=10)
        order: list[str] = []

        async def work(name: str, n: int) -> None:
            async with bulkhead.places(n):
                order.append(name)
                await asyncio.sleep(1)

        names = [("a", 3), ("heavy", 4), ("b", 1), ("c", 1)]
        await asyncio.gather(*(work(name, n) for name, n in names))
        return order

    assert run(main()) == ["a", "heavy", "b", "c"]


def test_places_kept_for_a_group_are_free_for_it_only(run: Run) -> None:
    async def main() -> None:
        bulkhead = Bulkhead(10, max_waiting=10, reserve={"admin": 0.2})
        for _ in range(8):
            assert bulkhead.try_acquire()
        assert not bulkhead.try_acquire()
        waiting = spawn(bulkhead.acquire())
        await asyncio.sleep(0)
        # A place of its own: it passes who came before. Beyond that it would have to stand in line.
        assert bulkhead.try_acquire(2, group="admin")
        assert not bulkhead.try_acquire(group="admin")
        assert bulkhead.describe()["groups"] == {"admin": {"in_use": 2, "reserved": 2}}
        bulkhead.release(2, group="admin")
        await asyncio.sleep(0)
        assert not waiting.done()
        bulkhead.release()
        await waiting
        with pytest.raises(ValueError, match="no places are reserved for 'root'; groups: 'admin'"):
            bulkhead.try_acquire(group="root")
        with pytest.raises(ValueError, match="n must be from 1 to the 8 that can be had"):
            bulkhead.try_acquire(9)

    run(main())


def test_who_is_more_urgent_is_let_in_first(run: Run) -> None:
    async def main() -> None:
        places = Bulkhead(1, max_waiting=10)
        order: list[str] = []

        async def work(name: str, priority: int) -> None:
            async with places.places(priority=priority):
                order.append(name)
                await asyncio.sleep(1)

        urgencies = {
            "first": 0,
            "low a": -1,
            "normal a": 0,
            "high a": 5,
            "low b": -1,
            "high b": 5,
            "normal b": 0,
        }
        async with asyncio.TaskGroup() as group:
            tasks = {name: group.create_task(work(name, urgency)) for name, urgency in urgencies.items()}
            await asyncio.sleep(0.5)
            tasks["high a"].cancel()
            await asyncio.sleep(1)
            group.create_task(work("late and urgent", 9))
        assert order == ["first", "high b", "late and urgent", "normal a", "normal b", "low a", "low b"]

    run(main())


def test_a_share_is_for_its_group_however_urgent_others_are(run: Run) -> None:
    async def main() -> None:
        places = Bulkhead(2, max_waiting=10, reserve={"admin": 0.5})
        await places.acquire()
        urgent = asyncio.create_task(places.acquire(priority=9))
        await asyncio.sleep(0)
        await places.acquire(group="admin", timeout=0.1)
        places.release()
        await urgent

    run(main())


def test_a_smaller_limit_admits_nobody_until_fewer_are_inside(run: Run) -> None:
    """gentlify 2.0.0 lets ten in with a limit of five."""

    async def main() -> None:
        bulkhead = Bulkhead(10, max_waiting=10)
        for _ in range(10):
            assert bulkhead.try_acquire()
        bulkhead.limit = 5
        waiting = spawn(bulkhead.acquire())
        for still in range(9, 4, -1):
            bulkhead.release()
            await asyncio.sleep(0)
            assert (bulkhead.in_use, waiting.done()) == (still, False)
        bulkhead.release()
        await waiting
        assert bulkhead.in_use == 5

    run(main())


def test_a_larger_limit_lets_in_who_waits(run: Run) -> None:
    async def main() -> list[float]:
        bulkhead = Bulkhead(1, max_waiting=10)
        tasks = [spawn(hold(bulkhead)) for _ in range(4)]
        await asyncio.sleep(0.5)
        bulkhead.limit = 3
        return await asyncio.gather(*tasks)

    assert run(main()) == [0.0, 0.5, 0.5, 1.0]


def test_a_waiter_heavier_than_a_smaller_limit_goes_in_alone(run: Run) -> None:
    async def main() -> None:
        bulkhead = Bulkhead(4, max_waiting=10)
        assert bulkhead.try_acquire(2)
        heavy = spawn(bulkhead.acquire(4))
        await asyncio.sleep(0)
        bulkhead.limit = 2
        bulkhead.release(1)
        await asyncio.sleep(0)
        assert not heavy.done()
        bulkhead.release(1)
        await heavy
        assert bulkhead.in_use == 4

    run(main())


@pytest.mark.parametrize("seed", range(5))
def test_any_subset_of_waiters_may_be_cancelled_in_any_order(run: Run, seed: int) -> None:
    """hyx 0.0.2: one inside and four cancelled waiters leave no place of five."""

    async def main() -> None:
        choose = random.Random(seed)
        bulkhead = Bulkhead(5, max_waiting=None)
        tasks = [spawn(hold(bulkhead, choose.uniform(0.1, 2))) for _ in range(60)]
        for _ in range(40):
            await asyncio.sleep(choose.uniform(0, 0.1))
            choose.choice(tasks).cancel()
        await asyncio.wait(tasks)
        stats = bulkhead.stats()
        assert (stats.in_use, stats.waiting) == (0, 0)
        assert stats.in_use_max == 5
        assert stats.granted + stats.cancelled == 60
        assert stats.granted >= sum(not task.cancelled() for task in tasks)

    run(main())


def test_a_place_that_was_not_taken_goes_to_the_next(run: Run) -> None:
    async def main() -> None:
        bulkhead = Bulkhead(1, max_waiting=5)
        await bulkhead.acquire()
        first = spawn(bulkhead.acquire())
        second = spawn(bulkhead.acquire())
        await asyncio.sleep(0)
        bulkhead.release()  # the place is the first one's now; it has not run yet
        first.cancel()
        await second
        assert first.cancelled()
        stats = bulkhead.stats()
        assert (stats.in_use, stats.granted, stats.cancelled) == (1, 2, 1)

    run(main())


def test_more_releases_than_acquires_are_an_error() -> None:
    bulkhead = Bulkhead(2, reserve={"admin": 0.5})
    assert bulkhead.try_acquire()
    with pytest.raises(RuntimeError, match="released 2 places, more than were acquired"):
        bulkhead.release(2)
    with pytest.raises(RuntimeError):
        bulkhead.release(group="admin")
    bulkhead.release()
    with pytest.raises(RuntimeError):
        bulkhead.release()


def test_an_error_inside_gives_the_place_back(run: Run) -> None:
    async def main() -> None:
        bulkhead = Bulkhead(1)
        with pytest.raises(ZeroDivisionError):
            async with bulkhead:
                raise ZeroDivisionError
        assert bulkhead.in_use == 0

        @bulkhead
        async def fail() -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fail()
        assert bulkhead.in_use == 0

    run(main())


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Bulkhead(0), "limit must be 1 or more"),
        (lambda: Bulkhead(1, max_waiting=-1), "max_waiting must be 0 or more"),
        (lambda: Bulkhead(1, timeout=-1), "timeout must be 0 or more"),
        (lambda: Bulkhead(10, reserve={"a": 0}), "reserve must be above 0"),
        (lambda: Bulkhead(10, reserve={"a": 0.5, "b": 0.5}), "leave something for everybody"),
        (lambda: Bulkhead(2).try_acquire(3), "n must be from 1 to the 2"),
        (lambda: Bulkhead(2).try_acquire(0), "n must be from 1 to the 2"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()
    bulkhead = Bulkhead(2)
    with pytest.raises(ValueError, match="limit must be 1 or more"):
        bulkhead.limit = 0
    with pytest.raises(TypeError, match="coroutine functions"):
        bulkhead(print)  # type: ignore[arg-type]


def test_listeners_hear_waits_grants_refusals_and_limits(run: Run) -> None:
    heard: list[PatternEvent] = []

    async def main() -> None:
        bulkhead = Bulkhead(1, max_waiting=1, on_event=heard.append)
        tasks = [spawn(hold(bulkhead)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(BulkheadFull):
            await bulkhead.acquire()
        await asyncio.gather(*tasks)
        bulkhead.limit = 7

    run(main())
    assert [event.what for event in heard] == ["wait", "reject", "grant", "limit"]
    assert heard[2].detail["waited"] == pytest.approx(1.0)
    assert heard[3].detail == {"before": 1, "limit": 7, "reason": "set"}


def test_one_bulkhead_serves_one_run_after_another(run: Run) -> None:
    bulkhead = Bulkhead(1, max_waiting=5)

    async def main() -> list[float]:
        return await asyncio.gather(*(hold(bulkhead) for _ in range(2)))

    async def cut_short() -> None:
        tasks = [spawn(hold(bulkhead)) for _ in range(3)]
        await asyncio.sleep(0.5)
        assert len(tasks) == 3

    assert run(main()) == [0.0, 1.0]
    run(cut_short())
    assert (bulkhead.in_use, bulkhead.stats().waiting) == (0, 0)
    assert run(main()) == [0.0, 1.0]
    assert repr(bulkhead) == "<Bulkhead 0 of 1 in use, 0 waiting>"


def test_tasks_of_several_loops_share_the_places(run_real: Run) -> None:
    bulkhead = Bulkhead(2, max_waiting=None)
    inside = most = done = 0
    lock = threading.Lock()

    async def main() -> None:
        async def work() -> None:
            nonlocal inside, most, done
            async with bulkhead:
                with lock:
                    inside += 1
                    most = max(most, inside)
                await asyncio.sleep(0.002)
                with lock:
                    inside -= 1
                    done += 1

        await asyncio.gather(*(work() for _ in range(10)))

    others = [threading.Thread(target=run_real, args=(main(),)) for _ in range(2)]
    for thread in others:
        thread.start()
    run_real(main())
    for thread in others:
        thread.join()
    assert (most, done) == (2, 30)
    assert (bulkhead.in_use, bulkhead.stats().waiting) == (0, 0)


def test_order_and_counts_hold_on_every_loop(run_real: Run) -> None:
    async def main() -> list[int]:
        bulkhead = Bulkhead(2, max_waiting=100)
        order: list[int] = []

        async def work(i: int) -> None:
            async with bulkhead:
                order.append(i)
                await asyncio.sleep(0)

        tasks = [spawn(work(i)) for i in range(20)]
        await asyncio.sleep(0)
        for i in (5, 6):
            tasks[i].cancel()
        await asyncio.wait(tasks)
        assert bulkhead.in_use == 0
        return order

    assert run_real(main()) == [i for i in range(20) if i not in (5, 6)]
