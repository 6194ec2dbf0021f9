"""Supervision: what is restarted, after which pause, and when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from maypole.patterns.errors import TooManyRestarts, WorkCancelled
from maypole.patterns.events import PatternEvent
from maypole.patterns.supervisor import Backoff, Supervisor, supervise

Run = Callable[..., Any]
EXACT = Backoff(initial=1, factor=2, maximum=10, jitter=0)


def now() -> float:
    return asyncio.get_running_loop().time() - 1000


def failing(times: int, lasting: float = 0) -> tuple[Callable[[], Awaitable[str]], list[float]]:
    """A function that fails so often and then returns, and the moments at which it began."""
    begun: list[float] = []

    async def work() -> str:
        begun.append(now())
        await asyncio.sleep(lasting)
        if len(begun) <= times:
            raise ConnectionError(f"failure {len(begun)}")
        return "done"

    return work, begun


def test_a_failure_is_restarted_after_pauses_that_grow(run: Run) -> None:
    async def main() -> None:
        work, begun = failing(6)
        assert await supervise(work, backoff=EXACT, max_restarts=10) == "done"
        assert begun == [0, 1, 3, 7, 15, 25, 35]

    run(main())


def test_it_gives_up_when_failures_come_too_often(run: Run) -> None:
    async def main() -> None:
        work, begun = failing(100)
        with pytest.raises(TooManyRestarts, match="would need restart 4 within 60 s") as caught:
            await supervise(work, backoff=EXACT, max_restarts=3, within=60)
        assert len(begun) == 4
        assert str(caught.value.__cause__) == "failure 4"

    run(main())


def test_failures_that_are_far_apart_go_on_for_ever_and_begin_with_the_first_pause(run: Run) -> None:
    async def main() -> None:
        work, begun = failing(20, lasting=70)
        assert await supervise(work, backoff=EXACT, max_restarts=1, within=60) == "done"
        assert begun == [number * 71 for number in range(21)]

    run(main())


def test_always_restarts_what_returns_too(run: Run) -> None:
    async def main() -> None:
        work, begun = failing(0, lasting=5)
        with pytest.raises(TooManyRestarts) as caught:
            await supervise(work, restart="always", max_restarts=3, within=60)
        assert begun == [0, 5, 10, 15]
        assert caught.value.__cause__ is None

    run(main())


def test_never_runs_once(run: Run) -> None:
    async def main() -> None:
        work, begun = failing(1)
        with pytest.raises(ConnectionError, match="failure 1"):
            await supervise(work, restart="never")
        assert await supervise(work, restart="never") == "done"
        assert len(begun) == 2

    run(main())


def test_other_errors_are_raised_at_once(run: Run) -> None:
    async def main() -> None:
        async def work() -> None:
            raise KeyError("a bug")

        with pytest.raises(KeyError):
            await supervise(work, failures=(OSError,))

    run(main())


@pytest.mark.parametrize("when", [0.5, 1.5])
def test_cancelling_ends_a_run_or_a_pause_and_restarts_nothing(run: Run, when: float) -> None:
    async def main() -> None:
        work, begun = failing(100, lasting=1)
        supervisor = Supervisor(work, backoff=EXACT)
        task = asyncio.create_task(supervisor.run())
        await asyncio.sleep(when)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        await asyncio.sleep(60)
        assert len(begun) == 1

    run(main())


def test_a_function_that_cancels_itself_has_failed(run: Run) -> None:
    async def main() -> None:
        async def work() -> None:
            raise asyncio.CancelledError

        with pytest.raises(TooManyRestarts) as caught:
            await supervise(work, max_restarts=2)
        assert isinstance(caught.value.__cause__, WorkCancelled)

    run(main())


def test_jitter_spreads_the_pauses_and_a_long_row_of_failures_overflows_nothing() -> None:
    pauses = {Backoff(initial=1, jitter=0.1).pause(1) for _ in range(50)}
    assert len(pauses) > 25
    assert all(0.9 <= pause <= 1.1 for pause in pauses)
    assert Backoff(jitter=0).pause(10**9) == 30


def test_listeners_and_stats_tell_what_happened(run: Run) -> None:
    heard: list[PatternEvent] = []

    async def main() -> None:
        work, _ = failing(1)
        supervisor = Supervisor(work, backoff=EXACT, name="feed", on_event=heard.append)
        assert supervisor.stats().state == "new"
        await supervisor.run()
        stats = supervisor.stats()
        assert (stats.state, stats.runs, stats.failures, stats.recent_restarts) == ("ended", 2, 1, 1)
        assert supervisor.describe()["last_error"] == "ConnectionError('failure 1')"
        assert repr(supervisor) == "<Supervisor of feed: ended, 2 runs, 1 failures>"

    run(main())
    assert [event.what for event in heard] == ["start", "restart", "start"]
    assert heard[1].detail["pause"] == 1


def test_bad_arguments_are_refused() -> None:
    work, _ = failing(0)
    with pytest.raises(ValueError, match="restart must be one of on_failure, always, never"):
        Supervisor(work, restart="sometimes")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="max_restarts >= 0"):
        Supervisor(work, max_restarts=-1)
    with pytest.raises(ValueError, match="factor >= 1"):
        Backoff(factor=0.5)
