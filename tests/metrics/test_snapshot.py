"""What a loop counts is what its program did."""

from __future__ import annotations

import asyncio
import dataclasses
import subprocess
import sys
import threading
import time
from typing import Any

import maypole
import pytest
from maypole.metrics import Snapshot, TooFewSamples, metrics


def during(main: Any) -> Snapshot:
    """Run a coroutine function; return the metrics of the interval."""

    async def measured() -> Snapshot:
        before = maypole.metrics()
        await main()
        return maypole.metrics().since(before)

    return maypole.run(measured())


def test_steps_and_callbacks_are_counted() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        for _ in range(5):
            loop.call_soon(int)
        for _ in range(3):
            await asyncio.sleep(0)

    found = during(main)
    assert found.callbacks == 5
    assert found.steps == 3
    assert found.items == 8


def test_tasks_are_counted_by_their_end() -> None:
    async def fails() -> None:
        raise ValueError

    async def main() -> None:
        tasks = [asyncio.create_task(asyncio.sleep(0)) for _ in range(4)]
        tasks += [asyncio.create_task(fails()) for _ in range(3)]
        cancelled = [asyncio.create_task(asyncio.sleep(3600)) for _ in range(2)]
        await asyncio.sleep(0)
        for task in cancelled:
            task.cancel()
        await asyncio.gather(*tasks, *cancelled, return_exceptions=True)

    found = during(main)
    assert dataclasses.asdict(found.tasks) == {
        "created": 9,
        "returned": 4,
        "raised": 3,
        "cancelled": 2,
        "destroyed": 0,
    }
    assert found.tasks.done == 9
    assert found.tasks_alive == 1


def test_what_is_there_now_is_read() -> None:
    async def main() -> Snapshot:
        loop = asyncio.get_running_loop()
        handles = [loop.call_later(3600, int) for _ in range(7)]
        gone = loop.call_later(3600, int)
        gone.cancel()
        loop.call_soon(int)
        loop.call_soon(int)
        found = maypole.metrics()
        for handle in handles:
            handle.cancel()
        return found

    found = maypole.run(main())
    assert (found.ready, found.timers) == (2, 7)


def test_busy_time_is_work_and_not_waiting() -> None:
    async def works() -> None:
        end = time.thread_time() + 0.05
        while time.thread_time() < end:
            pass
        await asyncio.sleep(0)

    async def waits() -> None:
        await asyncio.sleep(0.05)

    working, waiting = during(works), during(waits)
    assert working.busy_s >= 0.05
    assert working.utilisation > waiting.utilisation
    assert waiting.polling_s >= 0.04
    for found in (working, waiting):
        assert 0.0 <= found.utilisation <= 1.0
        assert found.busy_s + found.polling_s <= found.wall_s * 1.01


def test_the_turn_under_way_counts_as_busy() -> None:
    async def main() -> None:
        time.sleep(0.02)

    assert during(main).busy_s >= 0.02


def test_every_turn_is_in_the_histograms() -> None:
    async def main() -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    found = during(main)
    assert found.turns == 50
    assert found.turn_duration.count == 50
    assert found.ready_depth.count == 50
    assert found.ready_depth.sum == found.items == 50
    assert found.poll_time.count == found.polls


def test_one_item_in_64_is_timed_in_the_queue() -> None:
    async def main() -> None:
        for _ in range(640):
            await asyncio.sleep(0)

    found = during(main)
    assert found.sampling == 64
    assert 9 <= found.queue_wait.count <= 11
    with pytest.raises(TooFewSamples):
        found.queue_wait.quantile(0.99)


def test_timers_are_late_by_what_they_are_late() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        fired = loop.create_future()
        loop.call_later(0.001, fired.set_result, None)
        time.sleep(0.03)
        await fired

    found = during(main)
    assert found.timer_lateness.count == 1
    assert 0.029 <= found.timer_lateness.mean < 5


def test_connections_and_their_bytes() -> None:
    async def main() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(1000))
            await writer.drain()
            writer.close()
            await writer.wait_closed()

        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            opened = maypole.metrics()
            assert opened.connections >= 1
            writer.write(b"x" * 1000)
            assert await reader.read() == b"x" * 1000
            writer.close()
            await writer.wait_closed()
        await asyncio.sleep(0.01)

    found = during(main)
    assert (found.transports.opened, found.transports.closed, found.connections) == (2, 2, 0)
    assert (found.transports.bytes_read, found.transports.bytes_written) == (2000, 2000)


async def heavy() -> None:
    for _ in range(3000):
        sum(range(400))
        await asyncio.sleep(0)


async def light() -> None:
    for _ in range(3000):
        await asyncio.sleep(0)


def test_functions_are_told_apart_the_busiest_first() -> None:
    async def main() -> None:
        await asyncio.gather(heavy(), light(), light())

    found = during(main)
    by_name = {one.function: one for one in found.functions}
    assert found.functions[0].function == "heavy"
    assert by_name["heavy"].file == __file__
    assert by_name["heavy"].line == heavy.__code__.co_firstlineno
    assert by_name["heavy"].mean_busy_s > by_name["light"].mean_busy_s
    steps = sum(one.sampled for one in found.functions) * found.sampling
    assert 0.5 < steps / found.steps < 1.5
    assert all(one.mean_queue_wait_s > 0 for one in found.functions)


def test_a_snapshot_is_frozen_and_sees_no_later_change() -> None:
    async def main() -> tuple[int, int]:
        found = maypole.metrics()
        before = found.steps
        with pytest.raises(dataclasses.FrozenInstanceError):
            found.steps = 0  # type: ignore[misc]
        await asyncio.sleep(0)
        return before, found.steps

    before, after = maypole.run(main())
    assert before == after


def test_since_refuses_other_loops_and_the_wrong_order() -> None:
    async def main() -> tuple[Snapshot, Snapshot]:
        first = maypole.metrics()
        await asyncio.sleep(0)
        return first, maypole.metrics()

    first, second = maypole.run(main())
    other, _ = maypole.run(main())
    with pytest.raises(ValueError, match="of two loops"):
        other.since(first)
    with pytest.raises(ValueError, match="was taken later"):
        first.since(second)
    assert second.since(first).steps == 1
    assert second.since(second).items == 0


def test_loops_count_each_for_itself() -> None:
    first, second = maypole.new_event_loop(), maypole.new_event_loop()
    try:
        first.run_until_complete(asyncio.sleep(0))
        assert maypole.metrics(first).tasks.created == 1
        assert maypole.metrics(second).tasks.created == 0
    finally:
        first.close()
        second.close()


def test_another_thread_reads_a_loop_that_is_stuck() -> None:
    found: list[Snapshot] = []
    free = threading.Event()

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def look() -> None:
            found.append(maypole.metrics(loop))
            free.set()

        thread = threading.Thread(target=look)
        thread.start()
        assert free.wait(10)
        thread.join()

    maypole.run(main())
    assert found[0].tasks_alive == 1


def test_without_a_loop_there_is_one_sentence() -> None:
    with pytest.raises(
        RuntimeError, match=r"^no loop runs in this thread: name one, as in maypole\.metrics\(loop\)$"
    ):
        maypole.metrics()
    loop = maypole.new_event_loop()
    loop.close()
    with pytest.raises(RuntimeError, match=r"^Event loop is closed: take its metrics before that$"):
        maypole.metrics(loop)


def test_another_kind_of_loop_is_refused() -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match=r"only a loop of maypole has metrics, not _UnixSel"):
            maypole.metrics()

    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
        runner.run(main())
    with pytest.raises(TypeError, match="not str"):
        maypole.metrics("loop")  # type: ignore[arg-type]


def test_the_package_can_be_called_whatever_was_imported_before() -> None:
    program = (
        "import maypole.metrics.histogram, maypole, asyncio\n"
        "from maypole.metrics.snapshot import metrics\n"
        "async def main():\n"
        "    return maypole.metrics().tasks.created, metrics().tasks.created\n"
        "print(maypole.run(main()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "(1, 1)\n"


def test_importing_maypole_imports_none_of_it() -> None:
    program = (
        "import maypole, sys\n"
        "print([name for name in sys.modules if name.startswith(('maypole.metrics', 'maypole.trace'))])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_function_and_the_package_are_one() -> None:
    async def main() -> tuple[type[Any], type[Any]]:
        return type(maypole.metrics()), type(metrics())

    assert maypole.run(main()) == (Snapshot, Snapshot)
