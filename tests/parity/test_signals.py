"""Signal handlers of the loop, and Ctrl-C whatever the loop is doing."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest
from harness.children import RunScript
from harness.kinds import Loop, NewLoop, run_once
from harness.outcome import SameAsAsyncio


@pytest.mark.debug
def test_a_signal_handler_runs_in_the_loop(loop: Loop) -> None:
    seen: list[tuple[object, ...]] = []

    def handler(*given: object) -> None:
        seen.append((*given, asyncio.get_running_loop() is loop))
        loop.stop()

    loop.add_signal_handler(signal.SIGUSR1, handler, 1, "two")
    loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
    loop.run_forever()
    assert seen == [(1, "two", True)]
    assert loop.remove_signal_handler(signal.SIGUSR1) is True
    assert loop.remove_signal_handler(signal.SIGUSR1) is False


def append_and_stop(seen: list[str], what: str, loop: Loop) -> None:
    """A handler that notes that it was called, and ends the run."""
    seen.append(what)
    loop.stop()


def test_a_second_handler_replaces_the_first(loop: Loop) -> None:
    seen: list[str] = []
    loop.add_signal_handler(signal.SIGUSR1, seen.append, "first")
    loop.add_signal_handler(signal.SIGUSR1, append_and_stop, seen, "second", loop)
    loop.call_soon(os.kill, os.getpid(), signal.SIGUSR1)
    loop.run_forever()
    assert seen == ["second"]


def test_many_signals_each_run_their_handler(loop: Loop) -> None:
    seen: set[int] = set()
    numbers = {signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGWINCH}

    def note(number: int) -> None:
        seen.add(number)
        if seen == numbers:
            loop.stop()

    for number in numbers:
        loop.add_signal_handler(number, note, number)
        loop.call_soon(os.kill, os.getpid(), number)
    loop.run_forever()
    assert seen == numbers


def test_a_signal_before_the_run_is_handled_in_it(loop: Loop) -> None:
    seen: list[str] = []
    loop.add_signal_handler(signal.SIGUSR1, append_and_stop, seen, "handled", loop)
    os.kill(os.getpid(), signal.SIGUSR1)
    loop.run_forever()
    assert seen == ["handled"]


def test_close_restores_the_default_handling(loop: Loop) -> None:
    loop.add_signal_handler(signal.SIGINT, print)
    loop.add_signal_handler(signal.SIGUSR1, print)
    loop.close()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL
    assert signal.set_wakeup_fd(-1) == -1


def test_the_wakeup_descriptor_of_the_program_is_given_back(loop: Loop) -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    previous = signal.set_wakeup_fd(write_end)
    try:
        run_once(loop)
        assert signal.set_wakeup_fd(previous) == write_end
    finally:
        os.close(read_end)
        os.close(write_end)


def test_a_plain_signal_handler_runs_while_the_loop_waits(loop: Loop) -> None:
    seen: list[int] = []
    waiting = threading.Event()
    previous = signal.signal(signal.SIGUSR1, lambda number, frame: seen.append(number))
    main = threading.get_ident()

    def send() -> None:
        waiting.wait()
        signal.pthread_kill(main, signal.SIGUSR1)
        loop.call_soon_threadsafe(loop.call_later, 0.01, loop.stop)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        loop.call_soon(waiting.set)
        loop.run_forever()
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, previous)
    assert seen == [signal.SIGUSR1]


def in_a_thread(scenario: Callable[[Loop], Any]) -> Callable[[Loop], Any]:
    """The same scenario in a thread that is not the main one."""

    def elsewhere(loop: Loop) -> Any:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(scenario, loop).result()

    return elsewhere


async def coroutine() -> None:
    """Never runs."""


BAD_CALLS: dict[str, Callable[[Loop], Any]] = {
    "no signal": lambda loop: loop.add_signal_handler(0, print),
    "too large": lambda loop: loop.add_signal_handler(signal.NSIG + 1, print),
    "text": lambda loop: loop.add_signal_handler("SIGINT", print),  # type: ignore[arg-type]
    "cannot be caught": lambda loop: loop.add_signal_handler(signal.SIGKILL, print),
    "coroutine function": lambda loop: loop.add_signal_handler(signal.SIGUSR1, coroutine),
    "no callback": lambda loop: loop.add_signal_handler(signal.SIGUSR1, None),  # type: ignore[arg-type]
    "remove no signal": lambda loop: loop.remove_signal_handler(0),
    "remove text": lambda loop: loop.remove_signal_handler("x"),  # type: ignore[arg-type]
    "in a thread": in_a_thread(lambda loop: loop.add_signal_handler(signal.SIGUSR1, print)),
}


@pytest.mark.parametrize("call", BAD_CALLS.values(), ids=BAD_CALLS.keys())
def test_bad_calls_fail_as_in_asyncio(same_as_asyncio: SameAsAsyncio, call: Callable[[Loop], Any]) -> None:
    same_as_asyncio(call)


CTRL_C = {
    "while it waits": """
        loop.call_soon(ready)
        loop.call_later(20, print, "too late")
    """,
    "while it waits without a timer": """
        loop.call_soon(ready)
    """,
    "while it is busy": """
        def again():
            loop.call_soon(again)
        loop.call_soon(ready)
        loop.call_soon(again)
    """,
    "inside a callback": """
        def forever():
            ready()
            while True:
                pass
        loop.call_soon(forever)
    """,
    "inside a sleeping callback": """
        import time
        def block():
            ready()
            time.sleep(20)
        loop.call_soon(block)
    """,
    "inside a task": """
        async def main():
            ready()
            while True:
                await asyncio.sleep(0)
        task = loop.create_task(main())
    """,
}


@pytest.mark.parametrize("setup", CTRL_C.values(), ids=CTRL_C.keys())
def test_ctrl_c_ends_the_run_and_the_loop_runs_again(run_script: RunScript, setup: str) -> None:
    import textwrap

    script = (
        "loop = new_loop()\n"
        + textwrap.dedent(setup)
        + textwrap.dedent("""
        try:
            loop.run_forever()
        except KeyboardInterrupt:
            print("interrupted", loop.is_running(), loop.is_closed())
        loop.call_soon(loop.stop)
        loop.run_forever()
        print("ran again")
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.call_soon(loop.stop)
        loop.run_forever()
        loop.close()
        """)
    )
    finished = run_script(script, send=signal.SIGINT)
    assert finished.lines == ["interrupted False False", "ran again"], finished
    assert finished.exit_code == 0


def test_ctrl_c_cancels_the_main_task_of_a_runner(run_script: RunScript) -> None:
    finished = run_script(
        """
        async def main():
            try:
                ready()
                await asyncio.sleep(20)
            except asyncio.CancelledError:
                print("cancelled")
                raise
            finally:
                print("cleaned up")

        with asyncio.Runner(loop_factory=new_loop) as runner:
            try:
                runner.run(main())
            except KeyboardInterrupt:
                print("interrupted")
        """,
        send=signal.SIGINT,
    )
    assert finished.lines == ["cancelled", "cleaned up", "interrupted"], finished
    assert finished.exit_code == 0


def test_an_uncaught_ctrl_c_kills_the_process_by_the_signal(run_script: RunScript) -> None:
    finished = run_script(
        """
        loop = new_loop()
        loop.call_soon(ready)
        loop.run_forever()
        """,
        send=signal.SIGINT,
    )
    assert finished.exit_code == -signal.SIGINT, finished
    assert finished.err.strip().endswith("KeyboardInterrupt")


def test_sigterm_runs_the_handler_of_a_loop_that_waits(run_script: RunScript) -> None:
    finished = run_script(
        """
        loop = new_loop()
        loop.add_signal_handler(signal.SIGTERM, loop.stop)
        loop.call_soon(ready)
        loop.run_forever()
        loop.close()
        print("stopped")
        """,
        send=signal.SIGTERM,
    )
    assert (finished.lines, finished.exit_code) == (["stopped"], 0), finished


def test_a_forked_child_has_a_loop_of_its_own(run_script: RunScript) -> None:
    finished = run_script(
        """
        import warnings
        warnings.simplefilter("ignore", DeprecationWarning)

        async def main():
            await asyncio.sleep(0)
            pid = os.fork()
            if pid == 0:
                asyncio._set_running_loop(None)
                code = 1
                try:
                    loop = new_loop()
                    code = loop.run_until_complete(asyncio.sleep(0.001, 42))
                    loop.close()
                finally:
                    os._exit(code)
            _, status = os.waitpid(pid, 0)
            print("child", os.waitstatus_to_exitcode(status))
            await asyncio.sleep(0.001)
            print("parent goes on")

        loop = new_loop()
        loop.run_until_complete(main())
        loop.close()
        """
    )
    assert finished.lines == ["child 42", "parent goes on"], finished


def test_interrupting_at_any_point_loses_no_callback(new_loop: NewLoop) -> None:
    """Every callback has run or is still queued, wherever the interrupt comes."""
    loop = new_loop()
    count = 3000
    seen: list[int] = []
    for number in range(count):
        loop.call_soon(seen.append, number)
    loop.call_soon(loop.stop)
    interrupts = 0
    timer = threading.Timer  # keeps the name near its use
    main = threading.get_ident()
    for _ in range(20):
        killer = timer(0.0002, signal.pthread_kill, (main, signal.SIGINT))
        try:
            killer.start()
            loop.run_forever()
            killer.join()
        except KeyboardInterrupt:
            interrupts += 1
        try:
            killer.join()
        except KeyboardInterrupt:
            interrupts += 1
        if len(seen) >= count:
            break
    while len(seen) < count:
        run_once(loop)
    assert sorted(set(seen)) == list(range(count))
