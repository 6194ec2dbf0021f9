"""``run_in_executor`` and the default executor."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any

import pytest
from harness.kinds import Loop, NewLoop
from harness.outcome import SameAsAsyncio


def finish(loop: Loop) -> None:
    """End the default executor's threads, as ``asyncio.Runner`` does."""
    loop.run_until_complete(loop.shutdown_default_executor())


@pytest.mark.debug
def test_a_function_runs_in_a_thread_of_the_default_executor(loop: Loop) -> None:
    name = loop.run_until_complete(loop.run_in_executor(None, lambda: threading.current_thread().name))
    assert name.startswith("asyncio_")
    finish(loop)


def test_exceptions_come_back(loop: Loop) -> None:
    def fail() -> None:
        raise LookupError("in the thread")

    with pytest.raises(LookupError, match="in the thread"):
        loop.run_until_complete(loop.run_in_executor(None, fail))
    finish(loop)


def test_many_jobs_all_come_back(loop: Loop) -> None:
    async def main() -> list[int]:
        return await asyncio.gather(*(loop.run_in_executor(None, pow, number, 2) for number in range(500)))

    assert loop.run_until_complete(main()) == [number**2 for number in range(500)]
    finish(loop)


def test_an_executor_that_is_given_is_used(loop: Loop) -> None:
    with ThreadPoolExecutor(1, thread_name_prefix="mine") as pool:
        name = loop.run_until_complete(loop.run_in_executor(pool, lambda: threading.current_thread().name))
        assert name.startswith("mine")
        loop.set_default_executor(pool)
        name = loop.run_until_complete(loop.run_in_executor(None, lambda: threading.current_thread().name))
        assert name.startswith("mine")


def test_to_thread_carries_the_context(loop: Loop) -> None:
    import contextvars

    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def main() -> str:
        variable.set("carried")
        return await asyncio.to_thread(variable.get)

    assert loop.run_until_complete(main()) == "carried"
    finish(loop)


def test_a_cancelled_wait_leaves_the_loop_alive(loop: Loop) -> None:
    release = threading.Event()

    async def main() -> str:
        job = loop.run_in_executor(None, release.wait)
        await asyncio.sleep(0)
        job.cancel()
        try:
            await job
        except asyncio.CancelledError:
            return "cancelled"
        finally:
            release.set()
        return "not cancelled"

    assert loop.run_until_complete(main()) == "cancelled"
    finish(loop)


def use_after_shutdown(loop: Loop) -> Any:
    finish(loop)
    return loop.run_in_executor(None, print)


def shut_down_twice(loop: Loop) -> Any:
    finish(loop)
    finish(loop)


async def coroutine() -> None:
    """Never runs."""


def coroutine_function(loop: Loop) -> None:
    result = loop.run_until_complete(loop.run_in_executor(None, coroutine))
    result.close()  # outside debug mode the call is allowed, and gives the coroutine back


def executor_of_processes(loop: Loop) -> None:
    # From Python 3.14 on the default start method starts processes that outlive the test.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        loop.set_default_executor(pool)


CALLS: dict[str, Callable[[Loop], Any]] = {
    "after shutdown": use_after_shutdown,
    "shut down twice": shut_down_twice,
    "executor of a wrong type": lambda loop: loop.set_default_executor(3),  # type: ignore[arg-type]
    "executor of processes": executor_of_processes,
    "coroutine function": coroutine_function,
    "no callable": lambda loop: loop.run_until_complete(loop.run_in_executor(None, 3)),  # type: ignore[arg-type]
}


@pytest.mark.debug
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_wrong_calls_fail_as_in_asyncio(same_as_asyncio: SameAsAsyncio, call: Callable[[Loop], Any]) -> None:
    def scenario(loop: Loop) -> None:
        try:
            call(loop)
        finally:
            finish(loop)

    same_as_asyncio(scenario)


def test_close_while_a_job_runs_does_not_wait_for_it(new_loop: NewLoop) -> None:
    loop = new_loop()
    release, started = threading.Event(), threading.Event()

    def job() -> None:
        started.set()
        release.wait()

    loop.run_in_executor(None, job)
    started.wait()
    loop.close()
    assert loop.is_closed()
    release.set()
