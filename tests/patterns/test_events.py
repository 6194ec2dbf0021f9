"""One place where every event passes: who subscribes hears all patterns of the program."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from maypole.patterns import (
    Adaptive,
    Background,
    Bulkhead,
    BulkheadFull,
    CircuitBreaker,
    CircuitOpen,
    Keyed,
    KeyedLock,
    Lifespan,
    PatternEvent,
    Pool,
    RateLimit,
    RetryBudget,
    RWLock,
    SingleFlight,
    TaskScope,
    channel,
    debounce,
    every,
    source,
    subscribe,
    supervise,
)
from maypole.patterns import events as events_module

Run = Callable[..., Any]


@pytest.fixture
def heard() -> Iterator[list[PatternEvent]]:
    """All events of the program, while a test runs."""
    gc.collect()  # what earlier tests have left closes now, and not in the middle of this one
    found: list[PatternEvent] = []
    end = subscribe(found.append)
    yield found
    end()
    assert events_module._subscribers == ()


async def nap() -> None:
    await asyncio.sleep(1)


async def hold(block: Any) -> None:
    async with block:
        await nap()


async def contend(*blocks: Any) -> None:
    """Let two tasks want the same thing."""
    async with asyncio.TaskGroup() as group:
        for block in blocks:
            group.create_task(hold(block))


def test_one_subscriber_hears_every_pattern(run: Run, heard: list[PatternEvent]) -> None:
    async def main() -> None:
        rate, places = RateLimit(1, name="rate"), Bulkhead(1, max_waiting=9, name="places")
        adaptive = Adaptive(target=1, initial=1, max=1, max_waiting=9, name="adaptive")
        locks: KeyedLock[str] = KeyedLock(name="locks")
        rwlock = RWLock(name="rwlock")
        pool: Pool[object] = Pool(object, lambda _: None, max_size=1, name="pool")
        await contend(rate, rate)
        await contend(places, places)
        await contend(adaptive, adaptive)
        await contend(locks.hold("key"), locks.hold("key"))
        await contend(rwlock.write(), rwlock.read())
        async with pool:
            await contend(pool.acquire(), pool.acquire())
        send, recv = channel[int](1, name="channel")
        async with send, recv:
            waiting = asyncio.create_task(recv.recv())
            await asyncio.sleep(0)
            await send(1)
            await waiting
        breaker = CircuitBreaker("breaker", consecutive=1)
        with pytest.raises(OSError, match="down"):
            async with breaker:
                raise OSError("down")
        assert breaker.try_acquire() is None
        RetryBudget(min_per_s=0, name="budget").try_acquire()
        flight = SingleFlight(name="flight")
        await flight.do("key", nap)
        keyed: Keyed[str, RateLimit] = Keyed(lambda _: RateLimit(1), max_keys=1, name="keyed")
        assert keyed["a"] is not keyed["b"]
        async with TaskScope(name="scope") as scope:
            scope.start(nap())
        async with Background(name="background") as background:
            background.start(nap())
        async with Lifespan(name="lifespan") as lifespan:
            lifespan.add("part", nap)
        with pytest.raises(ExceptionGroup):
            await source([1], name="pipeline").map(fail).run()
        await source([1], name="pipeline").map(fail, on_error="skip").run()
        await debounce(nap, 1, name="debounce")()
        await supervise(nap, name="supervisor")
        with pytest.raises(ExceptionGroup):
            await every(fail_at_once, 1, name="periodic")

    run(main())
    found = {(event.kind, event.name, event.what) for event in heard}
    for kind, name in {
        "rate_limit": "rate",
        "bulkhead": "places",
        "adaptive": "adaptive",
        "keyed_lock": "locks",
        "rwlock": "rwlock",
        "pool": "pool",
        "channel": "channel",
    }.items():
        assert {(kind, name, "wait"), (kind, name, "grant")} <= found
    assert {
        ("pool", "pool", "create"),
        ("pool", "pool", "close"),
        ("channel", "channel", "close"),
        ("breaker", "breaker", "transition"),
        ("breaker", "breaker", "reject"),
        ("retry_budget", "budget", "reject"),
        ("single_flight", "flight", "start"),
        ("keyed", "keyed", "evict"),
        ("scope", "scope", "start"),
        ("background", "background", "end"),
        ("lifespan", "lifespan", "stopped"),
        ("pipeline", "pipeline", "skip"),
        ("debounce", "debounce", "call"),
        ("supervisor", "supervisor", "start"),
        ("periodic", "periodic", "error"),
    } <= found


async def fail(item: int) -> None:
    raise ValueError(item)


async def fail_at_once() -> None:
    raise ValueError("no")


def test_a_wait_is_told_in_its_task_and_says_how_long_it_was(run: Run, heard: list[PatternEvent]) -> None:
    tasks: list[str] = []

    def note(event: PatternEvent) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(f"{event.what} {task.get_name()}")

    async def main() -> None:
        places = Bulkhead(1, max_waiting=1)
        end = subscribe(note)
        async with asyncio.TaskGroup() as group:
            for name in ("first", "second"):
                group.create_task(hold(places), name=name)
        end()

    run(main())
    assert tasks == ["wait second", "grant second"]
    told = [event for event in heard if event.kind == "bulkhead"]
    assert [event.detail for event in told] == [{"n": 1}, {"n": 1, "waited": 1.0}]
    assert [event.at for event in told] == [1000.0, 1001.0]


def test_a_refusal_is_told_however_it_was_asked_for(run: Run, heard: list[PatternEvent]) -> None:
    async def main() -> None:
        rate, places = RateLimit(1), Bulkhead(1)
        breaker = CircuitBreaker("remote")
        breaker.force_open()
        for _ in range(2):
            rate.try_acquire()
            places.try_acquire()
        breaker.try_acquire()
        with pytest.raises(BulkheadFull):
            await places.acquire()
        with pytest.raises(CircuitOpen):
            breaker.acquire()

    run(main())
    refused = [event.kind for event in heard if event.what == "reject"]
    assert refused == ["rate_limit", "bulkhead", "breaker", "bulkhead", "breaker"]


def test_own_listeners_hear_first_and_one_that_fails_keeps_nobody_from_hearing(
    heard: list[PatternEvent], caplog: pytest.LogCaptureFixture
) -> None:
    order: list[str] = []
    end_first = subscribe(lambda _: 1 / 0)
    end_second = subscribe(lambda _: order.append("all"))
    with caplog.at_level(logging.ERROR, "maypole.patterns"):
        RateLimit(1, on_event=lambda _: order.append("own")).pause(1)
    end_first()
    end_second()
    assert order == ["own", "all"]
    assert [event.what for event in heard] == ["pause"]
    assert "failed on 'pause'" in caplog.text


def test_each_subscription_ends_by_itself_and_once() -> None:
    heard: list[PatternEvent] = []
    limit = RateLimit(1)
    first, second = subscribe(heard.append), subscribe(heard.append)
    limit.pause(1)
    first()
    first()
    limit.pause(2)
    second()
    limit.pause(3)
    assert [event.detail["seconds"] for event in heard] == [1, 1, 2]


def test_nothing_is_built_when_nobody_listens(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def built(*_: object) -> None:
        raise AssertionError("an event was built, and nobody listens")

    monkeypatch.setattr(events_module, "PatternEvent", built)

    async def main() -> None:
        places = Bulkhead(1, max_waiting=1)
        await contend(places, places)
        RateLimit(1).pause(1)

    run(main())
    end = subscribe(lambda _: None)
    with pytest.raises(AssertionError, match="nobody listens"):
        RateLimit(1).pause(1)
    end()


def test_subscribers_may_come_and_go_in_any_thread(heard: list[PatternEvent]) -> None:
    def come_and_go() -> None:
        for _ in range(500):
            subscribe(lambda _: None)()

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    limit = RateLimit(1)
    for _ in range(100):
        limit.pause(1)
    for thread in threads:
        thread.join()
    assert sum(event.kind == "rate_limit" for event in heard) == 100
