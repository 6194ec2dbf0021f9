"""A circuit breaker: when it opens, whom it probes with, and what does not count."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable
from typing import Any

import maypole
import pytest
from maypole.patterns import (
    BulkheadFull,
    CircuitBreaker,
    CircuitOpen,
    Count,
    PatternEvent,
    Permit,
    Time,
)

Run = Callable[..., Any]
spawn = asyncio.create_task


class Broken(Exception):
    """What the remote answers when it does not work."""


async def attempt(breaker: CircuitBreaker, error: BaseException | None = None, seconds: float = 0.0) -> None:
    async with breaker:
        await asyncio.sleep(seconds)
        if error is not None:
            raise error


async def fail(breaker: CircuitBreaker, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(Broken):
            await attempt(breaker, Broken())


def quick(**settings: Any) -> CircuitBreaker:
    """A breaker that opens after two failures in a row, for one second sharp, and closes after one probe."""
    wanted: dict[str, Any] = {"consecutive": 2, "open_for": 1.0, "jitter": 0.0, "probes": 1}
    return CircuitBreaker("remote", **wanted | settings)


def state(breaker: CircuitBreaker) -> str:
    """The state, asked anew: a type checker takes a property for a constant."""
    return breaker.state


async def opened(breaker: CircuitBreaker) -> None:
    await fail(breaker, 2)
    assert state(breaker) == "open"


def test_failures_in_a_row_open_it(run: Run) -> None:
    async def main() -> None:
        breaker = quick(consecutive=3)
        await fail(breaker, 2)
        await attempt(breaker)
        await fail(breaker, 2)
        assert state(breaker) == "closed"
        await fail(breaker)
        assert state(breaker) == "open"

    run(main())


def test_the_failure_rate_opens_it_once_there_are_enough_calls(run: Run) -> None:
    async def main() -> None:
        breaker = CircuitBreaker("remote", window=Count(10), min_calls=4, failure_rate=0.5)
        await fail(breaker, 3)
        assert state(breaker) == "closed"
        await attempt(breaker)
        assert state(breaker) == "open"
        assert breaker.stats().failures == 3

    run(main())


def test_a_count_window_forgets_the_oldest_call(run: Run) -> None:
    async def main() -> None:
        breaker = CircuitBreaker("remote", window=Count(4), min_calls=4, failure_rate=0.75)
        await fail(breaker, 2)
        for _ in range(3):
            await attempt(breaker)
        await fail(breaker)
        stats = breaker.stats()
        assert (stats.state, stats.calls, stats.failures) == ("closed", 4, 1)

    run(main())


def test_a_time_window_forgets_what_is_old(run: Run) -> None:
    async def main() -> None:
        breaker = CircuitBreaker("remote", window=Time(10.0), min_calls=2, failure_rate=0.5)
        await fail(breaker)
        await asyncio.sleep(11)
        await attempt(breaker)
        await attempt(breaker)
        stats = breaker.stats()
        assert (stats.state, stats.calls, stats.failures) == ("closed", 2, 0)

    run(main())


def test_an_open_breaker_refuses_and_says_when_to_come_back(run: Run) -> None:
    async def main() -> CircuitOpen:
        breaker = quick()
        await opened(breaker)
        await asyncio.sleep(0.25)
        assert breaker.try_acquire() is None
        with pytest.raises(
            CircuitOpen, match=r"breaker 'remote' is open: a probe may pass in 0.75 s"
        ) as caught:
            await attempt(breaker)
        return caught.value

    error = run(main())
    assert error.retry_after == pytest.approx(0.75)
    assert error.state == "open"
    assert isinstance(error.last_error, Broken)
    assert error.__cause__ is None
    assert error.__context__ is None


def test_a_probe_that_works_closes_it(run: Run) -> None:
    async def main() -> None:
        breaker = quick()
        await opened(breaker)
        await asyncio.sleep(1.0)
        await attempt(breaker)
        assert state(breaker) == "closed"
        assert breaker.stats().calls == 0

    run(main())


def test_a_probe_that_fails_opens_it_for_longer(run: Run) -> None:
    async def main() -> list[float | None]:
        breaker = quick(open_max=3.0)
        waits = []
        await opened(breaker)
        for _ in range(4):
            waits.append(breaker.stats().retry_after)
            await asyncio.sleep(waits[-1] or 0.0)
            await fail(breaker)
        return waits

    assert run(main()) == [1.0, 2.0, 3.0, 3.0]


def test_jitter_only_lengthens_the_wait(run: Run) -> None:
    async def main() -> list[float]:
        waits = []
        for _ in range(50):
            breaker = quick(jitter=0.5)
            await opened(breaker)
            waits.append(breaker.stats().retry_after or 0.0)
        return waits

    waits = run(main())
    assert all(1.0 <= wait <= 1.5 for wait in waits)
    assert len(set(waits)) > 10


@pytest.mark.parametrize(("probes", "at_once"), [(1, 1), (3, 1), (5, 2)])
def test_of_fifty_simultaneous_calls_only_the_probes_reach_the_remote(
    run: Run, probes: int, at_once: int
) -> None:
    """Five of seven breakers in use let all fifty through."""

    async def main() -> tuple[int, int]:
        breaker = quick(probes=probes, max_concurrent_probes=at_once)
        reached = 0

        async def call() -> None:
            nonlocal reached
            async with breaker:
                reached += 1
                await asyncio.sleep(0.1)

        await opened(breaker)
        await asyncio.sleep(1.0)
        outcomes = await asyncio.gather(*(call() for _ in range(50)), return_exceptions=True)
        return reached, sum(isinstance(outcome, CircuitOpen) for outcome in outcomes)

    assert run(main()) == (at_once, 50 - at_once)


def test_all_probes_must_answer_before_it_closes(run: Run) -> None:
    async def main() -> list[str]:
        breaker = quick(probes=3)
        states: list[str] = []
        await opened(breaker)
        await asyncio.sleep(1.0)
        for _ in range(3):
            await attempt(breaker)
            states.append(breaker.state)
        return states

    assert run(main()) == ["half_open", "half_open", "closed"]


def test_probes_decide_by_the_failure_rate(run: Run) -> None:
    async def main() -> list[str]:
        breaker = quick(probes=4, failure_rate=0.5)
        states: list[str] = []
        await opened(breaker)
        await asyncio.sleep(1.0)
        await fail(breaker)
        states.append(breaker.state)
        await fail(breaker)
        states.append(breaker.state)
        return states

    assert run(main()) == ["half_open", "open"]


def test_a_cancelled_probe_neither_opens_nor_closes(run: Run) -> None:
    async def main() -> None:
        breaker = quick()
        await opened(breaker)
        await asyncio.sleep(1.0)
        probe = spawn(attempt(breaker, seconds=10))
        await asyncio.sleep(0)
        assert breaker.try_acquire() is None
        probe.cancel()
        await asyncio.wait([probe])
        assert state(breaker) == "half_open"
        await attempt(breaker)  # the permit came back
        assert state(breaker) == "closed"
        assert breaker.stats().cancelled == 1

    run(main())


def test_cancelled_calls_do_not_trip_it(run: Run) -> None:
    async def main() -> None:
        breaker = CircuitBreaker("remote", min_calls=1, window=Count(10), consecutive=1)
        calls = [spawn(attempt(breaker, seconds=10)) for _ in range(20)]
        await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        stats = breaker.stats()
        assert (stats.state, stats.calls, stats.cancelled) == ("closed", 0, 20)

    run(main())


def test_a_success_begun_while_closed_does_not_close_a_half_open_breaker(run: Run) -> None:
    async def main() -> None:
        breaker = quick()
        early = spawn(attempt(breaker, seconds=1.5))
        await asyncio.sleep(0)
        await opened(breaker)
        await asyncio.sleep(1.0)
        probe = spawn(attempt(breaker, seconds=5))
        await early
        assert state(breaker) == "half_open"
        assert breaker.stats().late == 1
        await probe
        assert state(breaker) == "closed"

    run(main())


def test_a_failure_begun_while_closed_does_not_open_a_half_open_breaker(run: Run) -> None:
    async def main() -> None:
        breaker = quick()
        early = spawn(attempt(breaker, Broken(), seconds=1.5))
        await asyncio.sleep(0)
        await opened(breaker)
        await asyncio.sleep(1.0)
        probe = spawn(attempt(breaker, seconds=5))
        with pytest.raises(Broken):
            await early
        assert state(breaker) == "half_open"
        await probe

    run(main())


def test_a_hung_probe_does_not_freeze_half_open(run: Run) -> None:
    async def main() -> None:
        breaker = quick(half_open_timeout=30.0)
        await opened(breaker)
        await asyncio.sleep(1.0)
        hung = spawn(attempt(breaker, seconds=3600))
        await asyncio.sleep(29.9)
        assert state(breaker) == "half_open"
        await asyncio.sleep(0.1)
        assert state(breaker) == "open"
        assert breaker.stats().retry_after == pytest.approx(2.0)
        await asyncio.sleep(2.0)
        await attempt(breaker)
        assert state(breaker) == "closed"
        hung.cancel()
        await asyncio.wait([hung])

    run(main())


def test_half_open_in_which_nothing_was_learned_probes_again_without_a_longer_wait(run: Run) -> None:
    async def main() -> None:
        breaker = quick(half_open_timeout=30.0)
        await opened(breaker)
        await asyncio.sleep(1.0)
        breaker.acquire().cancel()
        await asyncio.sleep(30.0)
        assert state(breaker) == "open"
        assert breaker.stats().retry_after == 0.0
        await fail(breaker)
        assert breaker.stats().retry_after == pytest.approx(2.0)

    run(main())


def test_slow_calls_open_it(run: Run) -> None:
    async def main() -> None:
        breaker = CircuitBreaker("remote", min_calls=2, window=Count(2), slow_call=0.5, failure_rate=None)
        await attempt(breaker, seconds=0.4)
        await attempt(breaker, seconds=0.5)
        stats = breaker.stats()
        assert stats.state == "open"

    run(main())


def test_a_call_that_hangs_is_counted_before_it_ends(run: Run) -> None:
    heard: list[PatternEvent] = []

    async def main() -> None:
        breaker = CircuitBreaker(
            "remote", min_calls=3, window=Count(3), slow_call=0.5, on_event=heard.append, probes=1, jitter=0.0
        )
        calls = [spawn(attempt(breaker, seconds=3600)) for _ in range(3)]
        await asyncio.sleep(0.6)  # nobody asks the breaker
        assert [event.what for event in heard] == ["transition"]
        assert heard[0].at == pytest.approx(1000.5)
        assert heard[0].detail == {"from": "closed", "to": "open", "reason": "slow_rate"}
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)

    run(main())


def test_a_slow_call_that_fails_is_one_call(run: Run) -> None:
    async def main() -> None:
        breaker = CircuitBreaker("remote", min_calls=10, window=Count(10), slow_call=0.5)
        call = spawn(attempt(breaker, Broken(), seconds=1.0))
        await asyncio.sleep(0.7)
        middle = breaker.stats()
        assert (middle.calls, middle.failures, middle.slow) == (1, 0, 1)
        with pytest.raises(Broken):
            await call
        after = breaker.stats()
        assert (after.calls, after.failures, after.slow) == (1, 1, 1)

    run(main())


def test_what_is_no_failure_counts_as_an_answer_and_what_is_ignored_as_nothing(run: Run) -> None:
    async def main() -> None:
        breaker = CircuitBreaker("remote", failures=(OSError,), ignore=(FileNotFoundError,))
        for error in (OSError(), FileNotFoundError(), ValueError(), BulkheadFull("local"), KeyError()):
            with pytest.raises(type(error)):
                await attempt(breaker, error)
        stats = breaker.stats()
        assert (stats.calls, stats.failures, stats.cancelled) == (3, 1, 2)

    run(main())


def test_a_predicate_judges_results_and_errors(run: Run) -> None:
    async def answer(status: int) -> int:
        if status == 0:
            raise OSError("reset")
        return status

    def is_failure(outcome: object) -> bool:
        return isinstance(outcome, OSError) or (isinstance(outcome, int) and outcome >= 500)

    async def main() -> None:
        breaker = CircuitBreaker("remote", is_failure=is_failure)
        guarded = breaker(answer)
        assert await guarded(200) == 200
        assert await guarded(503) == 503
        with pytest.raises(OSError, match="reset"):
            await breaker.call(answer, 0)
        stats = breaker.stats()
        assert (stats.calls, stats.failures) == (3, 2)

    run(main())


def test_a_predicate_that_raises_counts_as_a_failure_and_frees_the_permit(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        breaker = quick(consecutive=1, is_failure=lambda outcome: 1 // 0 > 0)
        assert await breaker.call(asyncio.sleep, 0, "result") == "result"
        assert state(breaker) == "open"
        await asyncio.sleep(1.0)
        await breaker.call(asyncio.sleep, 0)
        assert breaker.stats().retry_after == pytest.approx(2.0)

    run(main())
    assert "is_failure of breaker 'remote' failed" in caplog.text


def test_a_permit_ends_once(run: Run) -> None:
    async def main() -> None:
        breaker = quick()
        permit = breaker.acquire()
        permit.failure(Broken())
        permit.failure(Broken())
        permit.success()
        permit.cancel()
        stats = breaker.stats()
        assert (stats.failed, stats.succeeded, stats.cancelled) == (1, 0, 0)

        async with breaker as inner:
            inner.success()
            inner.failure()
        assert breaker.stats().succeeded == 1

    run(main())


def test_a_permit_that_is_lost_comes_back(run: Run) -> None:
    async def main() -> None:
        breaker = quick()
        await opened(breaker)
        await asyncio.sleep(1.0)
        permit: Permit | None = breaker.acquire()
        assert breaker.try_acquire() is None
        del permit
        gc.collect()
        assert breaker.try_acquire() is not None

    run(main())


def test_nested_blocks_of_one_task_end_in_order(run: Run) -> None:
    async def main() -> None:
        breaker = quick(consecutive=None)
        async with breaker:
            with pytest.raises(Broken):
                async with breaker:
                    raise Broken
        stats = breaker.stats()
        assert (stats.failed, stats.succeeded) == (1, 1)
        assert not breaker.busy

    run(main())


def test_a_block_that_another_task_leaves_is_an_error(run: Run) -> None:
    async def main() -> None:
        breaker = quick()

        async def enter() -> None:
            await breaker.__aenter__()

        await spawn(enter())
        with pytest.raises(RuntimeError, match="another task than entered"):
            await breaker.__aexit__(None, None, None)

    run(main())


def test_it_can_be_set_by_hand(run: Run) -> None:
    async def main() -> None:
        breaker = quick()
        breaker.force_open()
        with pytest.raises(CircuitOpen, match="somebody has opened it") as caught:
            breaker.acquire()
        assert caught.value.retry_after is None
        await asyncio.sleep(3600)
        assert breaker.try_acquire() is None

        breaker.force_close()
        await fail(breaker, 1)
        breaker.metrics_only()
        await fail(breaker, 5)
        stats = breaker.stats()
        assert (stats.state, stats.failures) == ("metrics_only", 5)

        breaker.disable()
        await fail(breaker, 5)
        assert state(breaker) == "disabled"

        breaker.reset()
        stats = breaker.stats()
        assert (stats.state, stats.calls, breaker.last_error) == ("closed", 0, None)

    run(main())


def test_each_transition_is_told_once_and_in_order(run: Run) -> None:
    heard: list[PatternEvent] = []

    async def main() -> None:
        breaker = quick(on_event=heard.append)
        await opened(breaker)
        await asyncio.sleep(1.0)
        await fail(breaker)
        await asyncio.sleep(2.0)
        await asyncio.gather(*(attempt(breaker, seconds=0.1) for _ in range(5)), return_exceptions=True)

    run(main())
    transitions = [
        (event.detail["to"], event.detail["reason"], event.at)
        for event in heard
        if event.what == "transition"
    ]
    assert transitions == [
        ("open", "consecutive", 1000.0),
        ("half_open", "open_time_over", 1001.0),
        ("open", "probes_fail", 1001.0),
        ("half_open", "open_time_over", 1003.0),
        ("closed", "probes_work", 1003.1),
    ]
    assert sum(event.what == "reject" for event in heard) == 4


def test_plain_functions_and_threads_use_it_too() -> None:
    breaker = quick()

    @breaker
    def divide(a: int, b: int) -> float:
        return a / b

    assert divide(6, 3) == 2.0
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            divide(1, 0)
    with pytest.raises(CircuitOpen):
        divide(6, 3)
    breaker.reset()
    with breaker:
        pass
    for sleep in (asyncio.sleep, maypole.sleep):
        with pytest.raises(TypeError, match="use call"):
            _ = breaker.call_sync(sleep, 0)

    errors: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(200):
                with breaker:
                    pass
        except BaseException as error:
            errors.append(error)

    breaker.reset()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert breaker.stats().calls == 100  # the window; all of them ended well
    assert breaker.stats().failures == 0


def test_the_wall_clock_is_not_asked(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        breaker = quick()
        await opened(breaker)
        monkeypatch.setattr(time, "time", lambda: 1e12)
        assert breaker.try_acquire() is None
        assert breaker.stats().retry_after == 1.0

    run(main())


def test_one_breaker_serves_one_run_after_another(run: Run) -> None:
    breaker = quick(slow_call=0.5)

    async def first() -> None:
        await asyncio.sleep(3600)
        hung = spawn(attempt(breaker, seconds=60))
        await asyncio.sleep(0.1)
        await opened(breaker)
        hung.cancel()

    async def second() -> None:
        assert state(breaker) == "open"  # its clock began anew, an hour earlier
        await asyncio.sleep(1.0)
        await attempt(breaker)
        assert state(breaker) == "closed"
        slow = spawn(attempt(breaker, seconds=60))
        await asyncio.sleep(1.0)
        assert breaker.stats().slow == 1  # this loop's timer found it
        slow.cancel()
        await asyncio.wait([slow])

    run(first())
    run(second())


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"window": Count(0)}, "the calls of a window must be 1 or more"),
        ({"window": Time(0)}, "window must be at least"),
        ({"window": Time(float("inf"))}, "window must be finite"),
        ({"min_calls": 200}, "min_calls must be at most the window"),
        ({"failure_rate": 0}, "failure_rate must be above 0"),
        ({"failure_rate": 1.5}, "failure_rate must be above 0 and at most 1"),
        ({"consecutive": 0}, "consecutive must be 1 or more"),
        ({"slow_call": 0}, "slow_call must be above 0"),
        ({"slow_rate": 2}, "slow_rate must be above 0 and at most 1"),
        ({"open_for": 0}, "open_for must be above 0"),
        ({"open_for": 10, "open_max": 5}, "open_max must be at least open_for"),
        ({"backoff": 0.5}, "backoff must be at least 1"),
        ({"jitter": -1}, "jitter must be from 0 to 1"),
        ({"probes": 0}, "probes must be 1 or more"),
        ({"max_concurrent_probes": 4}, "max_concurrent_probes must be from 1 to probes"),
        ({"half_open_timeout": 0}, "half_open_timeout must be above 0"),
        ({"failure_rate": None}, "failure_rate, consecutive or slow_call"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        CircuitBreaker("remote", **settings)


def test_states_and_counts_hold_on_every_loop(run_real: Run) -> None:
    async def main() -> None:
        breaker = quick(open_for=0.05, probes=2)
        await opened(breaker)
        with pytest.raises(CircuitOpen):
            await attempt(breaker)
        await asyncio.sleep(0.06)
        results = await asyncio.gather(
            *(attempt(breaker, seconds=0.01) for _ in range(10)), return_exceptions=True
        )
        assert sum(result is None for result in results) == 1
        await attempt(breaker)
        stats = breaker.stats()
        assert (stats.state, stats.rejected) == ("closed", 10)

    run_real(main())
