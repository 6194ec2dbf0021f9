"""Races, hedged calls, latches and events with values."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from maypole.patterns import (
    Hedge,
    Latch,
    PatternEvent,
    QueueFull,
    RetryBudget,
    ValueEvent,
    WorkCancelled,
    first_success,
    race,
)

Run = Callable[..., Any]


class Runners:
    """Coroutines that note how they end."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    async def answer(self, name: str, seconds: float) -> str:
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            await asyncio.sleep(0.5)  # a cleanup that takes its time
            self.ended.append(f"{name} cancelled")
            raise
        self.ended.append(name)
        return name

    async def fail(self, name: str, seconds: float) -> str:
        await self.answer(name, seconds)
        raise ValueError(name)


async def cancel_oneself() -> str:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(0)
    raise AssertionError("never reached")


def now() -> float:
    return asyncio.get_running_loop().time() - 1000


def test_the_first_to_end_wins_and_the_others_have_ended(run: Run) -> None:
    async def main() -> None:
        runners = Runners()
        assert await race(runners.answer("slow", 5), runners.answer("fast", 1)) == "fast"
        assert runners.ended == ["fast", "slow cancelled"]
        assert len(asyncio.all_tasks()) == 1
        with pytest.raises(ValueError, match="bad"):
            await race(runners.answer("slow", 5), runners.fail("bad", 1))
        with pytest.raises(WorkCancelled):
            await race(runners.answer("slow", 5), cancel_oneself())

    run(main())


def test_of_those_that_end_together_the_first_named_wins(run: Run) -> None:
    async def main() -> list[str]:
        runners = Runners()
        return [await race(*(runners.answer(name, 0) for name in "abc")) for _ in range(20)]

    assert run(main()) == ["a"] * 20


def test_a_failure_leaves_the_others_alone_until_one_succeeds(run: Run) -> None:
    async def main() -> None:
        runners = Runners()
        work = (runners.fail("bad", 1), runners.answer("good", 2), runners.answer("slow", 9))
        assert await first_success(*work) == "good"
        assert runners.ended == ["bad", "good", "slow cancelled"]
        with pytest.raises(BaseExceptionGroup) as caught:
            await first_success(runners.fail("b", 2), runners.fail("a", 1), cancel_oneself())
        assert [type(error) for error in caught.value.exceptions] == [ValueError, ValueError, WorkCancelled]
        assert [str(error) for error in caught.value.exceptions[:2]] == ["b", "a"]

    run(main())


@pytest.mark.parametrize("how", [race, first_success])
def test_cancelling_ends_all_of_them_first(run: Run, how: Any) -> None:
    async def main() -> None:
        runners = Runners()
        work = (runners.answer("a", 9), runners.answer("b", 9))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await how(*work)
        assert runners.ended == ["a cancelled", "b cancelled"]

    run(main())


def test_nothing_to_run_is_refused(run: Run) -> None:
    async def main() -> None:
        for how in (race, first_success):
            with pytest.raises(ValueError, match="nothing to run"):
                await how()

    run(main())


class Remote:
    """Answers after the next of some delays; None fails at once."""

    def __init__(self, *delays: float | None) -> None:
        self.delays = list(delays)
        self.calls: list[float] = []
        self.at_once = 0

    async def __call__(self, page: int) -> int:
        number = len(self.calls)
        self.calls.append(now())
        delay = self.delays[number]
        self.at_once += 1
        try:
            if delay is None:
                raise OSError(f"call {number}")
            await asyncio.sleep(delay)
        finally:
            self.at_once -= 1
        return number


def test_a_call_that_answers_in_time_is_made_once(run: Run) -> None:
    async def main() -> None:
        remote, hedge = Remote(0.5), Hedge(after=1)
        assert await hedge.call(remote, 1) == 0
        assert remote.calls == [0]
        assert hedge.stats().hedged == 0

    run(main())


def test_a_slow_call_is_made_again_and_the_first_answer_wins(run: Run) -> None:
    heard: list[PatternEvent] = []

    async def main() -> None:
        remote, hedge = Remote(60, 60, 0.5), Hedge(after=1, attempts=3, on_event=heard.append)
        assert await hedge.call(remote, 1) == 2
        assert remote.calls == [0, 1, 2]
        assert now() == 2.5
        assert remote.at_once == 0
        stats = hedge.stats()
        assert (stats.calls, stats.hedged, stats.won) == (1, 2, 1)

    run(main())
    assert [event.what for event in heard] == ["hedge", "hedge", "win"]


def test_the_first_call_may_still_win(run: Run) -> None:
    async def main() -> None:
        remote, hedge = Remote(1.5, 60), Hedge(after=1)
        assert await hedge.call(remote, 1) == 0
        assert hedge.stats().won == 0
        assert remote.at_once == 0

    run(main())


def test_a_failure_is_not_hedged_and_waits_for_a_call_under_way(run: Run) -> None:
    async def main() -> None:
        remote, hedge = Remote(None, 0), Hedge(after=1)
        with pytest.raises(OSError, match="call 0"):
            await hedge.call(remote, 1)
        assert remote.calls == [0]
        remote = Remote(2, None)
        assert await hedge.call(remote, 1) == 0  # the second failed, the first was still under way
        assert len(remote.calls) == 2

    run(main())


def test_a_budget_bounds_the_calls_that_are_made_twice(run: Run) -> None:
    async def main() -> int:
        budget = RetryBudget(ratio=0.1, min_per_s=0)
        hedge = Hedge(after=1, budget=budget)

        async def slow() -> None:
            await asyncio.sleep(5)

        async with asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(hedge.call(slow))
        stats = hedge.stats()
        assert stats.hedged + stats.refused == 100
        return stats.hedged

    assert run(main()) == 10


def test_cancelling_a_hedged_call_ends_all_its_calls(run: Run) -> None:
    async def main() -> None:
        remote, hedge = Remote(60, 60), Hedge(after=1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2):
                await hedge(remote.__call__)(1)
        assert len(remote.calls) == 2
        assert remote.at_once == 0

    run(main())


def test_a_latch_opens_when_it_is_counted_down(run: Run) -> None:
    async def main() -> None:
        latch = Latch(3)
        order: list[int] = []

        async def wait(number: int) -> None:
            await latch.wait()
            order.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(wait(number))
            await asyncio.sleep(1)
            latch.count_down(2)
            await asyncio.sleep(1)
            assert (latch.count, latch.stats().waiting, order) == (1, 3, [])
            latch.count_down()
        assert order == [0, 1, 2]
        latch.count_down()  # open is open
        await latch.wait()
        assert latch.describe() == {"kind": "latch", "name": None, "count": 0, "waiting": 0}

    run(main())


def test_waits_for_a_latch_are_bounded_in_time_and_number(run: Run) -> None:
    async def main() -> None:
        latch = Latch(1, max_waiting=1)
        first = asyncio.create_task(latch.wait())
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await latch.wait()
        first.cancel()
        await asyncio.wait([first])
        with pytest.raises(TimeoutError):
            await latch.wait(timeout=1)
        assert latch.stats().waiting == 0

    run(main())


def test_a_value_reaches_all_who_wait_even_if_it_is_taken_away_at_once(run: Run) -> None:
    async def main() -> None:
        leader: ValueEvent[str] = ValueEvent()
        waiting = [asyncio.create_task(leader.wait()) for _ in range(3)]
        await asyncio.sleep(1)
        waiting[1].cancel()
        leader.set("a")
        leader.clear()
        assert not leader.is_set()
        late = asyncio.create_task(leader.wait())
        await asyncio.sleep(1)
        leader.set("b")
        leader.set("c")
        got = await asyncio.gather(*waiting, late, return_exceptions=True)
        assert [got[0], got[2], got[3]] == ["a", "a", "b"]
        assert isinstance(got[1], asyncio.CancelledError)
        assert await leader.wait() == "c"
        assert leader.stats().sets == 3

    run(main())


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="after must be above 0"):
        Hedge(after=0)
    with pytest.raises(ValueError, match="attempts must be 2"):
        Hedge(after=1, attempts=1)
    with pytest.raises(TypeError, match="coroutine functions"):
        Hedge(after=1)(len)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="count must be 0"):
        Latch(-1)
    with pytest.raises(ValueError, match="n must be 1"):
        Latch(1).count_down(0)


def test_order_and_counts_hold_on_every_loop(run_real: Run) -> None:
    async def main() -> None:
        remote = Remote(60, 0)
        assert await Hedge(after=0.01).call(remote, 1) == 1
        assert remote.at_once == 0
        assert await race(asyncio.sleep(60, "slow"), asyncio.sleep(0, "fast")) == "fast"

    run_real(main())
