"""Joined calls: who works, who shares, and what happens when callers leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from maypole.patterns.deadline import Deadline
from maypole.patterns.errors import QueueFull, WorkCancelled
from maypole.patterns.events import PatternEvent
from maypole.patterns.singleflight import SingleFlight

Run = Callable[..., Any]


def now() -> float:
    return asyncio.get_running_loop().time() - 1000


class Work:
    """Counts how often it is done and how it ends."""

    def __init__(self, seconds: float = 5) -> None:
        self.seconds = seconds
        self.begun = 0
        self.cancelled = 0

    async def __call__(self, value: str = "value") -> str:
        self.begun += 1
        try:
            await asyncio.sleep(self.seconds)
        except asyncio.CancelledError:
            await asyncio.sleep(2)  # its cleanup
            self.cancelled += 1
            raise
        return value


def test_calls_at_the_same_time_share_the_work(run: Run) -> None:
    async def main() -> None:
        flight, work = SingleFlight(), Work()
        results = await asyncio.gather(*(flight.do("k", work, "v") for _ in range(100)))
        assert results == ["v"] * 100
        assert work.begun == 1
        assert now() == 5
        stats = flight.stats()
        assert (stats.calls, stats.started, stats.shared, stats.in_flight) == (100, 1, 99, 0)

    run(main())


def test_nothing_is_cached(run: Run) -> None:
    async def main() -> None:
        flight, work = SingleFlight(), Work()
        assert [await flight.do("k", work, value) for value in ("a", "b")] == ["a", "b"]
        assert work.begun == 2

    run(main())


def test_keys_do_not_wait_for_each_other(run: Run) -> None:
    async def main() -> None:
        flight, work = SingleFlight(), Work()
        await asyncio.gather(*(flight.do(key, work, "v") for key in range(10)))
        assert work.begun == 10
        assert now() == 5

    run(main())


def test_the_work_goes_on_when_the_first_caller_leaves(run: Run) -> None:
    async def main() -> None:
        flight, work = SingleFlight(), Work()
        first = asyncio.create_task(flight.do("k", work, "v"))
        await asyncio.sleep(1)
        second = asyncio.create_task(flight.do("k", work, "v"))
        await asyncio.sleep(1)
        first.cancel()
        assert await second == "v"
        assert first.cancelled()
        assert (work.begun, work.cancelled, now()) == (1, 0, 5)

    run(main())


def test_the_work_is_cancelled_when_the_last_caller_has_left(run: Run) -> None:
    async def main() -> None:
        flight, work = SingleFlight(), Work()
        callers = [asyncio.create_task(flight.do("k", work, "v")) for _ in range(3)]
        await asyncio.sleep(1)
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        assert await flight.do("k", work, "new") == "new"  # and not the end of the cancelled work
        assert (work.begun, work.cancelled) == (2, 1)
        assert flight.stats().abandoned == 1

    run(main())


def test_an_error_reaches_every_caller_and_is_not_kept(run: Run) -> None:
    async def main() -> None:
        flight = SingleFlight()
        tries = 0

        async def flaky() -> str:
            nonlocal tries
            tries += 1
            await asyncio.sleep(1)
            if tries == 1:
                raise ConnectionError("down")
            return "up"

        outcomes = await asyncio.gather(*(flight.do("k", flaky) for _ in range(3)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [ConnectionError] * 3
        assert await flight.do("k", flaky) == "up"
        assert flight.stats().failed == 1

    run(main())


def test_work_that_fails_after_everybody_left_is_logged(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async def bad() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                raise OSError("cleanup failed")

        flight = SingleFlight()
        caller = asyncio.create_task(flight.do("k", bad))
        await asyncio.sleep(1)
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        await asyncio.sleep(1)

    run(main())
    assert "cleanup failed" in caplog.text


def test_work_that_is_cancelled_from_inside_is_no_cancellation_of_the_callers(run: Run) -> None:
    async def main() -> None:
        async def strange() -> None:
            raise asyncio.CancelledError

        with pytest.raises(WorkCancelled, match="cancelled from inside"):
            await SingleFlight().do("k", strange)

    run(main())


def test_the_deadline_of_the_first_caller_is_not_that_of_the_work(run: Run) -> None:
    async def main() -> None:
        flight = SingleFlight()

        async def look() -> Deadline | None:
            await asyncio.sleep(5)
            return Deadline.current()

        async def hurried() -> None:
            async with Deadline(1):
                await flight.do("k", look)

        first = asyncio.create_task(hurried())
        await asyncio.sleep(0)
        assert await flight.do("k", look) is None
        assert isinstance(first.exception(), TimeoutError)
        assert flight.stats().started == 1

    run(main())


def test_work_that_asks_for_itself_is_told(run: Run) -> None:
    async def main() -> None:
        flight = SingleFlight(name="users")

        async def outer() -> str:
            inner: str = await asyncio.create_task(flight.do("k", outer))
            return inner

        with pytest.raises(RuntimeError, match="single flight 'users': the work for 'k' asks for itself"):
            await flight.do("k", outer)

    run(main())


def test_the_number_of_callers_is_bounded(run: Run) -> None:
    async def main() -> None:
        flight, work = SingleFlight(max_waiting=2), Work()
        callers = [asyncio.create_task(flight.do("k", work, "v")) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFull, match="2 callers wait already"):
            await flight.do("k", work, "v")
        with pytest.raises(QueueFull):
            await flight.do("other", work, "v")
        await asyncio.gather(*callers)
        assert work.begun == 1

    run(main())


def test_a_wrapped_function_joins_by_its_arguments_or_by_a_key(run: Run) -> None:
    async def main() -> None:
        flight, seen = SingleFlight(), []

        @flight.wrap
        async def load(user: int, *, fresh: bool = False) -> tuple[int, bool]:
            seen.append(user)
            await asyncio.sleep(1)
            return user, fresh

        async def parse(text: str) -> str:
            seen.append(0)
            await asyncio.sleep(1)
            return text

        lower = flight.wrap(parse, key=lambda text: text.lower())
        results = await asyncio.gather(load(1), load(1), load(1, fresh=True), load(2), lower("A"), lower("a"))
        assert results == [(1, False), (1, False), (1, True), (2, False), "A", "A"]
        assert sorted(seen) == [0, 1, 1, 2]
        assert load.__name__ == "load"

    run(main())


def test_listeners_hear_what_happens(run: Run) -> None:
    heard: list[PatternEvent] = []

    async def main() -> None:
        flight, work = SingleFlight(on_event=heard.append), Work()
        await asyncio.gather(flight.do("k", work, "v"), flight.do("k", work, "v"))
        caller = asyncio.create_task(flight.do("k", work, "v"))
        await asyncio.sleep(1)
        assert flight.describe()["keys"] == ["k"]
        caller.cancel()
        await asyncio.gather(caller, return_exceptions=True)
        await asyncio.sleep(3)

    run(main())
    assert [event.what for event in heard] == ["start", "share", "end", "start", "abandon", "end"]


def test_one_run_after_another(run_real: Run) -> None:
    flight, work = SingleFlight(), Work(seconds=0)

    async def main() -> str:
        return await flight.do("k", work, "v")

    assert run_real(main()) == "v"
    assert asyncio.run(main()) == "v"
