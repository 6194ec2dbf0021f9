"""``call_soon_threadsafe`` from other threads: it always wakes the loop, and loses nothing."""

from __future__ import annotations

import asyncio
import signal
import threading

import pytest
from harness.kinds import Loop, NewLoop, run_once


@pytest.mark.debug
def test_a_call_from_another_thread_wakes_a_loop_that_waits(loop: Loop) -> None:
    waiting = threading.Event()
    thread = threading.Thread(target=lambda: waiting.wait() and loop.call_soon_threadsafe(loop.stop))
    thread.start()
    loop.call_soon(waiting.set)
    loop.run_forever()
    thread.join()


def test_a_call_before_the_run_is_not_lost(loop: Loop) -> None:
    seen: list[str] = []
    thread = threading.Thread(target=loop.call_soon_threadsafe, args=(seen.append, "early"))
    thread.start()
    thread.join()
    run_once(loop)
    assert seen == ["early"]


def test_calls_of_one_thread_keep_their_order_and_none_is_lost(loop: Loop) -> None:
    threads_count, calls_count = 4, 2000
    seen: list[list[int]] = [[] for _ in range(threads_count)]
    ended = [0]

    def end() -> None:
        ended[0] += 1
        if ended[0] == threads_count:
            loop.stop()

    def call(number: int) -> None:
        for index in range(calls_count):
            loop.call_soon_threadsafe(seen[number].append, index)
        loop.call_soon_threadsafe(end)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(threads_count)]
    for thread in threads:
        thread.start()
    loop.run_forever()
    for thread in threads:
        thread.join()
    assert seen == [list(range(calls_count))] * threads_count


def test_a_call_from_the_loops_own_thread_is_in_order_with_call_soon(loop: Loop) -> None:
    seen: list[int] = []
    loop.call_soon(seen.append, 1)
    loop.call_soon_threadsafe(seen.append, 2)
    loop.call_soon(seen.append, 3)
    run_once(loop)
    assert seen == [1, 2, 3]


def test_a_threadsafe_handle_can_be_cancelled(loop: Loop) -> None:
    seen: list[str] = []
    handle = loop.call_soon_threadsafe(seen.append, "cancelled")
    assert isinstance(handle, asyncio.Handle)
    handle.cancel()
    run_once(loop)
    assert seen == []


def test_a_call_from_a_signal_handler_wakes_the_loop(loop: Loop) -> None:
    if type(loop).__module__.startswith("asyncio"):
        pytest.skip("asyncio sets no wake-up descriptor: it may miss a signal just before its wait")

    def handler(number: int, frame: object) -> None:
        loop.call_soon_threadsafe(loop.stop)

    waiting = threading.Event()

    main = threading.get_ident()

    def interrupt() -> None:
        waiting.wait()
        signal.pthread_kill(main, signal.SIGUSR1)

    previous = signal.signal(signal.SIGUSR1, handler)
    thread = threading.Thread(target=interrupt)
    try:
        thread.start()
        loop.call_soon(waiting.set)
        loop.run_forever()
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, previous)


def test_run_coroutine_threadsafe_gives_its_result_to_another_thread(new_loop: NewLoop) -> None:
    loop = new_loop()

    async def double(number: int) -> int:
        await asyncio.sleep(0)
        return 2 * number

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        futures = [asyncio.run_coroutine_threadsafe(double(number), loop) for number in range(50)]
        assert [future.result(10) for future in futures] == [2 * number for number in range(50)]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def test_a_loop_that_closes_under_its_callers_refuses_and_does_not_crash(new_loop: NewLoop) -> None:
    loop = new_loop()
    refused: list[str] = []
    started = threading.Event()

    def call() -> None:
        try:
            while True:
                loop.call_soon_threadsafe(int)
                started.set()
        except RuntimeError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=call) for _ in range(3)]
    for thread in threads:
        thread.start()
    started.wait()
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    for thread in threads:
        thread.join()
    assert refused == ["Event loop is closed"] * 3
