"""``run_forever``, ``run_until_complete``, ``stop``, ``close``: states of a loop, and the errors between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from harness.kinds import Loop, NewLoop, run_once
from harness.outcome import SameAsAsyncio


async def value(result: int = 1) -> int:
    """A coroutine that gives a value after one turn."""
    await asyncio.sleep(0)
    return result


def test_a_loop_runs_again_after_it_was_stopped(loop: Loop) -> None:
    assert not loop.is_running()
    for result in (1, 2, 3):
        assert loop.run_until_complete(value(result)) == result
    run_once(loop)
    assert not loop.is_running()
    assert not loop.is_closed()


def test_stop_before_run_forever_runs_one_turn(loop: Loop) -> None:
    seen: list[str] = []
    loop.call_soon(seen.append, "first turn")
    loop.call_soon(lambda: loop.call_soon(seen.append, "second turn"))
    loop.stop()
    loop.run_forever()
    assert seen == ["first turn"]
    run_once(loop)
    assert seen == ["first turn", "second turn"]


def test_stop_lets_the_rest_of_the_turn_run(loop: Loop) -> None:
    seen: list[str] = []
    loop.call_soon(loop.stop)
    loop.call_soon(seen.append, "same turn")
    loop.run_forever()
    assert seen == ["same turn"]


def test_is_running_says_so_inside_only(loop: Loop) -> None:
    seen: list[bool] = []
    loop.call_soon(lambda: seen.append(loop.is_running()))
    run_once(loop)
    assert seen == [True]
    assert not loop.is_running()


def test_close_may_be_called_twice(loop: Loop) -> None:
    loop.close()
    loop.close()
    assert loop.is_closed()


def test_run_until_complete_raises_what_the_coroutine_raises(loop: Loop) -> None:
    async def fail() -> None:
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        loop.run_until_complete(fail())
    assert loop.run_until_complete(value()) == 1


def test_a_thread_of_its_own_runs_a_loop_of_its_own(new_loop: NewLoop) -> None:
    import threading

    loops = [new_loop() for _ in range(4)]
    results: list[int] = []
    threads = [
        threading.Thread(target=lambda loop=loop: results.append(loop.run_until_complete(value())))
        for loop in loops
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [1, 1, 1, 1]


def unawaited(coroutine: Coroutine[Any, Any, Any], use: Callable[[Any], Any]) -> Any:
    """Use a coroutine that the loop may refuse; then it is closed, so that nobody misses it."""
    try:
        return use(coroutine)
    finally:
        coroutine.close()


def while_running(scenario: Callable[[Loop], Any]) -> Callable[[Loop], Any]:
    """The same scenario, from inside the running loop."""

    def running(loop: Loop) -> Any:
        async def main() -> Any:
            return scenario(loop)

        return loop.run_until_complete(main())

    return running


def when_closed(scenario: Callable[[Loop], Any]) -> Callable[[Loop], Any]:
    """The same scenario, on the closed loop."""

    def closed(loop: Loop) -> Any:
        loop.close()
        return scenario(loop)

    return closed


def another_loop_inside(loop: Loop) -> Any:
    other = type(loop)()
    try:
        return unawaited(value(), other.run_until_complete)
    finally:
        other.close()


def stop_before_the_future_is_done(loop: Loop) -> Any:
    loop.call_soon(loop.stop)
    return loop.run_until_complete(loop.create_future())


def future_of_another_loop(loop: Loop) -> Any:
    other = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(other.create_future())
    finally:
        other.close()


ERRORS: dict[str, Callable[[Loop], Any]] = {
    "run a running loop": while_running(lambda loop: loop.run_forever()),
    "complete on a running loop": while_running(lambda loop: unawaited(value(), loop.run_until_complete)),
    "another loop inside": while_running(another_loop_inside),
    "close a running loop": while_running(lambda loop: loop.close()),
    "run a closed loop": when_closed(lambda loop: loop.run_forever()),
    "complete on a closed loop": when_closed(lambda loop: unawaited(value(), loop.run_until_complete)),
    "call_soon when closed": when_closed(lambda loop: loop.call_soon(print)),
    "call_later when closed": when_closed(lambda loop: loop.call_later(1, print)),
    "call_at when closed": when_closed(lambda loop: loop.call_at(1, print)),
    "threadsafe when closed": when_closed(lambda loop: loop.call_soon_threadsafe(print)),
    "create_task when closed": when_closed(lambda loop: unawaited(value(), loop.create_task)),
    "executor when closed": when_closed(lambda loop: loop.run_in_executor(None, print)),
    "add_reader when closed": when_closed(lambda loop: loop.add_reader(0, print)),
    "remove_reader when closed": when_closed(lambda loop: loop.remove_reader(0)),
    "remove_writer when closed": when_closed(lambda loop: loop.remove_writer(0)),
    "signal handler when closed": when_closed(lambda loop: loop.add_signal_handler(10, print)),
    "stop when closed": when_closed(lambda loop: loop.stop()),
    "time when closed": when_closed(lambda loop: loop.time() > 0),
    "get_debug when closed": when_closed(lambda loop: loop.get_debug()),
    "create_future when closed": when_closed(lambda loop: loop.create_future().done()),
    "stopped before done": stop_before_the_future_is_done,
    "no awaitable": lambda loop: loop.run_until_complete(3),  # type: ignore[arg-type]
    "a function": lambda loop: loop.run_until_complete(value),  # type: ignore[arg-type]
    "another loop's future": future_of_another_loop,
    "task of no coroutine": lambda loop: loop.create_task(3),  # type: ignore[arg-type]
}


@pytest.mark.debug
@pytest.mark.parametrize("scenario", ERRORS.values(), ids=ERRORS.keys())
def test_wrong_states_and_arguments_fail_as_in_asyncio(
    same_as_asyncio: SameAsAsyncio, scenario: Callable[[Loop], Any]
) -> None:
    same_as_asyncio(scenario)


@pytest.mark.debug
def test_the_repr_of_a_loop_says_its_state(same_as_asyncio: SameAsAsyncio) -> None:
    from harness.outcome import plain

    def scenario(loop: Loop) -> list[str]:
        async def inside() -> str:
            return repr(loop)

        texts = [repr(loop), loop.run_until_complete(inside())]
        loop.close()
        return [plain(text).partition(" ")[2] for text in (*texts, repr(loop))]

    same_as_asyncio(scenario)
