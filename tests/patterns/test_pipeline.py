"""Pipelines: bounds, order, batches, error policies, reports, and an end that leaves nothing behind."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maypole.patterns.channels import channel
from maypole.patterns.errors import ChannelBroken, ScopeStuck, WorkCancelled
from maypole.patterns.events import PatternEvent
from maypole.patterns.outcome import Err, Ok
from maypole.patterns.pipeline import source
from maypole.patterns.stages import Failure, Verdict
from maypole.testing import run_virtual

Run = Callable[..., Any]


def now() -> float:
    return asyncio.get_running_loop().time() - 1000


def tasks() -> int:
    return len(asyncio.all_tasks())


class Gauge:
    """Counts how many are inside at a time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.inside = self.most = 0

    async def __call__(self, item: Any) -> Any:
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.inside -= 1
        return item


def test_stages_follow_each_other(run_real: Run) -> None:
    async def main() -> None:
        async def double(number: int) -> int:
            await asyncio.sleep(0)
            return 2 * number

        pipe = source(range(10)).map(double, concurrency=4).filter(lambda n: n % 3 == 0).map(str).batch(3)
        assert await pipe.collect() == [["0", "6", "12"], ["18"]]
        assert await pipe.collect() == [["0", "6", "12"], ["18"]]
        assert tasks() == 1

    run_real(main())


@pytest.mark.parametrize("items", [[], iter([]), range(0)])
def test_an_empty_source_gives_an_empty_result(run_real: Run, items: Any) -> None:
    async def main() -> None:
        assert await source(items).map(str, concurrency=3).batch(2, every=1).flatten().collect() == []

    run_real(main())


def test_a_pipeline_without_stages_passes_its_items_on(run_real: Run) -> None:
    async def main() -> list[int]:
        return await source([3, 1, 2]).collect()

    assert run_real(main()) == [3, 1, 2]


def test_each_stage_keeps_to_its_own_concurrency(run: Run) -> None:
    async def main() -> None:
        first, second = Gauge(1), Gauge(1)
        pipe = source(range(24)).map(first, concurrency=6, name="a").map(second, concurrency=4, name="b")
        report = await pipe.run()
        assert (first.most, second.most) == (6, 4)
        assert [stage.in_flight_max for stage in report.stages] == [6, 4]
        assert report.given == 24
        assert now() == 7  # the second stage works from 1 on, four at a time

    run(main())


def test_what_lies_between_the_stages_is_bounded(run: Run) -> None:
    async def main() -> None:
        taken = 0

        def items() -> Iterator[int]:
            nonlocal taken
            for number in range(1000):
                taken += 1
                yield number

        pipe = source(items(), buffer=2).map(Gauge(0), buffer=3, concurrency=2, ordered=False)
        async with pipe.stream() as numbers:
            await anext(numbers)
            await asyncio.sleep(100)
            # one out, 3 behind the stage, 2 workers that cannot pass on, 2 before it, 1 in the feeder's hand
            assert taken == 1 + 3 + 2 + 2 + 1
            assert numbers.report().stages[0].queued == 2

    run(main())


def test_an_ordered_stage_bounds_what_waits_for_an_earlier_one(run: Run) -> None:
    async def main() -> None:
        release = asyncio.Event()
        begun = 0

        async def work(number: int) -> int:
            nonlocal begun
            begun += 1
            if number == 0:
                await release.wait()
            return number

        async with source(range(100)).map(work, concurrency=3, buffer=4).stream() as numbers:
            await asyncio.sleep(10)
            assert begun == 3 + 4
            assert numbers.report().stages[0].held == 6
            release.set()
            assert [number async for number in numbers] == list(range(100))

    run(main())


@settings(max_examples=40, deadline=None)
@given(
    delays=st.lists(st.integers(0, 5), max_size=30),
    concurrency=st.integers(1, 6),
    buffer=st.integers(0, 3),
    skip=st.integers(2, 5),
)
@pytest.mark.parametrize("loop", ["asyncio", "maypole"])
def test_ordered_output_is_in_the_order_of_the_input(
    loop: Any, delays: list[int], concurrency: int, buffer: int, skip: int
) -> None:
    async def main() -> list[int]:
        async def work(pair: tuple[int, int]) -> int:
            await asyncio.sleep(pair[1])
            if pair[0] % skip == 1:
                raise ValueError("skipped")
            return pair[0]

        async def again(number: int) -> int:
            await asyncio.sleep((number * 7) % 4)
            return number

        pipe = source(enumerate(delays), buffer=buffer)
        return await (
            pipe.map(work, concurrency=concurrency, buffer=buffer, on_error="skip")
            .map(again, concurrency=concurrency, buffer=buffer)
            .collect()
        )

    expected = [number for number in range(len(delays)) if number % skip != 1]
    assert run_virtual(main(), loop=loop) == expected


def test_unordered_output_holds_every_item_once(run: Run) -> None:
    async def main() -> list[int]:
        rng = random.Random(5)

        async def work(number: int) -> int:
            await asyncio.sleep(rng.random())
            return number

        return await source(range(200)).map(work, concurrency=16, ordered=False).collect()

    result = run(main())
    assert result != list(range(200))
    assert sorted(result) == list(range(200))


def test_a_batch_goes_when_it_is_full_or_old_enough(run: Run) -> None:
    async def main() -> list[tuple[list[int], float]]:
        async def items() -> AsyncIterator[int]:
            for number, pause in enumerate([0, 0, 0, 1, 1, 10, 0]):
                await asyncio.sleep(pause)
                yield number

        async with source(items()).batch(3, every=2.5).stream() as batches:
            return [(batch, now()) async for batch in batches]

    assert run(main()) == [([0, 1, 2], 0), ([3, 4], 3.5), ([5, 6], 12)]


def test_flatten_passes_on_the_parts_of_plain_and_async_iterables(run_real: Run) -> None:
    async def main() -> None:
        async def count(n: int) -> AsyncIterator[int]:
            for number in range(n):
                yield number

        def counters() -> list[AsyncIterator[int]]:
            return [count(2), count(3)]

        assert await source([[1, 2], [], [3]]).flatten().collect() == [1, 2, 3]
        assert await source(counters()).flatten().collect() == [0, 1, 0, 1, 2]

    run_real(main())


# Errors


async def fail_on_three(number: int) -> int:
    await asyncio.sleep(1)
    if number == 3:
        raise ValueError("three")
    return number


def test_an_error_ends_the_pipeline_with_a_note_of_stage_and_item(run: Run) -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup, match="errors in pipeline 'shop'") as caught:
            await source(range(100), name="shop").map(fail_on_three, concurrency=2, name="price").run()
        (error,) = caught.value.exceptions
        assert isinstance(error, ValueError)
        assert error.__notes__ == ["stage 'price', item 3"]
        assert now() == 2
        assert tasks() == 1

    run(main())


def test_errors_of_several_stages_come_in_one_group(run: Run) -> None:
    async def main() -> None:
        async def bad_cleanup(number: int) -> int:
            try:
                await asyncio.sleep(60)
            finally:
                raise OSError("cleanup")
            return number

        with pytest.raises(ExceptionGroup) as caught:
            await source(range(10)).map(fail_on_three, ordered=False).map(bad_cleanup).run()
        assert {type(error) for error in caught.value.exceptions} == {ValueError, OSError}

    run(main())


def test_skipped_items_are_dead_letters(run: Run) -> None:
    async def main() -> None:
        report = await source(range(6)).map(fail_on_three, concurrency=2, on_error="skip", name="try").run()
        assert report.given == 5
        assert report.skipped == 1
        (letter,) = report.dead_letters
        assert (letter.item, letter.stage, str(letter.error)) == (3, "try", "three")
        assert report.stages[0].skipped == 1

    run(main())


def test_the_number_of_dead_letters_is_bounded_and_counted(run: Run) -> None:
    async def main() -> None:
        async def bad(number: int) -> None:
            raise ValueError(number)

        report = await source(range(50)).map(bad, on_error="skip").run(max_dead_letters=3)
        assert [letter.item for letter in report.dead_letters] == [47, 48, 49]
        assert report.skipped == 50

    run(main())


def test_a_policy_function_can_retry_wait_and_give_up(run: Run) -> None:
    async def main() -> None:
        attempts: list[tuple[int, float]] = []

        async def flaky(number: int) -> int:
            attempts.append((number, now()))
            if number < 3 and sum(1 for seen, _ in attempts if seen == number) <= number:
                raise OSError("again")
            if number == 3:
                raise OSError("never")
            return number

        def policy(failure: Failure) -> Verdict:
            assert isinstance(failure.error, OSError)
            if failure.attempt >= 3:
                return "skip"
            return "retry" if failure.attempt == 2 else 5

        pipe = source(range(5)).map(flaky, on_error=policy)
        async with pipe.stream() as numbers:
            got = [number async for number in numbers]
        assert got == [0, 1, 2, 4]
        report = numbers.report()
        assert [letter.item for letter in report.dead_letters] == [3]
        assert report.stages[0].retried == 1 + 2 + 2
        assert now() == 15

    run(main())


def test_outcomes_can_be_passed_on_instead_of_errors(run: Run) -> None:
    async def main() -> None:
        outcomes: list[Any] = await source([2, 3]).map(fail_on_three, on_error="outcome").collect()
        assert outcomes[0] == Ok(2)
        assert isinstance(outcomes[1], Err)

    run(main())


@pytest.mark.parametrize("verdict", ["explode", -1, True, None])
def test_a_policy_that_answers_nonsense_is_an_error(run: Run, verdict: Any) -> None:
    async def main() -> None:
        with pytest.raises(ExceptionGroup) as caught:
            await source(range(5)).map(fail_on_three, on_error=lambda failure: verdict).run()
        assert any("on_error must return" in note for note in caught.value.exceptions[0].__notes__)

    run(main())


def test_a_function_that_is_cancelled_by_itself_is_an_error(run: Run) -> None:
    async def main() -> None:
        async def work(number: int) -> None:
            raise asyncio.CancelledError

        with pytest.raises(ExceptionGroup) as caught:
            await source(range(3)).map(work, concurrency=2).run()
        assert isinstance(caught.value.exceptions[0], WorkCancelled)
        report = await source(range(3)).map(work, concurrency=2, on_error="skip").run()
        assert report.skipped == 3

    run(main())


def test_a_worker_that_is_cancelled_by_a_stranger_is_no_silent_loss(run: Run) -> None:
    async def main() -> None:
        async def work(number: int) -> int:
            task = asyncio.current_task()
            assert task is not None
            if number == 2:
                task.cancel()
            await asyncio.sleep(1)
            return number

        with pytest.raises(ExceptionGroup) as caught:
            await source(range(5)).map(work).run()
        assert "was cancelled from outside the pipeline" in str(caught.value.exceptions[0])

    run(main())


def test_an_error_of_the_source_ends_the_pipeline(run: Run) -> None:
    async def main() -> None:
        async def items() -> AsyncIterator[int]:
            yield 1
            await asyncio.sleep(1)
            raise OSError("the source broke")

        with pytest.raises(ExceptionGroup) as caught:
            await source(items()).map(str).run()
        assert isinstance(caught.value.exceptions[0], OSError)
        assert tasks() == 1

    run(main())


def test_an_error_reaches_whoever_iterates(run: Run) -> None:
    async def main() -> list[int]:
        got = []
        try:
            async with source(range(100)).map(fail_on_three).stream() as numbers:
                while True:
                    got.append(await anext(numbers))
        except* ValueError:
            assert now() == 4
        return got

    assert run(main()) == [0, 1, 2]


def test_an_error_is_raised_when_the_block_ends_without_having_seen_it(run: Run) -> None:
    async def main() -> None:
        async def block() -> None:
            async with source(range(100)).map(fail_on_three).stream():
                await asyncio.sleep(60)

        with pytest.raises(ExceptionGroup):
            await block()

    run(main())


def test_an_error_of_the_block_wins_and_the_other_is_logged(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async def block() -> None:
            async with source(range(100)).map(fail_on_three).stream():
                await asyncio.sleep(60)
                raise KeyError("mine")

        with pytest.raises(KeyError):
            await block()

    with caplog.at_level(logging.ERROR):
        run(main())
    assert "pipeline failed, too" in caplog.text
    assert "ValueError: three" in caplog.text


# The end


@pytest.mark.parametrize("how", ["break", "error", "cancel"])
def test_leaving_early_leaves_no_task_and_no_open_source(run: Run, how: str) -> None:
    async def main() -> None:
        log: list[str] = []

        async def items() -> AsyncIterator[int]:
            try:
                for number in range(1000):
                    yield number
            finally:
                await asyncio.sleep(1)
                log.append("source closed")

        async def work(number: int) -> int:
            try:
                await asyncio.sleep(1 if number < 5 else 1000)
            except asyncio.CancelledError:
                await asyncio.sleep(2)
                log.append("worker cleaned up")
                raise
            return number

        async def block() -> None:
            async with source(items()).map(work, concurrency=3).batch(2).flatten().stream() as numbers:
                async for number in numbers:
                    if number == 3 and how == "break":
                        break
                    if number == 3 and how == "error":
                        raise KeyError("mine")
                    if number == 3:
                        await asyncio.sleep(10_000)

        running = asyncio.create_task(block())
        await asyncio.sleep(4)
        if how == "cancel":
            running.cancel()
        await asyncio.wait([running])
        assert sorted(log) == ["source closed", *["worker cleaned up"] * 3]
        assert tasks() == 1
        assert running.cancelled() == (how == "cancel")
        if not running.cancelled():
            assert isinstance(running.exception(), KeyError if how == "error" else type(None))

    run(main())


def test_a_plain_generator_is_closed_too(run_real: Run) -> None:
    async def main() -> None:
        closed = []

        def items() -> Iterator[int]:
            try:
                yield from range(1000)
            finally:
                closed.append(True)

        async with source(items()).map(str).stream() as texts:
            assert await anext(texts) == "0"
        assert closed == [True]

    run_real(main())


def test_a_pipeline_that_ends_frees_the_producers_of_its_channel(run: Run) -> None:
    async def main() -> None:
        send, recv = channel[int](1)

        async def produce() -> None:
            for number in range(1000):
                await send(number)

        producer = asyncio.create_task(produce())
        async with source(recv).map(str).stream() as texts:
            await anext(texts)
        with pytest.raises(ChannelBroken):
            await producer
        send.close()

    run(main())


def test_a_worker_that_does_not_stop_is_reported(run: Run) -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def stubborn(number: int) -> None:
            while not go.is_set():
                try:
                    await go.wait()
                except asyncio.CancelledError:
                    continue

        async def block() -> None:
            async with source([1]).map(stubborn).stream(grace=3):
                await asyncio.sleep(1)

        with pytest.raises(ExceptionGroup) as caught:
            await block()
        assert isinstance(caught.value.exceptions[0], ScopeStuck)
        assert now() == 4
        go.set()
        await asyncio.sleep(0.1)

    run(main())


# Limits of other patterns


def test_rate_limit_and_timeout_hold_per_attempt(run: Run) -> None:
    async def main() -> None:
        class Rate:
            granted = 0

            async def acquire(self) -> None:
                self.granted += 1
                await asyncio.sleep(1)

        rate = Rate()
        shared = asyncio.Semaphore(2)
        gauge = Gauge(1)

        async def slow(number: int) -> int:
            await gauge(number)
            if number == 1:
                await asyncio.sleep(60)
            return number

        def twice(failure: Failure) -> Verdict:
            assert isinstance(failure.error, TimeoutError)
            return "retry" if failure.attempt == 1 else "skip"

        pipe = source(range(3)).map(slow, concurrency=3, rate=rate, limit=shared, timeout=5, on_error=twice)
        assert await pipe.collect() == [0, 2]
        assert gauge.most == 2
        assert rate.granted == 4

    run(main())


def test_the_report_finds_the_bottleneck(run: Run) -> None:
    async def main() -> None:
        pipe = (
            source(range(40), name="etl")
            .map(Gauge(1), concurrency=4, name="fetch", buffer=1)
            .map(Gauge(3), concurrency=2, name="parse", buffer=1)
            .map(Gauge(0.5), name="save")
        )
        report = await pipe.run()
        assert report.bottleneck is not None
        assert report.bottleneck.name == "parse"
        assert report.elapsed_s == now()
        fetch, parse, save = report.stages
        assert (fetch.busy_s, parse.busy_s, save.busy_s) == (40, 120, 20)
        assert fetch.blocked_out_s > save.blocked_out_s == 0
        assert save.blocked_in_s > 0

    run(main())


def test_listeners_hear_of_skips_and_retries(run: Run) -> None:
    heard: list[PatternEvent] = []

    async def main() -> None:
        def policy(failure: Failure) -> Verdict:
            return "retry" if failure.attempt == 1 else "skip"

        await source([3], name="p").map(fail_on_three, on_error=policy, name="s").run(on_event=heard.append)

    run(main())
    mine = [event for event in heard if event.what in ("retry", "skip")]
    assert [(event.what, event.detail["stage"], event.detail["item"]) for event in mine] == [
        ("retry", "s", 3),
        ("skip", "s", 3),
    ]


def test_a_pipeline_describes_itself() -> None:
    pipe = source([1], name="p").map(str, concurrency=2, name="text").batch(2)
    assert repr(pipe) == "<Pipeline p source -> text x2 -> batch x1>"
    assert pipe.describe()["stages"][0] == {
        "kind": "map",
        "name": "text",
        "concurrency": 2,
        "ordered": True,
    }


def test_a_stream_runs_once_and_inside_its_block(run_real: Run) -> None:
    async def main() -> None:
        stream = source([1]).stream()
        with pytest.raises(RuntimeError, match="iterate inside"):
            await anext(stream)
        async with stream as items:
            assert [item async for item in items] == [1]
        with pytest.raises(RuntimeError, match="runs once"):
            await stream.__aenter__()

    run_real(main())


def test_bad_arguments_are_refused() -> None:
    pipe = source([1])
    cases: list[tuple[Callable[[], Any], type[Exception], str]] = [
        (lambda: source(5), TypeError, "needs an iterable"),  # type: ignore[call-overload]
        (lambda: source([1], buffer=-1), ValueError, "buffer must be 0 or more"),
        (lambda: pipe.map(str, concurrency=0), ValueError, "concurrency must be 1 or more"),
        (lambda: pipe.map(str, buffer=-1), ValueError, "buffer must be 0 or more"),
        (lambda: pipe.map(3), TypeError, "needs a function"),  # type: ignore[call-overload]
        (lambda: pipe.map(str, on_error="x"), ValueError, "on_error must be"),  # type: ignore[call-overload]
        (lambda: pipe.filter(str, on_error="outcome"), ValueError, "a filter has no results"),
        (lambda: pipe.batch(0), ValueError, "size >= 1"),
        (lambda: pipe.batch(1, every=-1), ValueError, "every >= 0"),
    ]
    for call, kind, message in cases:
        with pytest.raises(kind, match=message):
            call()
