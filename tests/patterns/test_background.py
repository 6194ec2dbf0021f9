"""Background work: kept alive, bounded, stopped with time for cleanup, and never silent about a failure."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from typing import Any

import pytest
from maypole.patterns.background import Background
from maypole.patterns.deadline import Deadline
from maypole.patterns.errors import QueueFull, ScopeClosed
from maypole.patterns.jobs import Job
from maypole.patterns.outcome import Cancelled

Run = Callable[..., Any]


def test_closing_waits_for_the_cleanup_of_cancelled_jobs(run: Run) -> None:
    async def main() -> None:
        cleaned = []

        async def work() -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(0.3)
                cleaned.append(True)

        background = Background(grace=10)
        background.start(work())
        await asyncio.sleep(1)
        assert await background.aclose() == ()
        assert cleaned == [True]
        assert asyncio.get_running_loop().time() == pytest.approx(1001.3)

    run(main())


def test_closing_lets_jobs_finish_while_it_drains(run: Run) -> None:
    async def main() -> None:
        background = Background(limit=1)
        jobs = [background.start(asyncio.sleep(2, number)) for number in range(3)]
        await background.aclose(drain=5)
        assert [type(job.outcome).__name__ for job in jobs] == ["Ok", "Ok", "Cancelled"]
        assert asyncio.get_running_loop().time() == 1005
        with pytest.raises(ScopeClosed, match="takes no more jobs"):
            background.start(asyncio.sleep(0))

    run(main())


def test_closing_reports_who_did_not_stop(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def stubborn() -> None:
            while not go.is_set():
                try:
                    await go.wait()
                except asyncio.CancelledError:
                    continue

        background = Background(name="mail")
        background.start(stubborn(), name="send")
        await asyncio.sleep(0)
        stuck = await background.aclose(grace=2)
        assert [line.split(":")[0] for line in stuck] == ["send"]
        assert asyncio.get_running_loop().time() == 1002
        go.set()
        await asyncio.sleep(0.1)

    run(main())
    assert "background 'mail': 1 jobs did not stop:\n  send: test_background.py:" in caplog.text


def test_cancelling_the_close_still_cleans_up(run: Run) -> None:
    async def main() -> None:
        cleaned = []

        async def work() -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(1)
                cleaned.append(True)

        background = Background()
        background.start(work())
        closing = asyncio.create_task(background.aclose(drain=60))
        await asyncio.sleep(1)
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert cleaned == [True]
        assert asyncio.get_running_loop().time() == 1002

    run(main())


def test_a_job_nobody_holds_is_not_collected(run_real: Run) -> None:
    async def main() -> bool:
        finished = False

        async def work() -> None:
            nonlocal finished
            # Nothing but the task itself refers to this future.
            await asyncio.get_running_loop().create_task(asyncio.sleep(0.02))
            finished = True

        async with Background(drain=5) as background:
            background.start(work())
            await asyncio.sleep(0)
            gc.collect()
        return finished

    assert run_real(main())


def test_a_failure_is_logged_unless_somebody_asks_for_it(
    run_real: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(text: str) -> None:
        raise ValueError(text)

    async def main() -> None:
        async with Background(name="mail", drain=1) as background:
            background.start(fail("silent"), name="silent job")
            asked = background.start(fail("asked"))
            with pytest.raises(ValueError, match="asked"):
                await asked
        assert background.stats().failed == 2

    run_real(main())
    assert [record.getMessage() for record in caplog.records] == ["silent job of background 'mail' failed"]


def test_on_error_gets_the_job_and_may_fail_itself(run_real: Run, caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    def on_error(job: Job[Any], error: BaseException) -> None:
        seen.append(f"{job.name}: {error}")
        raise RuntimeError("bad handler")

    async def fail() -> None:
        raise ValueError("broken")

    async def main() -> None:
        async with Background(drain=1, on_error=on_error) as background:
            background.start(fail(), name="a")
            background.start(fail(), name="b")

    with caplog.at_level(logging.ERROR):
        run_real(main())
    assert seen == ["a: broken", "b: broken"]
    assert caplog.text.count("on_error of background failed") == 2


def test_the_number_of_jobs_is_bounded(run_real: Run) -> None:
    async def main() -> None:
        gate = asyncio.Event()
        background = Background(limit=2, max_pending=1)
        jobs = [background.start(gate.wait()) for _ in range(3)]
        with pytest.raises(QueueFull):
            background.start(gate.wait())
        waiting = asyncio.create_task(background.submit(gate.wait()))
        await asyncio.sleep(0)
        assert background.describe()["waiting"] == 1
        gate.set()
        await (await waiting)
        await background.join()
        assert all(job.done for job in jobs)
        await background.aclose()

    run_real(main())


def test_closing_frees_those_who_wait_for_a_place(run_real: Run) -> None:
    async def main() -> None:
        background = Background(limit=1, max_pending=0)
        background.start(asyncio.sleep(60))
        waiting = asyncio.create_task(background.submit(asyncio.sleep(60)))
        await asyncio.sleep(0)
        await background.aclose()
        with pytest.raises(ScopeClosed, match="background is closed"):
            await waiting

    run_real(main())


def test_a_job_does_not_inherit_the_deadline_of_the_request(run: Run) -> None:
    async def main() -> None:
        async def slow_mail() -> float | None:
            await asyncio.sleep(10)
            deadline = Deadline.current()
            return None if deadline is None else deadline.remaining()

        background = Background()
        async with Deadline(1):
            job = background.start(slow_mail())
        assert await job is None
        await background.aclose()

    run(main())


def test_jobs_can_be_cancelled_without_closing(run: Run) -> None:
    async def main() -> None:
        background = Background(limit=1)
        jobs = [background.start(asyncio.sleep(60)) for _ in range(3)]
        background.cancel()
        await background.join()
        assert [isinstance(job.outcome, Cancelled) for job in jobs] == [True] * 3
        assert await background.start(asyncio.sleep(1, "again")) == "again"
        await background.aclose()

    run(main())


def test_background_serves_one_run_after_another(run_real: Run) -> None:
    background = Background(limit=1)

    async def main() -> list[int]:
        first = background.start(asyncio.sleep(0, 1))
        second = background.start(asyncio.sleep(0, 2))
        return [await first, await second]

    assert run_real(main()) == [1, 2]
    assert asyncio.run(main()) == [1, 2]


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="drain and grace"):
        Background(grace=-1)
    with pytest.raises(ValueError, match="limit must be 1 or more"):
        Background(limit=0)
