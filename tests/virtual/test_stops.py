"""Rules 3, 4 and 5 of the virtual clock: waiting for nothing, turning without end, never coming back."""

from __future__ import annotations

import asyncio
import inspect
import re
import signal
import time
from collections.abc import AsyncIterator, Callable
from types import FrameType
from typing import Any

import pytest
from maypole.testing import Deadlock, Hang, Spin, VirtualClock, VirtualStop
from maypole.testing.clock import LoopName
from maypole.virtual import hang_watch
from maypole.virtual.hang_watch import HangWatch

RunVirtual = Callable[..., Any]


def line_of(function: Callable[..., object], text: str) -> int:
    """The line of this file at which `text` stands inside the function."""
    lines, first = inspect.getsourcelines(function)
    return first + next(number for number, line in enumerate(lines) if text in line)


async def wait_for_nobody() -> None:
    done = asyncio.Event()
    await done.wait()  # nobody sets it


async def ask_again_and_again() -> None:
    while True:
        await asyncio.sleep(0)  # asks


async def never_come_back() -> None:
    while True:
        pass


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch that gives code 0.4 s of CPU time: the same verdicts, sooner."""
    monkeypatch.setitem(HangWatch.__init__.__kwdefaults__, "cpu_s_max", 0.4)  # type: ignore[arg-type]


def test_stops_are_neither_exceptions_nor_cancellations() -> None:
    for stop in (Deadlock, Spin, Hang):
        assert issubclass(stop, VirtualStop)
        assert issubclass(stop, BaseException)
        assert not issubclass(stop, (Exception, asyncio.CancelledError))


def test_a_wait_that_nobody_ends_is_a_deadlock(run: RunVirtual) -> None:
    with pytest.raises(Deadlock) as caught:
        run(wait_for_nobody())
    (task,) = caught.value.tasks
    assert task.task.startswith("Task-")
    assert task.file.endswith("test_stops.py")
    assert task.line == line_of(wait_for_nobody, "# nobody sets it")
    assert task.function == "wait_for_nobody"
    assert task.awaits == "Event.wait"
    assert not task.ready
    message = str(caught.value)
    assert "nothing is left that could wake the program" in message
    assert f"{task.task!r} at {task.file}:{task.line} in wait_for_nobody: await done.wait()" in message


def test_a_deadlock_names_every_task_and_the_time(run: RunVirtual) -> None:
    async def taker(queue: asyncio.Queue[int]) -> None:
        await queue.get()

    async def main() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue()
        await asyncio.sleep(2.5)
        async with asyncio.TaskGroup() as group:
            for number in (2, 10, 1):
                group.create_task(taker(queue), name=f"taker-{number}")

    with pytest.raises(Deadlock) as caught:
        run(main())
    assert caught.value.virtual_time == 1002.5
    names = [task.task for task in caught.value.tasks if task.task.startswith("taker")]
    assert names == ["taker-1", "taker-2", "taker-10"]
    assert len(caught.value.tasks) == 4
    assert {task.awaits for task in caught.value.tasks if task.task.startswith("taker")} == {"Queue.get"}


def test_a_deadlock_names_the_task_that_another_one_awaits(run: RunVirtual) -> None:
    async def main() -> None:
        async def wait_for(other: asyncio.Task[None]) -> None:
            await other

        first = asyncio.create_task(wait_for_nobody(), name="first")
        await asyncio.create_task(wait_for(first), name="second")

    with pytest.raises(Deadlock) as caught:
        run(main())
    awaits = [task.awaits for task in caught.value.tasks]
    assert awaits == ["task 'second'", "Event.wait", "task 'first'"]


def test_the_line_is_found_through_an_async_generator(run: RunVirtual) -> None:
    async def numbers() -> AsyncIterator[int]:
        yield 1
        await asyncio.get_running_loop().create_future()  # never done

    async def main() -> None:
        async for _ in numbers():
            pass

    with pytest.raises(Deadlock) as caught:
        run(main())
    (task,) = caught.value.tasks
    assert task.function.endswith("numbers")
    assert task.source.endswith("# never done")


def test_except_exception_cannot_swallow_a_deadlock(run: RunVirtual) -> None:
    async def main() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except Exception:
            pytest.fail("a deadlock reached the program")

    with pytest.raises(Deadlock):
        run(main())


def test_a_long_list_of_tasks_is_cut_in_the_message_only(run: RunVirtual) -> None:
    async def main() -> None:
        await asyncio.gather(*(wait_for_nobody() for _ in range(100)))

    with pytest.raises(Deadlock) as caught:
        run(main())
    assert len(caught.value.tasks) == 101
    assert "and 93 more" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 10


def test_a_watched_descriptor_is_no_deadlock(run: RunVirtual) -> None:
    async def main() -> str:
        # The child needs real time to answer: nothing but its pipe can wake the loop.
        child = await asyncio.create_subprocess_exec("echo", "hello", stdout=asyncio.subprocess.PIPE)
        out, _ = await child.communicate()
        return out.decode()

    assert run(main()) == "hello\n"


def test_asking_without_waiting_is_a_spin(run: RunVirtual) -> None:
    with pytest.raises(Spin) as caught:
        run(ask_again_and_again())
    (task,) = caught.value.tasks
    assert task.ready
    assert task.line == line_of(ask_again_and_again, "# asks")
    assert "20,000 turns" in str(caught.value)
    assert f":{task.line} in ask_again_and_again" in str(caught.value)


def test_a_spin_names_the_task_that_spins_and_not_the_one_that_waits(run: RunVirtual) -> None:
    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(3600), name="patient")
            group.create_task(ask_again_and_again(), name="restless")

    with pytest.raises(Spin) as caught:
        run(main())
    assert "'restless'" in str(caught.value)
    assert "'patient'" not in str(caught.value)
    assert {task.task for task in caught.value.tasks} > {"restless", "patient"}


def test_a_callback_that_schedules_itself_is_a_spin(run: RunVirtual) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()

        def again() -> None:
            loop.call_soon(again)

        again()
        await asyncio.sleep(1)

    with pytest.raises(Spin, match="a callback schedules itself"):
        run(main())


def test_turns_that_move_the_clock_are_no_spin(run: RunVirtual) -> None:
    async def main() -> float:
        for _ in range(25_000):
            await asyncio.sleep(0.125)
        return asyncio.get_running_loop().time()

    assert run(main()) == 1000.0 + 25_000 / 8


@pytest.mark.parametrize("turns", [19_000])
def test_many_turns_at_one_moment_are_no_spin_yet(run: RunVirtual, turns: int) -> None:
    async def main() -> str:
        for _ in range(2):
            for _ in range(turns):
                await asyncio.sleep(0)
            await asyncio.sleep(1)
        return "done"

    assert run(main()) == "done"


def test_a_busy_loop_is_a_hang_at_its_line(run: RunVirtual) -> None:
    with pytest.raises(Hang) as caught:
        run(never_come_back())
    first = line_of(never_come_back, "while True")
    assert caught.value.line in (first, first + 1)
    assert caught.value.file.endswith("test_stops.py")
    # On a machine with more to do than time for it the limit on the wall clock comes first.
    spent = r"(2 s of CPU time|10 s) since the loop's last turn: task 'Task-"
    assert re.search(spent, str(caught.value))
    assert "in never_come_back" in str(caught.value)


@pytest.mark.usefixtures("impatient")
def test_waiting_for_a_frozen_clock_is_a_hang(clock: VirtualClock, loop_name: LoopName) -> None:
    async def main() -> None:
        end = time.time() + 1
        while time.time() < end:
            pass

    with (
        clock.time_module(),
        asyncio.Runner(loop_factory=lambda: clock.new_event_loop(loop_name)) as runner,
        pytest.raises(Hang, match=r"test_stops\.py"),
    ):
        runner.run(main())


@pytest.mark.usefixtures("impatient")
def test_a_hang_in_a_background_task_ends_the_run(run: RunVirtual) -> None:
    async def main() -> None:
        task = asyncio.create_task(never_come_back(), name="background")
        await asyncio.sleep(60)
        assert not task

    with pytest.raises(Hang, match="task 'background' is stuck"):
        run(main())


@pytest.mark.usefixtures("impatient")
@pytest.mark.leaks("logs")  # "Exception in callback": asyncio's record of it
def test_a_hang_in_a_callback_ends_the_run(run: RunVirtual) -> None:
    def stuck() -> None:
        while True:
            pass

    async def main() -> None:
        asyncio.get_running_loop().call_soon(stuck)
        await asyncio.sleep(60)

    with pytest.raises(Hang, match="a callback is stuck"):
        run(main())


def test_waiting_in_the_loop_itself_is_no_hang(loop_name: LoopName) -> None:
    loop = VirtualClock().new_event_loop(loop_name)
    turns: Any = lambda: loop._turns  # type: ignore[attr-defined]  # noqa: E731
    with HangWatch(loop, turns, wall_s_max=0.3):
        assert (
            loop.run_until_complete(asyncio.wait_for(loop.run_in_executor(None, time.sleep, 0.9), None))
            is None
        )
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def test_a_blocking_call_is_a_hang_by_wall_time(loop_name: LoopName) -> None:
    loop = VirtualClock().new_event_loop(loop_name)

    async def main() -> None:
        time.sleep(30)

    turns: Any = lambda: loop._turns  # type: ignore[attr-defined]  # noqa: E731

    async def watched() -> None:
        with HangWatch(loop, turns, wall_s_max=0.3):
            await main()

    with pytest.raises(Hang, match=r"0.3 s since the loop's last turn: task .* in .*main: time.sleep\(30\)"):
        loop.run_until_complete(watched())
    loop.close()


def test_the_watch_leaves_the_alarm_to_the_program(run: RunVirtual) -> None:
    rung: list[int] = []

    def alarm(signum: int, frame: FrameType | None) -> None:
        rung.append(signum)

    before = signal.signal(signal.SIGALRM, alarm)
    old_timer = signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        run(asyncio.to_thread(time.sleep, 0.6))
    finally:
        signal.signal(signal.SIGALRM, before)
        signal.setitimer(signal.ITIMER_REAL, *old_timer)
    assert rung == [signal.SIGALRM]


def test_the_watch_puts_its_signal_back(run: RunVirtual) -> None:
    def mine(signum: int, frame: FrameType | None) -> None:
        return

    before = signal.signal(hang_watch.SIGNAL, mine)
    try:
        run(asyncio.sleep(1))
        assert signal.getsignal(hang_watch.SIGNAL) is mine
    finally:
        signal.signal(hang_watch.SIGNAL, before)


def test_a_handler_that_the_program_installs_stays(run: RunVirtual) -> None:
    def mine(signum: int, frame: FrameType | None) -> None:
        return

    async def main() -> None:
        signal.signal(hang_watch.SIGNAL, mine)

    before = signal.getsignal(hang_watch.SIGNAL)
    try:
        run(main())
        assert signal.getsignal(hang_watch.SIGNAL) is mine
    finally:
        signal.signal(hang_watch.SIGNAL, before)


def test_the_run_can_go_on_after_a_deadlock(loop_name: LoopName) -> None:
    loop = VirtualClock().new_event_loop(loop_name)
    future = loop.create_future()
    with pytest.raises(Deadlock):
        loop.run_until_complete(future)
    loop.call_later(3, future.set_result, "late")
    assert loop.run_until_complete(future) == "late"
    assert loop.time() == 1003.0
    loop.close()
