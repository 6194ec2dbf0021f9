"""The `time` module on virtual time."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import maypole
import pytest
from maypole.testing import VirtualClock
from maypole.testing.clock import LoopName
from maypole.virtual.time_module import TimeModule


def run_on(clock: VirtualClock, loop_name: LoopName, main: Any) -> Any:
    """Run a coroutine on a new loop of this clock."""
    with asyncio.Runner(loop_factory=lambda: clock.new_event_loop(loop_name)) as runner:
        return runner.run(main)


def test_measuring_around_a_run_sees_its_waits(clock: VirtualClock, loop_name: LoopName) -> None:
    with clock.time_module():
        for measure in (time.perf_counter, time.monotonic, time.time):
            start = measure()
            run_on(clock, loop_name, asyncio.sleep(2.5))
            assert measure() - start == 2.5
        for measure_ns in (time.perf_counter_ns, time.monotonic_ns, time.time_ns):
            start_ns = measure_ns()
            run_on(clock, loop_name, asyncio.sleep(2.5))
            assert measure_ns() - start_ns == 2_500_000_000


def test_the_day_is_always_the_same(clock: VirtualClock, loop_name: LoopName) -> None:
    with clock.time_module():
        assert time.time() == 1_577_836_800.0 + 1000.0
        assert time.time_ns() == 1_577_836_800_000_000_000 + 1_000_000_000_000


def test_the_loop_and_the_module_show_one_time(clock: VirtualClock, loop_name: LoopName) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert time.monotonic() == loop.time() == 1000.0
        await asyncio.sleep(7)
        assert time.monotonic() == loop.time() == 1007.0

    with clock.time_module():
        run_on(clock, loop_name, main())


def test_a_blocking_sleep_moves_the_clock_and_blocks_the_others(
    clock: VirtualClock, loop_name: LoopName
) -> None:
    beats: list[float] = []

    async def heart() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(4):
            await asyncio.sleep(1)
            beats.append(loop.time() - 1000.0)

    async def main() -> None:
        task = asyncio.create_task(heart())
        await asyncio.sleep(1.5)
        time.sleep(10)
        await task

    with clock.time_module():
        run_on(clock, loop_name, main())
    assert beats == [1.0, 11.5, 12.5, 13.5]


def test_sleeping_outside_a_loop_moves_the_clock(clock: VirtualClock) -> None:
    with clock.time_module():
        start = time.monotonic()
        time.sleep(86_400)
        assert time.monotonic() - start == 86_400


def test_a_sleep_in_a_worker_thread_waits_for_the_loop(clock: VirtualClock, loop_name: LoopName) -> None:
    async def main() -> tuple[float, float]:
        loop = asyncio.get_running_loop()
        await asyncio.to_thread(time.sleep, 5)
        after_one = loop.time() - 1000.0
        await asyncio.gather(*(asyncio.to_thread(time.sleep, 60) for _ in range(3)))
        return after_one, loop.time() - 1005.0

    real = time.monotonic
    with clock.time_module():
        before = real()
        # Threads that sleep at the same time share that time.
        assert run_on(clock, loop_name, main()) == (5.0, 60.0)
        assert real() - before < 30


def test_more_sleeping_jobs_than_workers_take_turns(clock: VirtualClock, loop_name: LoopName) -> None:
    from concurrent.futures import ThreadPoolExecutor

    async def main() -> float:
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(2) as pool:
            await asyncio.gather(*(loop.run_in_executor(pool, time.sleep, 8) for _ in range(10)))
        return loop.time() - 1000.0

    with clock.time_module():
        assert run_on(clock, loop_name, main()) == 40.0


def test_process_time_stays_real(clock: VirtualClock, loop_name: LoopName) -> None:
    with clock.time_module():
        start = time.process_time()
        run_on(clock, loop_name, asyncio.sleep(3600))
        assert time.process_time() - start < 60


def test_everything_is_put_back(clock: VirtualClock) -> None:
    names = [
        "time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep",
        "process_time", "thread_time",
    ]  # fmt: skip
    before = {name: getattr(time, name) for name in names}

    def fail_inside() -> None:
        changed = {name for name in names if getattr(time, name) != before[name]}
        assert changed == set(names) - {"process_time", "thread_time"}
        raise RuntimeError("out")

    with pytest.raises(RuntimeError, match="out"), clock.time_module():
        fail_inside()
    assert {name: getattr(time, name) for name in names} == before


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (-1, ValueError, "sleep length must be non-negative"),
        (float("nan"), ValueError, "Invalid value NaN"),
        (float("inf"), OverflowError, "timestamp"),
        ("1", TypeError, "'str' object|not str"),
        (None, TypeError, "'NoneType' object|not NoneType"),
    ],
)
def test_a_sleep_that_the_real_one_refuses_is_refused(
    clock: VirtualClock, value: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        time.sleep(value)
    with clock.time_module(), pytest.raises(error, match=text):
        time.sleep(value)


def test_a_loop_on_real_time_cannot_be_followed() -> None:
    loop = maypole.new_event_loop()
    with pytest.raises(ValueError, match="virtual clock only"):
        TimeModule().follow(loop)
    loop.close()


def test_a_closed_loop_keeps_the_time_it_brought(clock: VirtualClock, loop_name: LoopName) -> None:
    with clock.time_module():
        shown = []
        for _ in range(3):
            run_on(clock, loop_name, asyncio.sleep(1.5))
            shown.append(time.monotonic())
    assert shown == [1001.5, 1003.0, 1004.5]


def test_a_thread_that_sleeps_when_the_run_ends_is_let_go(clock: VirtualClock, loop_name: LoopName) -> None:
    ended = threading.Event()

    def sleeper() -> None:
        time.sleep(1000)
        ended.set()

    async def main() -> None:
        thread = threading.Thread(target=sleeper)
        thread.start()
        await asyncio.sleep(1)

    with clock.time_module():
        run_on(clock, loop_name, main())
        assert ended.wait(10)
