"""Stages on threads and processes: one interface, and no item lost when a worker dies."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from harness.stage_work import die_always, die_once, fail_on_three, sleep_for_ever, square
from maypole.patterns.errors import WorkerDied
from maypole.patterns.events import PatternEvent
from maypole.patterns.pipeline import source
from maypole.patterns.places import InExecutor, Threads
from maypole.patterns.processes import Processes

Run = Callable[..., Any]

# The first spawned process starts one that tracks resources, with a pipe that stays open.
tracker = pytest.mark.leaks("fds")


def test_threads_run_a_stage_beside_the_loop(run_real: Run) -> None:
    async def main() -> None:
        seen = set()

        def work(number: int) -> int:
            seen.add(threading.current_thread().name)
            time.sleep(0.001)
            return number * number

        pipe = source(range(50)).map(work, on=Threads(3), concurrency=6)
        assert await pipe.collect() == [number * number for number in range(50)]
        assert threading.main_thread().name not in seen
        assert len(seen) <= 3
        assert await pipe.collect() == [number * number for number in range(50)]

    run_real(main())


def test_an_executor_of_your_own_is_not_shut_down(run_real: Run) -> None:
    async def main() -> None:
        with ThreadPoolExecutor(2) as executor:
            assert await source(range(5)).map(square, on=executor, concurrency=2).collect() == [
                0,
                1,
                4,
                9,
                16,
            ]
            place = InExecutor(executor)
            assert await source(range(3)).map(square, on=place).map(square, on=place).collect() == [0, 1, 16]
            assert executor.submit(square, 3).result() == 9

    run_real(main())


def test_errors_of_threads_obey_the_policy(run_real: Run) -> None:
    async def main() -> None:
        report = (
            await source(range(6)).map(fail_on_three, on=Threads(2), concurrency=2, on_error="skip").run()
        )
        assert [letter.item for letter in report.dead_letters] == [3]
        with pytest.raises(ExceptionGroup) as caught:
            await source(range(6)).map(fail_on_three, on=Threads(2)).run()
        assert isinstance(caught.value.exceptions[0], ValueError)

    run_real(main())


def test_leaving_waits_for_the_calls_that_have_begun(run_real: Run) -> None:
    async def main() -> None:
        ended = []

        def work(number: int) -> int:
            if number:
                time.sleep(0.05)
                ended.append(number)
            return number

        async with (
            source(range(100)).map(work, on=Threads(2), concurrency=2, ordered=False).stream() as numbers
        ):
            assert await anext(numbers) == 0
            await asyncio.sleep(0.01)
        assert 1 <= len(ended) <= 4
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("maypole-stage")]

    run_real(main())


def test_the_virtual_clock_waits_for_threads(run: Run) -> None:
    async def main() -> None:
        assert await source(range(5)).map(square, on=Threads(2)).collect() == [0, 1, 4, 9, 16]
        assert asyncio.get_running_loop().time() == 1000

    run(main())


@tracker
def test_processes_run_a_stage_in_other_processes(run_real: Run) -> None:
    async def main() -> None:
        pipe = source(range(20)).map(square, on=Processes(2), concurrency=4)
        assert await pipe.collect() == [number * number for number in range(20)]

    run_real(main())


@tracker
def test_a_process_that_dies_loses_no_item_and_is_reported(run_real: Run, tmp_path: Path) -> None:
    heard: list[PatternEvent] = []

    async def main() -> None:
        marker = str(tmp_path / "died")
        place = Processes(2, on_event=heard.append)
        pipe = source([(number, marker) for number in range(12)]).map(die_once, on=place, concurrency=4)
        async with pipe.stream() as numbers:
            assert [number async for number in numbers] == list(range(12))
        assert numbers.report().stages[0].deaths == 1
        assert place.deaths == 1

    run_real(main())
    assert [event.what for event in heard] == ["worker_died"]
    assert isinstance(heard[0].detail["pid"], int)


@tracker
def test_an_item_that_kills_every_process_is_given_up_and_the_others_are_not(run_real: Run) -> None:
    async def main() -> None:
        place = Processes(2, max_deaths=2)
        pipe = source(range(8)).map(die_always, on=place, concurrency=4, on_error="skip", name="risky")
        async with pipe.stream() as numbers:
            assert [number async for number in numbers] == [0, 1, 2, 4, 5, 6, 7]
        (letter,) = numbers.report().dead_letters
        assert letter.item == 3
        assert isinstance(letter.error, WorkerDied)
        assert place.deaths == 2

    run_real(main())


@tracker
def test_leaving_kills_a_process_that_is_busy(run_real: Run, tmp_path: Path) -> None:
    marker = tmp_path / "pid"

    async def main() -> None:
        async with source([str(marker)]).map(sleep_for_ever, on=Processes(1)).stream(grace=5):
            for _ in range(1000):
                if marker.exists() and marker.read_text():
                    break
                await asyncio.sleep(0.02)
        assert len(asyncio.all_tasks()) == 1

    run_real(main())
    with pytest.raises(ProcessLookupError):
        os.kill(int(marker.read_text()), 0)


def test_misuse_is_refused() -> None:
    async def work(number: int) -> int:
        return number

    with pytest.raises(TypeError, match="a place runs plain functions"):
        source([1]).map(work, on=Threads(1))
    with pytest.raises(TypeError, match="on must be a place"):
        source([1]).map(square, on="threads")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="workers must be 1 or more"):
        Threads(0)
    with pytest.raises(ValueError, match="workers must be 1 or more"):
        Processes(0)
    with pytest.raises(ValueError, match="max_deaths must be 1 or more"):
        Processes(max_deaths=0)
    with pytest.raises(ValueError, match="context must be one of"):
        Processes(context="clone")  # type: ignore[arg-type]
    with pytest.raises(RuntimeError, match="inside `async with` only"):
        Threads(1).submit(square, 1)
    with pytest.raises(RuntimeError, match="inside `async with` only"):
        Processes(1).submit(square, 1)
