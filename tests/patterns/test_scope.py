"""Task scopes: limits, outcomes, errors, cancellation from both sides, and jobs that do not want to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
from harness.kinds import Loop
from maypole.patterns.errors import QueueFull, ScopeClosed, ScopeStuck
from maypole.patterns.jobs import Job
from maypole.patterns.outcome import Cancelled, Err, Ok
from maypole.patterns.scope import TaskScope

Run = Callable[..., Any]


async def fail(error: Exception, after: float = 0) -> None:
    await asyncio.sleep(after)
    raise error


def test_a_scope_ends_when_its_jobs_have(run: Run) -> None:
    async def main() -> tuple[list[Any], float]:
        async with TaskScope() as scope:
            jobs = [scope.start(asyncio.sleep(n, n)) for n in (3, 1, 2)]
        return [await job for job in jobs], asyncio.get_running_loop().time()

    assert run(main()) == ([3, 1, 2], 1003)


def test_no_more_jobs_than_the_limit_run_at_a_time_in_the_order_they_came(run: Run) -> None:
    async def main() -> None:
        running = most = 0
        order = []

        async def work(number: int) -> None:
            nonlocal running, most
            order.append(number)
            running += 1
            most = max(most, running)
            await asyncio.sleep(1)
            running -= 1

        async with TaskScope(limit=3) as scope:
            for number in range(10):
                scope.start(work(number))
            assert (scope.stats().running, scope.stats().pending) == (3, 7)
        assert most == 3
        assert order == list(range(10))
        assert asyncio.get_running_loop().time() == 1004
        stats = scope.stats()
        assert (stats.started, stats.succeeded, stats.running_max) == (10, 10, 3)

    run(main())


def test_the_line_of_pending_jobs_is_bounded(run_real: Run) -> None:
    async def main() -> None:
        gate = asyncio.Event()
        async with TaskScope(limit=1, max_pending=1) as scope:
            scope.start(gate.wait())
            await asyncio.sleep(0)
            scope.start(gate.wait())
            with pytest.raises(QueueFull, match="scope: 1 jobs are pending already"):
                scope.start(gate.wait())
            gate.set()
        assert scope.stats().rejected == 1

    run_real(main())


def test_submit_waits_for_a_place_in_the_order_of_the_callers(run: Run) -> None:
    async def main() -> list[int]:
        order: list[int] = []

        async def work(number: int) -> None:
            order.append(number)
            await asyncio.sleep(1)

        async with TaskScope(limit=1, max_pending=0) as scope:
            await scope.submit(work(0))
            callers = [asyncio.create_task(scope.submit(work(number))) for number in range(1, 5)]
            await asyncio.sleep(0)
            assert scope.stats().waiting == 4
            callers[1].cancel()
            with pytest.raises(QueueFull):
                scope.start(work(99))
            with pytest.raises(TimeoutError):
                await scope.submit(work(98), timeout=0.5)
            await asyncio.gather(*callers, return_exceptions=True)
        return order

    assert run(main()) == [0, 1, 3, 4]


def test_the_first_error_cancels_the_others_and_is_raised(run: Run) -> None:
    async def main() -> None:
        async with TaskScope(limit=2) as scope:
            scope.start(asyncio.sleep(60))
            scope.start(fail(ValueError("broken"), after=1))
            scope.start(asyncio.sleep(60))
            await asyncio.sleep(3600)

    with pytest.raises(BaseExceptionGroup, match="errors in scope") as caught:
        run(main())
    assert [repr(error) for error in caught.value.exceptions] == ["ValueError('broken')"]


def test_jobs_see_how_the_others_ended(run: Run) -> None:
    async def main() -> None:
        async def hold() -> list[Job[Any]]:
            jobs = []
            try:
                async with TaskScope(limit=2) as scope:
                    jobs.append(scope.start(asyncio.sleep(60)))
                    jobs.append(scope.start(fail(ValueError("broken"), after=1)))
                    jobs.append(scope.start(asyncio.sleep(60)))
            except* ValueError:
                pass
            return jobs

        slow, bad, never = await hold()
        assert asyncio.get_running_loop().time() == 1001
        assert isinstance(slow.outcome, Cancelled)
        assert isinstance(bad.outcome, Err)
        assert never.outcome == Cancelled("it had not begun")
        with pytest.raises(asyncio.CancelledError):
            await never
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]

    run(main())


def test_collected_errors_disturb_nobody(run: Run) -> None:
    async def main() -> None:
        async with TaskScope(on_error="collect") as scope:
            scope.start(asyncio.sleep(2, "two"))
            scope.start(fail(ValueError("broken")))
            cancelled = scope.start(asyncio.sleep(60))
            await asyncio.sleep(1)
            assert scope.outcomes[0] is None
            assert cancelled.cancel()
        outcomes = scope.outcomes
        assert outcomes[0] == Ok("two")
        assert isinstance(outcomes[1], Err)
        assert isinstance(outcomes[1].error, ValueError)
        assert isinstance(outcomes[2], Cancelled)
        assert not cancelled.cancel()

    run(main())


def test_an_error_of_the_block_cancels_the_jobs(run: Run) -> None:
    async def main(on_error: Any) -> None:
        async with TaskScope(on_error=on_error) as scope:
            scope.start(asyncio.sleep(60))
            raise KeyError("block")

    with pytest.raises(ExceptionGroup) as caught:
        run(main("cancel"))
    assert [type(error) for error in caught.value.exceptions] == [KeyError]
    with pytest.raises(KeyError):
        run(main("collect"))


def test_cancelling_the_holder_cancels_the_jobs_and_waits_for_their_cleanup(run: Run) -> None:
    async def main() -> list[str]:
        log: list[str] = []

        async def work() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0.3)
                log.append("cleaned up")

        async def hold() -> None:
            async with TaskScope() as scope:
                scope.start(work())
                scope.start(work())

        holder = asyncio.create_task(hold())
        await asyncio.sleep(1)
        holder.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holder
        log.append(f"ended at {asyncio.get_running_loop().time() - 1000:g}")
        return log

    assert run(main()) == ["cleaned up", "cleaned up", "ended at 1.3"]


def test_a_second_cancellation_does_not_cut_the_cleanup(run: Run) -> None:
    async def main() -> None:
        cleaned = []

        async def work() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(2)
                cleaned.append(True)

        async def hold() -> None:
            async with TaskScope() as scope:
                scope.start(work())

        holder = asyncio.create_task(hold())
        await asyncio.sleep(1)
        holder.cancel()
        await asyncio.sleep(1)
        holder.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holder
        assert cleaned == [True]

    run(main())


def test_a_scope_inside_a_timeout_is_no_error_but_a_timeout(run: Run) -> None:
    async def main() -> None:
        async def hold() -> None:
            async with asyncio.timeout(5), TaskScope() as scope:
                scope.start(asyncio.sleep(60))

        with pytest.raises(TimeoutError):
            await hold()

    run(main())


def test_an_error_during_a_cancellation_keeps_the_cancellation(run: Run) -> None:
    async def main() -> None:
        async def bad_cleanup() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                raise OSError("cleanup failed")

        async def hold() -> str:
            try:
                async with TaskScope() as scope:
                    scope.start(bad_cleanup())
            except* OSError:
                pass
            await asyncio.sleep(1)  # the cancellation must arrive here
            return "the cancellation was lost"

        holder = asyncio.create_task(hold())
        await asyncio.sleep(1)
        holder.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holder

    run(main())


def test_a_job_that_does_not_stop_is_reported_and_left_behind(run: Run) -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def stubborn() -> None:
            while not go.is_set():
                try:
                    await go.wait()
                except asyncio.CancelledError:
                    continue

        scope = TaskScope(grace=5, name="web")

        async def hold() -> None:
            async with scope:
                scope.start(stubborn(), name="stubborn one")
                await asyncio.sleep(0)
                raise ValueError("stop")

        with pytest.raises(ExceptionGroup) as caught:
            await hold()
        assert asyncio.get_running_loop().time() == 1005
        stuck, other = caught.value.exceptions
        assert isinstance(stuck, ScopeStuck)
        assert "scope 'web': 1 jobs still run 5 s after their cancellation" in str(stuck)
        assert "stubborn one: test_scope.py:" in stuck.stuck[0]
        assert isinstance(other, ValueError)
        go.set()
        await asyncio.sleep(1)
        assert scope.stats().running == 0

    run(main())


def test_the_grace_counts_from_an_error_that_comes_while_the_scope_waits(run: Run) -> None:
    async def main() -> None:
        async def slow_cleanup() -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(3600)

        async def hold() -> None:
            async with TaskScope(grace=5) as scope:
                scope.start(slow_cleanup())
                scope.start(fail(ValueError("late"), after=100))

        with pytest.raises(ExceptionGroup) as caught:
            await hold()
        assert asyncio.get_running_loop().time() == 1105
        assert {type(error) for error in caught.value.exceptions} == {ValueError, ScopeStuck}

    run(main())


def test_jobs_can_start_jobs_until_the_scope_has_ended(run_real: Run) -> None:
    async def main() -> None:
        seen = []

        async def nested(depth: int) -> None:
            seen.append(depth)
            if depth:
                scope.start(nested(depth - 1))

        async with TaskScope(limit=1) as scope:
            scope.start(nested(5))
        assert seen == [5, 4, 3, 2, 1, 0]
        with pytest.raises(ScopeClosed, match="takes no more jobs"):
            scope.start(nested(0))

    run_real(main())


def test_a_cancelled_scope_ends_quietly_and_takes_no_more(run: Run) -> None:
    async def main() -> None:
        async with TaskScope() as scope:
            job = scope.start(asyncio.sleep(60))
            scope.cancel()
            with pytest.raises(ScopeClosed):
                await scope.submit(asyncio.sleep(1))
        assert isinstance(job.outcome, Cancelled)
        assert asyncio.get_running_loop().time() == 1000

    run(main())


def test_a_pending_job_runs_in_the_context_it_was_started_in(run_real: Run) -> None:
    request: ContextVar[str] = ContextVar("request")

    async def main() -> list[str]:
        async def work() -> str:
            return request.get()

        async with TaskScope(limit=1) as scope:
            request.set("first")
            first = scope.start(work())
            request.set("second")
            second = scope.start(work())
            request.set("later")
        return [await first, await second]

    assert run_real(main()) == ["first", "second"]


def test_waiting_for_a_job_raises_nothing_and_hurts_nobody(run: Run) -> None:
    async def main() -> None:
        async with TaskScope(on_error="collect") as scope:
            slow = scope.start(asyncio.sleep(5, "slow"))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1):
                    await slow
            assert not slow.done
            assert await slow.wait() == Ok("slow")
            bad = scope.start(fail(ValueError("no")))
            with pytest.raises(ValueError, match="no"):
                await bad

    run(main())


def test_a_scope_on_eager_tasks_keeps_its_limit(run: Run) -> None:
    eager = getattr(asyncio, "eager_task_factory", None)
    if eager is None:
        pytest.skip("eager tasks came with Python 3.12")

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(eager)
        running = most = 0

        async def work(depth: int) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            if depth:
                scope.start(work(depth - 1))
            await asyncio.sleep(0)
            running -= 1

        async with TaskScope(limit=2) as scope:
            for _ in range(3):
                scope.start(work(2))
        assert most == 2
        assert scope.stats().succeeded == 9

    run(main())


def test_a_keyboard_interrupt_of_a_job_is_raised_as_itself(loop: Loop) -> None:
    async def interrupt() -> None:
        raise KeyboardInterrupt

    async def hold() -> str:
        try:
            async with TaskScope() as scope:
                scope.start(interrupt())
                await asyncio.sleep(10)
        except KeyboardInterrupt:
            return "caught"
        return "not raised"

    holder = loop.create_task(hold())
    with pytest.raises(KeyboardInterrupt):  # it stops the loop, and then it reaches the scope
        loop.run_until_complete(holder)
    assert loop.run_until_complete(holder) == "caught"


def test_misuse_is_refused(run_real: Run) -> None:
    async def main() -> None:
        scope = TaskScope(name="early")
        with pytest.raises(RuntimeError, match="scope 'early' has not been entered"):
            scope.start(asyncio.sleep(0))
        async with scope:
            with pytest.raises(RuntimeError, match="keeps outcomes"):
                _ = scope.outcomes
            with pytest.raises(RuntimeError, match="entered already"):
                async with scope:
                    pass

    run_real(main())
    bad: list[tuple[dict[str, Any], str]] = [
        ({"limit": 0}, "limit must be 1 or more"),
        ({"max_pending": -1}, "max_pending must be 0 or more"),
        ({"on_error": "ignore"}, "on_error must be one of cancel, collect"),
        ({"grace": -1}, "grace must be 0 or more"),
    ]
    for options, message in bad:
        with pytest.raises(ValueError, match=message):
            TaskScope(**options)
