"""Lifespans: order, time limits, failures on the way up and on the way down."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from maypole.patterns.deadline import Deadline
from maypole.patterns.errors import DeadlineExceeded
from maypole.patterns.events import PatternEvent
from maypole.patterns.lifespan import Lifespan

Run = Callable[..., Any]


def now() -> float:
    return asyncio.get_running_loop().time() - 1000


class Parts:
    """Makes parts and notes what happens to them."""

    def __init__(self) -> None:
        self.log: list[str] = []

    @asynccontextmanager
    async def part(
        self, name: str, start: float = 0, stop: float = 0, error: Exception | None = None
    ) -> AsyncIterator[str]:
        await asyncio.sleep(start)
        self.log.append(f"+{name}")
        try:
            yield name
        finally:
            try:
                await asyncio.sleep(stop)
                if error is not None:
                    raise error
                self.log.append(f"-{name}")
            except asyncio.CancelledError:
                self.log.append(f"!{name}")
                raise


def test_parts_are_stopped_the_other_way_round_and_reported(run: Run) -> None:
    heard: list[PatternEvent] = []

    async def main() -> None:
        parts = Parts()
        async with Lifespan(name="shop", on_event=heard.append) as life:
            assert await life.enter(parts.part("db", start=1, stop=2), name="db") == "db"
            await life.enter(parts.part("cache", start=3, stop=4), name="cache")
            assert life.describe()["steps"][0] == {"name": "db", "state": "running"}
        assert parts.log == ["+db", "+cache", "-cache", "-db"]
        assert [(step.name, step.started_s, step.stopped_s, step.ended) for step in life.stats().steps] == [
            ("db", 1, 2, "stopped"),
            ("cache", 3, 4, "stopped"),
        ]

    run(main())
    assert [(event.what, event.detail["part"]) for event in heard] == [
        ("started", "db"),
        ("started", "cache"),
        ("stopped", "cache"),
        ("stopped", "db"),
    ]


def test_a_failed_start_stops_what_was_started(run: Run) -> None:
    async def main() -> None:
        parts = Parts()

        async def begin() -> None:
            async with Lifespan(start_timeout=5) as life:
                await life.enter(parts.part("db"))
                await life.enter(parts.part("slow", start=60), name="slow")

        with pytest.raises(DeadlineExceeded, match="lifespan: slow did not start within 5 s"):
            await begin()
        assert parts.log == ["+db", "-db"]
        assert now() == 5

    run(main())


def test_a_part_that_does_not_stop_in_time_keeps_no_other_from_it(run: Run) -> None:
    async def main() -> None:
        parts = Parts()
        life = Lifespan(stop_timeout=5, name="shop")

        async def live() -> None:
            async with life:
                await life.enter(parts.part("db", stop=1), name="db")
                await life.enter(parts.part("hangs", stop=60), name="hangs")
                await life.enter(parts.part("fails", error=OSError("broken")), name="fails")

        with pytest.raises(ExceptionGroup, match="lifespan 'shop': 2 parts failed to stop") as caught:
            await live()
        assert [type(error) for error in caught.value.exceptions] == [DeadlineExceeded, OSError]
        assert [step.ended for step in life.stats().steps] == ["stopped", "timed out", "failed"]
        assert parts.log[3:] == ["!hangs", "-db"]
        assert now() == 6

    run(main())


def test_an_error_of_the_block_is_raised_and_failed_stops_are_noted_on_it(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        parts = Parts()

        async def live() -> None:
            async with Lifespan() as life:
                await life.enter(parts.part("db", error=OSError("broken")), name="db")
                raise KeyError("mine")

        with pytest.raises(KeyError) as caught:
            await live()
        assert caught.value.__notes__ == ["lifespan: db failed: OSError('broken')"]

    run(main())
    assert "lifespan: db failed" in caplog.text


def test_a_part_may_deal_with_the_error_of_the_block(run: Run) -> None:
    async def main() -> None:
        seen = []

        @asynccontextmanager
        async def forgiving() -> AsyncIterator[None]:
            try:
                yield
            except KeyError:
                seen.append("forgiven")

        @asynccontextmanager
        async def outer() -> AsyncIterator[None]:
            yield
            seen.append("quiet")

        async with Lifespan() as life:
            await life.enter(outer())
            await life.enter(forgiving())
            raise KeyError("mine")
        assert seen == ["forgiven", "quiet"]

    run(main())


def test_a_cancellation_while_stopping_cuts_one_part_and_the_others_have_their_time(run: Run) -> None:
    async def main() -> None:
        parts = Parts()

        async def live() -> None:
            async with Lifespan() as life:
                await life.enter(parts.part("db", stop=3))
                await life.enter(parts.part("cache", stop=3))

        task = asyncio.create_task(live())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert parts.log == ["+db", "+cache", "!cache", "-db"]
        assert now() == 4

    run(main())


def test_no_deadline_holds_while_parts_are_stopped(run: Run) -> None:
    async def main() -> None:
        seen: list[Deadline | None] = []

        async def live() -> None:
            async with Deadline(2), Lifespan() as life:
                life.add("look", lambda: seen.append(Deadline.current()))
                await asyncio.sleep(60)

        with pytest.raises(DeadlineExceeded):
            await live()
        assert seen == [None]

    run(main())


def test_plain_and_async_functions_can_be_added(run: Run) -> None:
    async def main() -> None:
        log: list[str] = []

        async def stop() -> None:
            await asyncio.sleep(1)
            log.append("async")

        async with Lifespan() as life:
            life.add("plain", lambda: log.append("plain"))
            life.add("async", stop, stop_timeout=5)
        assert log == ["async", "plain"]

    run(main())


def test_misuse_is_refused(run_real: Run) -> None:
    async def main() -> None:
        life = Lifespan()
        with pytest.raises(RuntimeError, match="inside its `async with`"):
            life.add("early", int)
        async with life:
            with pytest.raises(RuntimeError, match="entered already"):
                await life.__aenter__()
            with pytest.raises(ValueError, match="above 0 seconds"):
                life.add("bad", int, stop_timeout=0)
        with pytest.raises(RuntimeError, match="inside its `async with`"):
            life.add("late", int)

    run_real(main())
    with pytest.raises(ValueError, match="above 0 seconds"):
        Lifespan(stop_timeout=-1)
