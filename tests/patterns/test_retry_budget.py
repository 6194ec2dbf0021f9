"""A retry budget: how much may be retried, by whom, and after what."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from maypole.patterns import BudgetExhausted, CircuitOpen, PatternEvent, RateLimited, RetryBudget

Run = Callable[..., Any]


def test_retries_are_a_share_of_the_calls(run: Run) -> None:
    async def main() -> int:
        budget = RetryBudget(ratio=0.2, min_per_s=0)
        allowed = 0
        for _ in range(1000):
            budget.deposit()
            allowed += budget.try_acquire()
        return allowed

    assert run(main()) == 200


def test_quiet_times_have_a_few_retries(run: Run) -> None:
    async def main() -> tuple[int, int]:
        budget = RetryBudget(ratio=0.2, min_per_s=3)
        at_once = sum(budget.try_acquire() for _ in range(100))
        await asyncio.sleep(10)
        return at_once, sum(budget.try_acquire() for _ in range(100))

    assert run(main()) == (30, 30)


def test_old_calls_allow_no_more_retries(run: Run) -> None:
    async def main() -> None:
        budget = RetryBudget(ratio=1.0, min_per_s=0)
        for _ in range(10):
            budget.deposit()
        assert budget.stats().balance == pytest.approx(10)
        await asyncio.sleep(11)
        assert budget.stats().balance == 0
        assert not budget.try_acquire()

    run(main())


def test_an_outage_multiplies_the_load_by_the_ratio_only(run: Run) -> None:
    async def main() -> float:
        budget = RetryBudget(ratio=0.2, min_per_s=0)
        again = budget.retry_if(OSError)
        attempts = calls = 0
        for _ in range(1000):
            calls += 1
            budget.deposit()
            attempts += 1
            tries = 1
            while tries < 4 and again(OSError()):
                attempts += 1
                tries += 1
            await asyncio.sleep(0.01)
        return attempts / calls

    assert run(main()) == pytest.approx(1.2, abs=0.01)  # and not 4


def test_the_predicate_asks_for_the_kind_of_error(run: Run) -> None:
    async def main() -> None:
        budget = RetryBudget(min_per_s=10)
        again = budget.retry_if(OSError, RateLimited)
        assert again(ConnectionResetError())
        assert not again(ValueError())
        assert again(RateLimited("later", retry_after=1))
        assert not again(RateLimited("never", retryable=False))
        assert not RetryBudget().retry_if()(asyncio.CancelledError())
        assert RetryBudget().retry_if()(CircuitOpen("open"))
        assert budget.stats().allowed == 2

    run(main())


def test_acquire_raises_when_nothing_is_left_and_listeners_hear_it(run: Run) -> None:
    heard: list[PatternEvent] = []

    async def main() -> None:
        budget = RetryBudget(0, 0.1, name="api", on_event=heard.append)
        budget.acquire()
        with pytest.raises(BudgetExhausted, match="retry budget 'api': no retry is left"):
            budget.acquire()
        stats = budget.stats()
        assert (stats.allowed, stats.refused) == (1, 1)
        assert budget.describe()["kind"] == "retry_budget"

    run(main())
    assert [event.what for event in heard] == ["reject"]


def test_the_decorator_counts_each_call_once(run: Run) -> None:
    async def main() -> None:
        budget = RetryBudget()

        @budget
        async def call(x: int) -> int:
            return x

        assert await asyncio.gather(*(call(i) for i in range(5))) == list(range(5))
        assert budget.stats().calls == 5
        assert repr(budget) == "<RetryBudget 31 retries left for 5 calls>"
        with pytest.raises(TypeError, match="coroutine functions"):
            budget(print)  # type: ignore[arg-type]

    run(main())


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [((-0.1,), "ratio must be from 0"), ((0.1, -1), "min_per_s must be from 0"), ((float("nan"),), "ratio")],
)
def test_settings_that_make_no_sense_are_refused(settings: tuple[float, ...], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        RetryBudget(*settings)
