"""amap: few workers, many items; errors that stop or are collected; a stream that can be left at any time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from maypole.patterns.errors import WorkCancelled
from maypole.patterns.mapping import amap
from maypole.patterns.outcome import Cancelled, Err, Ok

Run = Callable[..., Any]


async def echo_after(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


async def numbers(n: int) -> AsyncIterator[int]:
    for number in range(n):
        await asyncio.sleep(0)
        yield number


def tasks() -> int:
    return len(asyncio.all_tasks())


def test_results_come_in_the_order_of_the_items(run: Run) -> None:
    async def main() -> tuple[list[float], float]:
        delays = [5.0, 1.0, 4.0, 2.0, 3.0]
        return await amap(echo_after, delays, concurrency=5), asyncio.get_running_loop().time()

    assert run(main()) == ([5, 1, 4, 2, 3], 1005)


def test_unordered_results_come_as_they_are_ready(run: Run) -> None:
    async def main() -> list[float]:
        return await amap(echo_after, [3.0, 1.0, 2.0], concurrency=3, ordered=False)

    assert run(main()) == [1, 2, 3]


@pytest.mark.parametrize("source", [list, iter, numbers])
def test_no_more_than_the_limit_are_in_work(run: Run, source: Any) -> None:
    async def main() -> None:
        running = most = 0

        async def work(number: int) -> int:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(1)
            running -= 1
            return number

        items = source(range(25)) if source is not numbers else numbers(25)
        assert await amap(work, items, concurrency=10) == list(range(25))
        assert most == 10
        assert asyncio.get_running_loop().time() == 1003
        assert tasks() == 1

    run(main())


def test_the_items_are_read_as_they_are_needed(run: Run) -> None:
    async def main() -> None:
        taken = []

        def items() -> Iterator[int]:
            for number in range(100):
                taken.append(number)
                yield number

        async def work(number: int) -> None:
            await asyncio.sleep(1)
            if number == 5:
                raise ValueError("enough")

        with pytest.raises(ExceptionGroup):
            await amap(work, items(), concurrency=3)
        assert len(taken) <= 9

    run(main())


def test_no_task_is_made_per_item(run: Run) -> None:
    async def main() -> int:
        seen = set()

        async def work(number: int) -> None:
            seen.add(asyncio.current_task())
            await asyncio.sleep(0)

        await amap(work, range(1000), concurrency=7)
        return len(seen)

    assert run(main()) == 7


def test_the_first_error_stops_the_others_and_names_its_item(run: Run) -> None:
    async def main() -> None:
        finished = []

        async def work(number: int) -> None:
            await asyncio.sleep(number)
            if number == 2:
                raise ValueError("two is bad")
            finished.append(number)

        with pytest.raises(ExceptionGroup) as caught:
            await amap(work, [1, 2, 3, 4], concurrency=4)
        (error,) = caught.value.exceptions
        assert "two is bad" in str(error)
        assert ".work, item 1: 2" in error.__notes__[0]
        assert finished == [1]
        assert tasks() == 1

    run(main())


def test_collected_errors_stop_nobody(run: Run) -> None:
    async def main() -> None:
        async def work(number: int) -> int:
            await asyncio.sleep(1)
            if number == 1:
                raise ValueError("one")
            if number == 2:
                raise asyncio.CancelledError("by itself")
            return number

        outcomes = await amap(work, range(4), concurrency=2, on_error="collect")
        assert outcomes[0] == Ok(0)
        assert isinstance(outcomes[1], Err)
        assert outcomes[2] == Cancelled("by itself")
        assert outcomes[3] == Ok(3)

    run(main())


def test_a_function_that_cancels_itself_is_an_error_and_no_silent_end(run_real: Run) -> None:
    async def main() -> None:
        async def work(number: int) -> None:
            raise asyncio.CancelledError

        with pytest.raises(ExceptionGroup) as caught:
            await amap(work, [1, 2], concurrency=1)
        assert isinstance(caught.value.exceptions[0], WorkCancelled)

    run_real(main())


def test_an_error_of_the_source_is_raised_as_its_own(run_real: Run) -> None:
    async def main() -> None:
        def items() -> Iterator[int]:
            yield 1
            raise OSError("the source broke")

        async def work(number: int) -> None:
            pass

        with pytest.raises(ExceptionGroup) as caught:
            await amap(work, items(), concurrency=1)
        assert "the source broke" in str(caught.value.exceptions[0])
        assert not hasattr(caught.value.exceptions[0], "__notes__")

    run_real(main())


def test_cancelling_stops_every_worker_first(run: Run) -> None:
    async def main() -> None:
        cleaned = []

        async def work(number: int) -> None:
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(1)
                cleaned.append(number)

        mapping = asyncio.ensure_future(amap(work, range(10), concurrency=3)._list())
        await asyncio.sleep(1)
        mapping.cancel()
        with pytest.raises(asyncio.CancelledError):
            await mapping
        assert sorted(cleaned) == [0, 1, 2]
        assert tasks() == 1

    run(main())


@pytest.mark.parametrize("ordered", [True, False])
def test_a_stream_that_is_left_early_leaves_nothing_behind(run: Run, ordered: bool) -> None:
    async def main() -> None:
        closed = []

        async def items() -> AsyncIterator[float]:
            try:
                while True:
                    yield 1.0
            finally:
                await asyncio.sleep(0.5)
                closed.append(True)

        got = []
        async with amap(echo_after, items(), concurrency=4, ordered=ordered) as results:
            async for result in results:
                got.append(result)
                if len(got) == 6:
                    break
        assert closed == [True]
        assert tasks() == 1
        assert asyncio.get_running_loop().time() == 1002.5

    run(main())


def test_a_stream_gives_outcomes_when_errors_are_collected(run: Run) -> None:
    async def main() -> list[bool]:
        async def work(number: int) -> int:
            if number % 2:
                raise ValueError(number)
            return number

        async with amap(work, range(4), concurrency=2, on_error="collect") as outcomes:
            return [outcome.ok async for outcome in outcomes]

    assert run(main()) == [True, False, True, False]


def test_a_stream_is_no_list_and_a_list_no_stream(run_real: Run) -> None:
    async def main() -> None:
        mapped = amap(echo_after, [0.0], concurrency=1)
        with pytest.raises(TypeError, match="__aiter__"):
            async for _ in mapped:  # type: ignore[attr-defined]
                pass

    run_real(main())


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="concurrency must be 1 or more"):
        amap(echo_after, [], concurrency=0)
    with pytest.raises(ValueError, match="on_error must be one of raise, collect"):
        amap(echo_after, [], concurrency=1, on_error="ignore")  # type: ignore[call-overload]
