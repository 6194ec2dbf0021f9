"""Deadlines: the earlier one counts, whoever set it hears of it, cleanup is not cut by it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from maypole.patterns.deadline import Deadline, finally_within, within
from maypole.patterns.errors import DeadlineExceeded, PatternError

Run = Callable[..., Any]


def now() -> float:
    return asyncio.get_running_loop().time() - 1000


def test_a_block_ends_at_its_deadline(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(DeadlineExceeded, match="deadline 'checkout' of 3 s is over") as caught:
            async with Deadline(3, name="checkout"):
                await asyncio.sleep(60)
        assert isinstance(caught.value, TimeoutError)
        assert isinstance(caught.value, PatternError)
        assert now() == 3
        assert Deadline.current() is None
        async with Deadline(3) as deadline:
            await asyncio.sleep(1)
            assert deadline.remaining() == 2
            assert not deadline.expired

    run(main())


@pytest.mark.parametrize(("outer", "inner", "whose"), [(5, 60, "outer"), (60, 5, "inner"), (5, 5, "outer")])
def test_the_earlier_deadline_counts_and_its_owner_hears_of_it(
    run: Run, outer: float, inner: float, whose: str
) -> None:
    async def main() -> list[str]:
        heard = []
        try:
            async with Deadline(outer, name="outer"):
                try:
                    async with Deadline(inner, name="inner") as deadline:
                        assert deadline.remaining() == 5
                        await asyncio.sleep(100)
                except DeadlineExceeded:
                    heard.append("inner")
        except DeadlineExceeded:
            heard.append("outer")
        assert now() == 5
        return heard

    assert run(main()) == [whose]


def test_a_deadline_holds_in_tasks_started_under_it(run: Run) -> None:
    async def main() -> None:
        async def child() -> tuple[float | None, float | None]:
            await asyncio.sleep(1)
            return within(None), within(0.5)

        async with Deadline(5):
            task = asyncio.create_task(child())
            assert await task == (4, 0.5)
        assert within(None) is None

    run(main())


def test_a_deadline_of_another_loop_does_not_hold(run: Run) -> None:
    async def main() -> None:
        async def inner() -> float | None:
            return within(None)

        async with Deadline(5):
            # to_thread copies the context, and the thread runs a loop with a clock of its own
            assert await asyncio.to_thread(lambda: asyncio.run(inner())) is None

    run(main())


def test_a_cancellation_from_outside_stays_one(run: Run) -> None:
    async def main() -> None:
        async def block() -> None:
            async with Deadline(60):
                await asyncio.sleep(100)

        task = asyncio.create_task(block())
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run(main())


def test_misuse_is_refused(run_real: Run) -> None:
    async def main() -> None:
        deadline = Deadline(60)
        with pytest.raises(RuntimeError, match="has not begun"):
            deadline.remaining()
        async with deadline:
            with pytest.raises(RuntimeError, match="one block only"):
                await deadline.__aenter__()

    run_real(main())
    with pytest.raises(ValueError, match="seconds >= 0"):
        Deadline(-1)
    with pytest.raises(ValueError, match="seconds >= 0"):
        Deadline(float("nan"))


def test_a_cleanup_is_cut_by_its_own_timeout_only(run: Run) -> None:
    async def main() -> None:
        log: list[object] = []

        async def cleanup() -> str:
            await asyncio.sleep(5)
            log.append(within(None))
            return "clean"

        async def block() -> None:
            try:
                async with Deadline(1):
                    try:
                        await asyncio.sleep(60)
                    finally:
                        log.append(await finally_within(cleanup(), 10))
            finally:
                log.append(now())

        task = asyncio.create_task(block())
        await asyncio.sleep(2)
        task.cancel()
        await asyncio.wait([task])
        assert log == [None, 6]
        assert task.cancelled()

    run(main())


def test_a_cleanup_that_takes_too_long_is_cancelled_and_reported(run: Run) -> None:
    async def main() -> None:
        ended = []

        async def cleanup() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(now())

        with pytest.raises(DeadlineExceeded, match="took longer than 3 s"):
            await finally_within(cleanup(), 3)
        await asyncio.sleep(0)
        assert ended == [3]

    run(main())


def test_an_error_of_the_cleanup_is_raised(run: Run) -> None:
    async def main() -> None:
        async def cleanup() -> None:
            raise OSError("cannot")

        with pytest.raises(OSError, match="cannot"):
            await finally_within(cleanup(), 3)

    run(main())
