"""Things done on the beat: no drift, runs that overlap, beats that were missed, the end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from maypole.patterns.events import PatternEvent
from maypole.patterns.periodic import Periodic, every

Run = Callable[..., Any]


def now() -> float:
    return asyncio.get_running_loop().time() - 1000


class Work:
    """Takes a time for each run and notes when it began."""

    def __init__(self, *lasting: float) -> None:
        self.lasting = list(lasting)
        self.begun: list[float] = []
        self.inside = self.most = 0

    async def __call__(self) -> None:
        self.begun.append(now())
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await asyncio.sleep(self.lasting.pop(0) if self.lasting else 0)
        finally:
            self.inside -= 1


async def run_for(periodic: Periodic, seconds: float) -> None:
    task = asyncio.create_task(periodic.run())
    await asyncio.sleep(seconds)
    periodic.stop()
    await task


def test_how_long_a_run_takes_does_not_shift_the_beat(run: Run) -> None:
    async def main() -> list[float]:
        work = Work(3, 1, 4, 1, 5)
        await run_for(Periodic(work, 10), 45)
        return work.begun

    assert run(main()) == [0, 10, 20, 30, 40]


def test_nothing_drifts_over_many_beats(run: Run) -> None:
    async def main() -> None:
        work = Work()
        await run_for(Periodic(work, 0.1), 1000.05)
        assert len(work.begun) == 10_001
        assert work.begun[-1] == pytest.approx(1000, abs=1e-6)

    run(main())


def test_skip_leaves_out_the_beats_of_a_long_run(run: Run) -> None:
    async def main() -> None:
        work = Work(25, 0, 0)
        periodic = Periodic(work, 10)
        await run_for(periodic, 45)
        assert work.begun == [0, 30, 40]
        stats = periodic.stats()
        assert (stats.ticks, stats.runs, stats.skipped) == (5, 3, 2)

    run(main())


def test_queue_makes_up_for_them_up_to_a_bound(run: Run) -> None:
    async def main() -> None:
        work = Work(45)
        periodic = Periodic(work, 10, overlap="queue", max_queued=2)
        await run_for(periodic, 55)
        assert work.begun == [0, 45, 45, 50]
        assert periodic.stats().skipped == 2
        assert work.most == 1

    run(main())


def test_parallel_runs_beside_each_other_up_to_a_limit(run: Run) -> None:
    async def main() -> None:
        work = Work(25, 25, 25, 25, 25)
        periodic = Periodic(work, 10, overlap="parallel", limit=2)
        await run_for(periodic, 55)
        assert work.begun == [0, 10, 30, 40]
        assert work.most == 2

    run(main())


@pytest.mark.parametrize(("missed", "begun"), [("skip", [0, 47, 50]), ("burst", [0, 47, 47, 47, 47, 50])])
def test_beats_that_passed_while_the_loop_was_blocked(run: Run, missed: Any, begun: list[float]) -> None:
    heard: list[PatternEvent] = []

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        work = Work()
        periodic = Periodic(work, 10, missed=missed, overlap="queue", on_event=heard.append)
        loop.call_later(5, lambda: loop._advance_time(42.0))  # somebody computes for 42 seconds
        await run_for(periodic, 55)
        assert work.begun == begun
        stats = periodic.stats()
        assert stats.missed == (3 if missed == "skip" else 0)
        assert stats.late_s_max == 37

    run(main())
    assert [event.detail["beats"] for event in heard] == ([3] if missed == "skip" else [])


def test_jitter_moves_calls_and_not_beats(run: Run) -> None:
    async def main() -> list[float]:
        work = Work()
        await run_for(Periodic(work, 10, jitter=4, first=10), 1009)
        return work.begun

    begun = run(main())
    assert len(begun) == 100
    offsets = [moment - 10 * (number + 1) for number, moment in enumerate(begun)]
    assert all(0 <= offset <= 4.001 for offset in offsets)
    assert max(offsets) - min(offsets) > 1


def test_an_error_ends_it_or_is_logged(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async def bad() -> None:
            raise OSError("no disk")

        with pytest.raises(ExceptionGroup) as caught:
            await every(bad, 10)
        assert isinstance(caught.value.exceptions[0], OSError)
        periodic = Periodic(bad, 10, on_error="log", name="save")
        await run_for(periodic, 25)
        assert periodic.stats().failed == 3

    run(main())
    assert caplog.text.count("periodic save failed; it goes on") == 3


def test_cancelling_waits_for_the_cleanup_of_the_run(run: Run) -> None:
    async def main() -> None:
        cleaned = []

        async def work() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(2)
                cleaned.append(now())

        task = asyncio.create_task(every(work, 10))
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert cleaned == [3]

    run(main())


def test_stopping_lets_the_run_finish(run: Run) -> None:
    async def main() -> None:
        work = Work(20)
        await run_for(Periodic(work, 100), 5)
        assert now() == 20

    run(main())


def test_it_runs_in_real_time_and_again(run_real: Run) -> None:
    async def main() -> None:
        seen: list[int] = []

        async def work() -> None:
            seen.append(1)
            if len(seen) == 3:
                periodic.stop()

        periodic = Periodic(work, 0.001)
        await periodic.run()
        assert len(seen) == 3
        assert periodic.describe()["runs"] == 3

    run_real(main())


def test_it_runs_once_at_a_time(run: Run) -> None:
    async def main() -> None:
        periodic = Periodic(Work(), 10, name="twice")
        task = asyncio.create_task(periodic.run())
        await asyncio.sleep(1)
        with pytest.raises(RuntimeError, match="periodic 'twice' runs already"):
            await periodic.run()
        periodic.stop()
        await task

    run(main())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": 0}, "seconds > 0"),
        ({"jitter": 10}, "jitter < seconds"),
        ({"first": -1}, "first >= 0"),
        ({"overlap": "mix"}, "overlap must be one of skip, queue, parallel"),
        ({"missed": "mix"}, "missed must be one of skip, burst"),
        ({"on_error": "mix"}, "on_error must be one of raise, log"),
        ({"limit": 0}, "limit must be 1 or more"),
    ],
)
def test_bad_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Periodic(Work(), **({"seconds": 10} | options))
