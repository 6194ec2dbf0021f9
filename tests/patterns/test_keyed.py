"""One pattern for each key: made, shared, forgotten; and no key delays another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from maypole.patterns import Bulkhead, CircuitBreaker, Keyed, PatternEvent, RateLimit, Rejected

Run = Callable[..., Any]
spawn = asyncio.create_task


def test_a_key_that_waits_does_not_delay_another(run: Run) -> None:
    """pyrate-limiter 4.5.1: a fresh key waits 3 s because another one does."""

    async def main() -> float:
        users: Keyed[str, RateLimit] = Keyed(lambda user: RateLimit(1 / 3))
        await users["a"].acquire()
        waiting = spawn(users["a"].acquire())
        await asyncio.sleep(0)
        await users["b"].acquire()
        at = asyncio.get_running_loop().time()
        await waiting
        return at

    assert run(main()) == 1000.0


def test_each_key_has_one_pattern(run: Run) -> None:
    async def main() -> None:
        made: list[str] = []

        def make(host: str) -> CircuitBreaker:
            made.append(host)
            return CircuitBreaker(host)

        hosts = Keyed(make)
        assert hosts["a"] is hosts["a"]
        assert hosts["b"] is not hosts["a"]
        assert made == ["a", "b"]
        assert "a" in hosts
        assert len(hosts) == 2
        hosts.discard("a")
        hosts.discard("never")
        assert "a" not in hosts

    run(main())


def test_idle_keys_are_forgotten(run: Run) -> None:
    async def main() -> None:
        users: Keyed[str, RateLimit] = Keyed(lambda user: RateLimit(10), idle=60)
        users["old"].try_acquire()
        await asyncio.sleep(30)
        users["young"].try_acquire()
        await asyncio.sleep(30)
        users["new"].try_acquire()
        assert "old" not in users
        assert "young" in users
        assert users.stats().expired == 1

    run(main())


def test_a_key_that_is_waited_for_is_not_forgotten(run: Run) -> None:
    async def main() -> None:
        users: Keyed[str, RateLimit] = Keyed(lambda user: RateLimit(0.001), idle=60)
        await users["busy"].acquire()
        waiting = spawn(users["busy"].acquire())
        await asyncio.sleep(100)
        assert users["new"].try_acquire()
        assert "busy" in users
        waiting.cancel()
        await asyncio.wait([waiting])

    run(main())


def test_room_is_made_by_whom_nobody_would_miss(run: Run) -> None:
    heard: list[PatternEvent] = []

    async def main() -> None:
        users: Keyed[str, RateLimit] = Keyed(lambda user: RateLimit(0.1), max_keys=3, on_event=heard.append)
        users["spent"].try_acquire()
        users["full"].stats()
        users["also spent"].try_acquire()
        users["new"].try_acquire()
        # A full limit loses nothing; with one that is spent, its user would begin with a burst again.
        assert ("spent" in users, "full" in users) == (True, False)
        users["newer"].try_acquire()
        assert "spent" not in users
        stats = users.stats()
        assert (stats.keys, stats.made, stats.evicted) == (3, 5, 2)

    run(main())
    assert [(event.what, event.detail["key"]) for event in heard] == [("evict", "full"), ("evict", "spent")]


def test_a_new_key_is_refused_when_all_are_in_use(run: Run) -> None:
    async def main() -> None:
        hosts: Keyed[str, Bulkhead] = Keyed(lambda host: Bulkhead(1), max_keys=2, name="hosts")
        async with hosts["a"], hosts["b"]:
            with pytest.raises(Rejected, match="keyed 'hosts': all of 2 keys are in use"):
                hosts["c"]
        assert hosts["c"].try_acquire()
        assert hosts.stats().rejected == 1
        assert hosts.describe()["kind"] == "keyed"

    run(main())


def test_a_clock_that_begins_anew_makes_nothing_old(run: Run) -> None:
    users: Keyed[str, RateLimit] = Keyed(lambda user: RateLimit(10), idle=60)

    async def late() -> None:
        await asyncio.sleep(3600)
        users["a"].try_acquire()

    async def early() -> None:
        assert users["b"].try_acquire()
        assert "a" in users
        await asyncio.sleep(61)
        assert users["c"].try_acquire()
        assert "a" not in users

    run(late())
    run(early())


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="max_keys must be 1 or more"):
        Keyed(RateLimit, max_keys=0)
    with pytest.raises(ValueError, match="idle must be above 0"):
        Keyed(RateLimit, idle=0)
    assert repr(Keyed(lambda key: key, name="x")) == "<Keyed x 0 of 10000 keys>"
