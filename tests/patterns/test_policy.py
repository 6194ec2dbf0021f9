"""Policies and retries: the order around a call, and what is counted where."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest
from maypole.patterns import (
    Adaptive,
    Bulkhead,
    BulkheadFull,
    CircuitBreaker,
    CircuitOpen,
    Deadline,
    DeadlineExceeded,
    Policy,
    RateLimit,
    RateLimited,
    Retry,
    RetryBudget,
)

Run = Callable[..., Any]


class Remote:
    """Answers as it is told: an exception to raise, seconds to take, or a value to return."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[float] = []

    async def __call__(self) -> Any:
        self.calls.append(round(asyncio.get_running_loop().time() - 1000, 6))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, float):
            await asyncio.sleep(answer)
        return answer


def test_without_anything_it_just_calls(run: Run) -> None:
    async def main() -> None:
        policy = Policy()
        assert await policy.call(Remote("value")) == "value"
        assert str(policy) == "nothing"

        @policy
        async def double(x: int) -> int:
            return 2 * x

        assert await double(4) == 8

    run(main())


def test_retries_wait_longer_each_time_up_to_a_bound(run: Run) -> None:
    async def main() -> list[float]:
        remote = Remote(OSError("down"))
        with pytest.raises(OSError, match="down") as caught:
            await Retry(5, wait=1.0, wait_max=3.0)(remote)
        assert caught.value.__notes__ == ["tried 5 times"]
        return remote.calls

    calls = run(main())
    assert len(calls) == 5
    for (before, after), bound in zip(pairwise(calls), (1, 2, 3, 3), strict=True):
        assert 0 <= after - before <= bound + 1e-6


def test_only_the_named_errors_are_tried_again(run: Run) -> None:
    async def main() -> None:
        remote = Remote(OSError(), ValueError("bug"))
        with pytest.raises(ValueError, match="bug"):
            await Retry(5, on=(OSError,))(remote)
        assert len(remote.calls) == 2
        remote = Remote(asyncio.CancelledError())
        with pytest.raises(asyncio.CancelledError):
            await Retry(5)(remote)
        assert len(remote.calls) == 1

    run(main())


def test_a_refusal_is_tried_again_when_it_says_when(run: Run) -> None:
    async def main() -> list[float]:
        remote = Remote(RateLimited("busy", retry_after=2.5), "value")
        assert await Retry(3, wait=0.0)(remote) == "value"
        return remote.calls

    assert run(main()) == [0.0, 2.5]


@pytest.mark.parametrize(
    "refusal",
    [
        BulkheadFull("full"),
        RateLimited("never", retry_after=1.0, retryable=False),
        CircuitOpen("half-open", retry_after=None),
        CircuitOpen("open", retry_after=3600.0),
    ],
)
def test_a_refusal_that_does_not_say_that_it_helps_is_not_tried_again(run: Run, refusal: Exception) -> None:
    async def main() -> None:
        remote = Remote(refusal)
        with pytest.raises(type(refusal)) as caught:
            await Retry(3)(remote)
        assert len(remote.calls) == 1
        assert "does not say that it helps" in caught.value.__notes__[0]

    run(main())


def test_nothing_is_tried_for_which_the_deadline_leaves_no_time(run: Run) -> None:
    async def main() -> None:
        remote = Remote(RateLimited("busy", retry_after=6.0))
        with pytest.raises(RateLimited) as caught:
            async with Deadline(5.0):
                await Retry(3)(remote)
        assert asyncio.get_running_loop().time() == 1000.0
        assert caught.value.__notes__ == ["tried 1 times: the deadline leaves no time"]

    run(main())


def test_the_budget_bounds_the_retries_of_all_callers(run: Run) -> None:
    async def main() -> int:
        budget = RetryBudget(ratio=0.2, min_per_s=0)
        policy = Policy(retry=Retry(4, wait=0.0), budget=budget)
        remote = Remote(OSError("down"))
        await asyncio.gather(*(policy.call(remote) for _ in range(100)), return_exceptions=True)
        return len(remote.calls)

    assert run(main()) == 120  # and not 400


def test_each_attempt_is_one_result_for_the_breaker(run: Run) -> None:
    async def main() -> None:
        breaker = CircuitBreaker("remote", consecutive=3)
        policy = Policy(retry=Retry(3, wait=0.0), breaker=breaker)
        with pytest.raises(OSError, match="down"):
            await policy.call(Remote(OSError("down")))
        assert breaker.state == "open"
        assert breaker.stats().failed == 3

    run(main())


def test_an_open_breaker_costs_no_unit_and_no_place(run: Run) -> None:
    async def main() -> None:
        breaker = CircuitBreaker("remote")
        rate, bulkhead = RateLimit(1), Bulkhead(1)
        policy = Policy(breaker=breaker, rate=rate, bulkhead=bulkhead)
        breaker.force_open()
        with pytest.raises(CircuitOpen):
            await policy.call(Remote("value"))
        assert (rate.stats().granted, bulkhead.stats().granted) == (0, 0)

    run(main())


def test_local_refusals_are_no_failures_of_the_remote(run: Run) -> None:
    async def main() -> None:
        breaker = CircuitBreaker("remote", consecutive=1)
        bulkhead = Bulkhead(1)
        policy = Policy(breaker=breaker, bulkhead=bulkhead)
        async with bulkhead:
            with pytest.raises(BulkheadFull):
                await policy.call(Remote("value"))
        stats = breaker.stats()
        assert (stats.state, stats.failed, stats.cancelled) == ("closed", 0, 1)

    run(main())


def test_the_attempts_time_begins_when_it_has_all_it_needs(run: Run) -> None:
    async def main() -> None:
        breaker = CircuitBreaker("remote", slow_call=1.0)
        policy = Policy(
            breaker=breaker,
            rate=RateLimit(0.5),
            bulkhead=Bulkhead(1, max_waiting=5),
            attempt_timeout=0.8,
        )
        # Each waits for the rate for longer than it may take, and takes less.
        await asyncio.gather(*(policy.call(Remote(0.7)) for _ in range(3)))
        stats = breaker.stats()
        assert (stats.succeeded, stats.slow) == (3, 0)
        with pytest.raises(TimeoutError):
            await policy.call(Remote(0.9))
        assert breaker.stats().failures == 1

    run(main())


def test_a_call_holds_no_place_while_it_waits_for_the_rate(run: Run) -> None:
    async def main() -> None:
        rate, bulkhead = RateLimit(1), Bulkhead(1)
        policy = Policy(rate=rate, bulkhead=bulkhead)
        await policy.call(Remote("value"))
        waiting = asyncio.create_task(policy.call(Remote("value")))
        await asyncio.sleep(0)
        assert (rate.stats().waiting, bulkhead.in_use) == (1, 0)
        await waiting

    run(main())


def test_the_deadline_is_for_everything_together(run: Run) -> None:
    async def main() -> None:
        breaker = CircuitBreaker("remote", consecutive=1)
        policy = Policy(deadline=5.0, retry=Retry(10, wait=0.0), breaker=breaker, name="api")
        with pytest.raises(DeadlineExceeded):
            await policy.call(Remote(60.0))
        assert asyncio.get_running_loop().time() == 1005.0
        # The remote was not given the time that it needs: that is no failure of its.
        assert (breaker.state, breaker.stats().cancelled) == ("closed", 1)

    run(main())


def test_a_fallback_takes_the_place_of_every_error_but_a_cancellation(run: Run) -> None:
    async def main() -> None:
        seen: list[Exception] = []

        async def stale(error: Exception) -> str:
            seen.append(error)
            return "stale"

        policy = Policy(fallback=stale, deadline=1.0, breaker=CircuitBreaker("remote", consecutive=1))
        assert await policy.call(Remote(OSError("down"))) == "stale"
        assert await policy.call(Remote("never called")) == "stale"
        assert await Policy(fallback=lambda error: "plain", deadline=1.0).call(Remote(60.0)) == "plain"
        assert [type(error) for error in seen] == [OSError, CircuitOpen]

        task = asyncio.create_task(policy.call(Remote(60.0)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.result() == "stale"  # the breaker is open: it was over before it could be cancelled
        policy = Policy(fallback=stale)
        task = asyncio.create_task(policy.call(Remote(60.0)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()

    run(main())


def test_a_cancelled_call_gives_everything_back(run: Run) -> None:
    async def main() -> None:
        breaker, bulkhead = CircuitBreaker("remote"), Adaptive(target=1.0, initial=2)
        policy = Policy(breaker=breaker, bulkhead=bulkhead, retry=Retry(3))
        tasks = [asyncio.create_task(policy.call(Remote(60.0))) for _ in range(2)]
        await asyncio.sleep(1)
        assert bulkhead.in_use == 2
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        assert (bulkhead.in_use, breaker.stats().cancelled) == (0, 2)

    run(main())


def test_another_librarys_caller_retries_with_the_budget(run: Run) -> None:
    async def main() -> None:
        budget = RetryBudget(ratio=0.0, min_per_s=0.1)
        again = budget.retry_if(OSError)

        async def caller(attempt: Callable[[], Awaitable[Any]]) -> Any:
            while True:
                try:
                    return await attempt()
                except Exception as error:
                    if not again(error):
                        raise

        policy = Policy(retry=caller, budget=budget)
        remote = Remote(OSError("down"))
        with pytest.raises(OSError, match="down"):
            await policy.call(remote)
        assert len(remote.calls) == 2
        assert budget.stats().calls == 1

    run(main())


def test_it_says_its_order(run: Run) -> None:
    async def main() -> None:
        policy = Policy(
            attempt_timeout=1,
            bulkhead=Bulkhead(10, name="db"),
            rate=RateLimit(100),
            breaker=CircuitBreaker("db"),
            budget=RetryBudget(),
            retry=Retry(),
            deadline=5,
            fallback=repr,
            name="orders",
        )
        assert str(policy) == (
            "fallback > deadline 5 s > retry 3 attempts within budget > breaker db > rate limit > bulkhead db"
            " > attempt timeout 1 s"
        )
        described = policy.describe()
        assert described["order"] == str(policy).split(" > ")
        assert [part["kind"] for part in described["parts"]] == [
            "retry_budget",
            "breaker",
            "rate_limit",
            "bulkhead",
        ]
        assert repr(policy).startswith("<Policy orders fallback > ")

    run(main())


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Policy(deadline=0), "deadline must be above 0"),
        (lambda: Policy(attempt_timeout=-1), "attempt_timeout must be above 0"),
        (lambda: Retry(0), "attempts must be 1 or more"),
        (lambda: Retry(wait=-1), "waits must be 0 or more"),
        (lambda: Retry(factor=0.5), "factor must be 1 or more"),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()
    with pytest.raises(TypeError, match="coroutine functions"):
        Policy()(print)  # type: ignore[arg-type]
