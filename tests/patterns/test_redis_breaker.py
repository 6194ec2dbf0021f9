"""One breaker for several processes: a store of the test's own in virtual time, and a real Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from frameworks.conftest import redis_port
from maypole.patterns import CircuitOpen, PatternEvent, Policy, RedisBreaker
from maypole.patterns.redis_breaker import _CLOSE, _LEASE, _LOOK, _OPEN

__all__ = ["redis_port"]

Run = Callable[..., Any]
spawn = asyncio.create_task


class Broken(Exception):
    """What the remote answers when it does not work."""


class Store:
    """What the scripts do, on the loop's clock; fails while it is told to."""

    def __init__(self) -> None:
        self.open_until = 0.0
        self.probing: tuple[str, float] = ("", 0.0)
        self.calls = 0
        self.error: Exception | None = None

    def register_script(self, script: str) -> Any:
        scripts: dict[str, Callable[..., int]]
        scripts = {_LOOK: self.look, _OPEN: self.open, _LEASE: self.lease, _CLOSE: self.close}
        do = scripts[script]

        async def call(keys: list[str], args: list[Any]) -> int:
            assert keys == ["api", "api:probe"]
            self.calls += 1
            await asyncio.sleep(0.001)
            if self.error is not None:
                raise self.error
            return do(asyncio.get_running_loop().time(), *args)

        return call

    def look(self, now: float) -> int:
        if self.open_until > now:
            return round((self.open_until - now) * 1000)
        return 0 if self.probing[1] > now else -1

    def open(self, now: float, milliseconds: int) -> int:
        self.open_until = max(self.open_until, now + milliseconds / 1000)
        self.probing = ("", 0.0)
        return 1

    def lease(self, now: float, who: str, milliseconds: int) -> int:
        if self.probing[1] <= now:
            self.probing = (who, now + milliseconds / 1000)
        return int(self.probing[0] == who)

    def close(self, now: float) -> int:
        self.open_until, self.probing = 0.0, ("", 0.0)
        return 1


def breaker(store: Any, **settings: Any) -> RedisBreaker:
    wanted = {"consecutive": 2, "open_for": 1.0, "jitter": 0.0, "probes": 1, "refresh": 0.1}
    return RedisBreaker(store, "api", **wanted | settings)


async def attempt(one: RedisBreaker, error: BaseException | None = None, seconds: float = 0.0) -> None:
    async with one:
        await asyncio.sleep(seconds)
        if error is not None:
            raise error


async def fail(one: RedisBreaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(Broken):
            await attempt(one, Broken())


def test_when_one_opens_the_others_open(run: Run) -> None:
    heard: list[PatternEvent] = []

    async def main() -> None:
        store = Store()
        one, two = breaker(store), breaker(store, on_event=heard.append)
        await attempt(two)
        await fail(one, 2)
        await asyncio.sleep(0.1)
        with pytest.raises(CircuitOpen) as caught:
            await attempt(two)
        assert caught.value.retry_after == pytest.approx(0.9, abs=0.01)

    run(main())
    assert heard[0].detail == {"from": "closed", "to": "open", "reason": "elsewhere"}


def test_one_process_probes_at_a_time(run: Run) -> None:
    async def main() -> None:
        store = Store()
        several = [breaker(store) for _ in range(4)]
        await fail(several[0], 2)
        await asyncio.sleep(0.1)
        for one in several[1:]:
            with pytest.raises(CircuitOpen):
                await attempt(one)
        await asyncio.sleep(1.0)
        calls = [attempt(one, seconds=0.5) for one in several for _ in range(5)]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(outcome is None for outcome in outcomes) == 1
        messages = {str(outcome) for outcome in outcomes if outcome is not None}
        assert "breaker 'api' is half-open: another process probes" in messages
        # It works: the others probe in their turn, and close.
        await asyncio.sleep(0.1)
        for one in several:
            await attempt(one)
            await asyncio.sleep(0.01)
        assert [one.state for one in several] == ["closed"] * 4

    run(main())


def test_a_probe_that_fails_keeps_the_others_open(run: Run) -> None:
    async def main() -> None:
        store = Store()
        one, two = breaker(store), breaker(store)
        await fail(one, 2)
        await asyncio.sleep(1.1)
        await fail(one)
        await asyncio.sleep(0.01)
        with pytest.raises(CircuitOpen) as caught:
            await attempt(two)  # which has seen nothing until now
        assert caught.value.retry_after == pytest.approx(2.0, abs=0.05)

    run(main())


def test_who_has_seen_nothing_stays_out_while_another_one_probes(run: Run) -> None:
    async def main() -> None:
        store = Store()
        one, two = breaker(store), breaker(store)
        await fail(one, 2)
        await asyncio.sleep(1.1)
        probe = spawn(attempt(one, seconds=5))
        await asyncio.sleep(0.1)
        with pytest.raises(CircuitOpen, match="another process probes"):
            await attempt(two)
        assert two.try_acquire() is None
        await probe

    run(main())


def test_the_lease_of_a_process_that_died_ends(run: Run) -> None:
    async def main() -> None:
        store = Store()
        one, two = breaker(store, half_open_timeout=5.0), breaker(store, half_open_timeout=5.0)
        await fail(one, 2)
        await asyncio.sleep(0.1)
        with pytest.raises(CircuitOpen):
            await attempt(two)
        await asyncio.sleep(1.0)
        await one.admit()  # and it is never heard of again
        with pytest.raises(CircuitOpen, match="another process probes"):
            await attempt(two)
        await asyncio.sleep(5.0)
        await attempt(two)
        assert two.state == "closed"

    run(main())


def test_the_store_is_asked_seldom(run: Run) -> None:
    async def main() -> int:
        store = Store()
        one = breaker(store, refresh=0.5)
        for _ in range(1000):
            await attempt(one, seconds=0.001)
        return store.calls

    assert run(main()) == 2


def test_without_the_store_each_goes_on_by_itself(run: Run) -> None:
    heard: list[PatternEvent] = []

    async def main() -> None:
        store = Store()
        store.error = ConnectionError("gone")
        one = breaker(store, on_event=heard.append)
        await fail(one, 2)
        await asyncio.sleep(0.01)
        with pytest.raises(CircuitOpen):
            await attempt(one)
        await asyncio.sleep(1.1)
        await attempt(one)
        assert one.state == "closed"

    run(main())
    assert "store_error" in {event.what for event in heard}


def test_a_policy_and_the_decorator_ask_the_store(run: Run) -> None:
    async def main() -> None:
        store = Store()
        one, two = breaker(store), breaker(store)
        await fail(one, 2)
        await asyncio.sleep(0.1)

        @two
        async def call() -> str:
            return "answer"

        with pytest.raises(CircuitOpen):
            await call()
        with pytest.raises(CircuitOpen):
            await Policy(breaker=breaker(store)).call(asyncio.sleep, 0)

    run(main())


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="refresh and store_timeout must be above 0"):
        RedisBreaker(Store(), "api", refresh=0)
    with pytest.raises(ValueError, match="probes must be 1 or more"):
        RedisBreaker(Store(), "api", probes=0)


def test_two_breakers_on_a_real_redis(redis_port: int) -> None:
    redis = pytest.importorskip("redis.asyncio")

    async def main() -> None:
        async with redis.Redis(port=redis_port) as client, redis.Redis(port=redis_port) as other:
            key = f"breaker-{time.time_ns()}"
            quick: dict[str, Any] = {"consecutive": 2, "open_for": 0.3, "jitter": 0, "probes": 1}
            one, two = (RedisBreaker(each, key, refresh=0.05, **quick) for each in (client, other))
            await fail(one, 2)
            while not await client.exists(key):
                await asyncio.sleep(0.01)
            with pytest.raises(CircuitOpen):
                await attempt(two)
            assert two.state == "open"
            while await client.exists(key):
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            probe = spawn(attempt(one, seconds=0.2))
            while not await client.exists(f"{key}:probe"):
                await asyncio.sleep(0.01)
            with pytest.raises(CircuitOpen, match="another process probes"):
                await attempt(two)
            await probe
            while await client.exists(f"{key}:probe"):
                await asyncio.sleep(0.01)
            await attempt(two)
            assert (one.state, two.state) == ("closed", "closed")

    asyncio.run(main())
