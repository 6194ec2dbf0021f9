"""Rules 1, 2, 6 and 7 of the virtual clock: where it starts, when it jumps, which order it keeps."""

from __future__ import annotations

import asyncio
import math
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from maypole.testing import VirtualClock
from maypole.testing.clock import LoopName

RunVirtual = Callable[..., Any]


def test_the_clock_starts_at_one_thousand(run: RunVirtual) -> None:
    async def main() -> float:
        return asyncio.get_running_loop().time()

    assert run(main()) == 1000.0


def test_every_loop_of_a_clock_starts_at_one_thousand(clock: VirtualClock, loop_name: LoopName) -> None:
    starts = []
    for _ in range(3):
        with asyncio.Runner(loop_factory=lambda: clock.new_event_loop(loop_name)) as runner:
            starts.append(runner.get_loop().time())
            runner.run(asyncio.sleep(2.5))
    assert starts == [1000.0, 1000.0, 1000.0]
    assert clock.time() == 1007.5


def test_a_year_of_sleep_takes_exactly_a_year(run: RunVirtual) -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await asyncio.sleep(365 * 86_400)
        return loop.time() - start

    assert run(main()) == 365 * 86_400


def test_work_takes_no_virtual_time(run: RunVirtual) -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        for _ in range(1000):
            await asyncio.sleep(0)
        return loop.time() - start

    assert run(main()) == 0.0


def test_eighths_of_a_second_add_up_exactly(run: RunVirtual) -> None:
    async def main() -> float:
        for _ in range(80):
            await asyncio.sleep(0.125)
        return asyncio.get_running_loop().time()

    assert run(main()) == 1010.0


def test_waits_that_start_together_end_in_the_order_of_their_lengths(run: RunVirtual) -> None:
    async def main() -> list[tuple[float, float]]:
        loop = asyncio.get_running_loop()
        seen: list[tuple[float, float]] = []

        async def wait(delay: float) -> None:
            await asyncio.sleep(delay)
            seen.append((delay, loop.time() - 1000.0))

        await asyncio.gather(*(wait(delay) for delay in (4, 1, 0.5, 8, 2)))
        return seen

    assert run(main()) == [(0.5, 0.5), (1, 1), (2, 2), (4, 4), (8, 8)]


def test_timers_with_one_deadline_fire_in_the_order_they_were_set(run: RunVirtual) -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        order: list[int] = []
        for number in range(50):
            loop.call_at(1010.0, order.append, number)
        await asyncio.sleep(11)
        return order

    assert run(main()) == list(range(50))


@pytest.mark.parametrize("tie_seed", [0, 1, 7])
def test_a_tie_seed_permutes_equal_deadlines_the_same_way_each_time(run: RunVirtual, tie_seed: int) -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        order: list[int] = []
        for number in range(20):
            loop.call_at(1010.0, order.append, number)
        loop.call_at(1009.0, order.append, -1)
        loop.call_at(1011.0, order.append, 99)
        await asyncio.sleep(12)
        return order

    first = run(main(), tie_seed=tie_seed)
    assert first == run(main(), tie_seed=tie_seed)
    assert (first[0], first[-1]) == (-1, 99)
    assert sorted(first) == [-1, *range(20), 99]
    assert first[1:-1] != list(range(20))


def test_a_tie_seed_leaves_call_soon_in_order(run: RunVirtual) -> None:
    async def main() -> list[int]:
        order: list[int] = []
        for number in range(20):
            asyncio.get_running_loop().call_soon(order.append, number)
        await asyncio.sleep(0)
        return order

    assert run(main(), tie_seed=3) == list(range(20))


def test_a_tie_seed_permutes_the_descriptors_of_one_poll(run: RunVirtual) -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        pairs = [socket.socketpair() for _ in range(8)]
        order: list[int] = []

        def readable(number: int) -> None:
            pairs[number][0].recv(1)
            order.append(number)

        for number, (reader, writer) in enumerate(pairs):
            writer.send(b"x")
            loop.add_reader(reader, readable, number)
        await asyncio.sleep(1)
        for reader, writer in pairs:
            loop.remove_reader(reader)
            reader.close()
            writer.close()
        return order

    in_order = run(main())
    orders = [run(main(), tie_seed=seed) for seed in range(4)]
    assert [sorted(order) for order in orders] == [list(range(8))] * 4
    assert any(order != in_order for order in orders)
    assert run(main(), tie_seed=2) == orders[2]


def test_a_ready_descriptor_runs_before_the_clock_jumps(run: RunVirtual) -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        left, right = socket.socketpair()
        left.setblocking(False)
        seen: list[Any] = []

        def readable() -> None:
            seen.append((left.recv(16), loop.time()))
            loop.remove_reader(left)

        loop.add_reader(left, readable)
        loop.call_later(5, lambda: seen.append(("timer", loop.time())))
        right.send(b"now")
        await asyncio.sleep(6)
        left.close()
        right.close()
        return seen

    assert run(main()) == [(b"now", 1000.0), ("timer", 1005.0)]


def test_streams_over_loopback_take_no_virtual_time(run: RunVirtual) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line.upper())
        writer.close()

    async def main() -> tuple[list[bytes], float]:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        answers = []
        for number in range(20):
            writer.write(b"line %d\n" % number)
            answers.append(await reader.readline())
            await asyncio.sleep(1)
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return answers, asyncio.get_running_loop().time()

    answers, end = run(main())
    assert answers == [b"LINE %d\n" % number for number in range(20)]
    assert end == 1020.0


def test_a_timeout_fires_at_its_moment(run: RunVirtual) -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.sleep(60)
        return asyncio.get_running_loop().time()

    assert run(main()) == 1030.0


def test_a_cancelled_timer_moves_no_clock(run: RunVirtual) -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        loop.call_later(1000, int).cancel()
        await asyncio.sleep(1)
        await asyncio.sleep(1)
        return loop.time()

    assert run(main()) == 1002.0


def test_the_clock_waits_for_an_executor_job(run: RunVirtual) -> None:
    def job() -> str:
        time.sleep(0.1)
        return "done"

    async def main() -> tuple[str, float]:
        loop = asyncio.get_running_loop()
        timer = loop.call_later(5, int)
        answer = await asyncio.to_thread(job)
        timer.cancel()
        return answer, loop.time()

    assert run(main()) == ("done", 1000.0)


def test_an_idle_worker_holds_no_clock_back(run: RunVirtual) -> None:
    async def main() -> float:
        await asyncio.to_thread(int)
        before = time.monotonic()
        for _ in range(20):
            await asyncio.sleep(60)
        return time.monotonic() - before

    # Each of these jumps would take two seconds if the worker counted.
    assert run(main()) < 20


def test_the_clock_waits_for_a_thread_that_calls_the_loop(run: RunVirtual) -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        called = asyncio.Event()

        def from_outside() -> None:
            time.sleep(0.1)
            loop.call_soon_threadsafe(called.set)

        thread = threading.Thread(target=from_outside)
        thread.start()
        async with asyncio.timeout(5):
            await called.wait()
        thread.join()
        return loop.time()

    assert run(main()) == 1000.0


def test_a_job_without_progress_gives_the_clock_free_after_two_seconds(run: RunVirtual) -> None:
    go_on = threading.Event()

    async def main() -> float:
        loop = asyncio.get_running_loop()
        job = loop.run_in_executor(None, go_on.wait)
        await asyncio.sleep(5)
        go_on.set()
        await job
        return loop.time()

    assert run(main()) == 1005.0


def test_a_job_longer_than_two_seconds_is_no_deadlock(run: RunVirtual) -> None:
    async def main() -> float:
        await asyncio.to_thread(time.sleep, 2.2)
        return asyncio.get_running_loop().time()

    assert run(main()) == 1000.0


def test_an_endless_deadline_is_no_moment_to_jump_to(run: RunVirtual) -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.sleep(math.inf), 10)
        return asyncio.get_running_loop().time()

    assert run(main()) == 1010.0


def test_another_loop_name_is_refused(clock: VirtualClock) -> None:
    with pytest.raises(ValueError, match="loop must be 'maypole' or 'asyncio', got 'trio'"):
        clock.new_event_loop("trio")  # type: ignore[arg-type]
