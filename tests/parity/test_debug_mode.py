"""Debug mode: wrong thread, slow callbacks, where things were made."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from harness.children import RunScript
from harness.kinds import Loop, run_once
from harness.outcome import SameAsAsyncio, outcome_of


def test_debug_can_be_switched(loop: Loop) -> None:
    for value in (True, False, True):
        loop.set_debug(value)
        assert loop.get_debug() is value


@pytest.mark.parametrize(
    ("setting", "expected"),
    [({"PYTHONASYNCIODEBUG": "1"}, "True"), ({"PYTHONDEVMODE": "1"}, "True"), ({}, "False")],
)
def test_the_environment_switches_it_on(
    run_script: RunScript, setting: dict[str, str], expected: str
) -> None:
    unset = {"PYTHONASYNCIODEBUG": "", "PYTHONDEVMODE": ""}
    finished = run_script("loop = new_loop(); print(loop.get_debug()); loop.close()", **{**unset, **setting})
    assert finished.lines == [expected], finished


CALLS: dict[str, Callable[[Loop], Any]] = {
    "call_soon": lambda loop: loop.call_soon(print),
    "call_later": lambda loop: loop.call_later(1, print),
    "call_at": lambda loop: loop.call_at(1, print),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
@pytest.mark.parametrize("debug", [True, False])
def test_calls_from_a_wrong_thread_are_refused_as_in_asyncio(
    same_as_asyncio: SameAsAsyncio, call: Callable[[Loop], Any], debug: bool
) -> None:
    def scenario(loop: Loop) -> list[object]:
        loop.set_debug(debug)
        found: list[object] = []

        def elsewhere() -> None:
            outcome = outcome_of(lambda: call(loop).cancel())
            found.append((outcome.error, outcome.text))
            loop.call_soon_threadsafe(loop.stop)

        thread = threading.Thread(target=elsewhere)
        loop.call_soon(thread.start)
        loop.run_forever()
        thread.join()
        return found

    same_as_asyncio(scenario)


def slow_log(loop: Loop, caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the loop says about a run in which every callback is slow."""
    caplog.clear()
    loop.set_debug(True)
    loop.slow_callback_duration = 0.0
    with caplog.at_level(logging.WARNING, logger="asyncio"):
        run_once(loop)
    return [record.getMessage() for record in caplog.records if "Executing" in record.getMessage()]


def test_a_slow_callback_is_logged(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    loop.call_soon(sorted, range(1000))
    texts = slow_log(loop, caplog)
    assert any("Executing <Handle sorted(range(0, 1000))" in text and "seconds" in text for text in texts)


def test_a_slow_step_is_logged_with_its_task(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    async def slow() -> None:
        sorted(range(1000))

    task = loop.create_task(slow(), name="the slow one")
    texts = slow_log(loop, caplog)
    assert any("Executing <Task" in text and "the slow one" in text for text in texts), texts
    assert task.done()


def test_nothing_is_logged_below_the_limit(loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    loop.set_debug(True)
    assert loop.slow_callback_duration == 0.1
    loop.slow_callback_duration = 60
    loop.call_soon(sorted, range(10))
    run_once(loop)
    assert [record for record in caplog.records if "Executing" in record.getMessage()] == []


@pytest.mark.parametrize("make", ["handle", "timer", "future", "task"])
def test_everything_knows_where_it_was_made(loop: Loop, make: str) -> None:
    async def coroutine() -> None: ...

    loop.set_debug(True)
    makers: dict[str, Callable[[], Any]] = {
        "handle": lambda: loop.call_soon(print),
        "timer": lambda: loop.call_later(60, print),
        "future": loop.create_future,
        "task": lambda: loop.create_task(coroutine()),
    }
    made = makers[make]()
    assert any(frame.filename == __file__ for frame in made._source_traceback)
    where = "" if make == "future" else f"{__file__}:"  # a future names the loop's own line, as in asyncio
    assert f"created at {where}" in repr(made)
    made.cancel()
    run_once(loop)


def note_depth(depths: list[int]) -> None:
    depth: Callable[[], int] = sys.get_coroutine_origin_tracking_depth
    depths.append(depth())


def test_coroutine_origins_are_tracked_during_the_run_only(loop: Loop) -> None:
    depths: list[int] = []
    loop.set_debug(True)
    loop.call_soon(note_depth, depths)
    run_once(loop)
    note_depth(depths)
    assert depths == [asyncio.constants.DEBUG_STACK_DEPTH, 0]  # type: ignore[attr-defined]


def test_debug_switched_on_during_the_run_takes_effect(loop: Loop) -> None:
    depths: list[int] = []

    async def main() -> None:
        loop.set_debug(True)
        await asyncio.sleep(0)
        note_depth(depths)

    loop.run_until_complete(main())
    assert depths == [asyncio.constants.DEBUG_STACK_DEPTH]  # type: ignore[attr-defined]
