"""``call_later`` and ``call_at``: order, deadlines, cancellation, bad delays."""

from __future__ import annotations

import asyncio
import contextvars
import random
from asyncio import futures
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from harness.kinds import Loop, run_once
from harness.outcome import SameAsAsyncio

TICK_S = 0.002


def run_until_timer(loop: Loop, delay_s: float = 3 * TICK_S) -> None:
    """Run until a timer of this delay has fired."""
    loop.call_later(delay_s, loop.stop)
    loop.run_forever()


@pytest.mark.debug
def test_timers_run_in_the_order_of_their_deadlines(loop: Loop) -> None:
    start = loop.time()
    order = list(range(200))
    random.Random(1).shuffle(order)
    seen: list[int] = []
    for position in order:
        loop.call_at(start + position * 1e-5, seen.append, position)
    loop.call_at(start + 201e-5, loop.stop)
    loop.run_forever()
    assert seen == sorted(order)


def test_negative_delays_keep_the_order_of_their_deadlines(loop: Loop) -> None:
    seen: list[float] = []
    for delay in (-1.0, -3.0, -2.0):
        loop.call_later(delay, seen.append, delay)
    run_until_timer(loop)
    assert seen == [-3.0, -2.0, -1.0]


def test_what_is_ready_runs_before_timers_that_are_due(loop: Loop) -> None:
    seen: list[str] = []
    loop.call_later(-1, seen.append, "timer")
    loop.call_soon(seen.append, "ready")
    run_until_timer(loop)
    assert seen == ["ready", "timer"]


def test_a_timer_never_fires_before_its_deadline(loop: Loop) -> None:
    early: list[float] = []
    resolution = 1e-9 + getattr(loop, "_clock_resolution", 0.0)

    def check(when: float) -> None:
        if loop.time() + resolution < when:
            early.append(when - loop.time())

    start = loop.time()
    for number in range(300):
        when = start + number * 1.7e-5
        loop.call_at(when, check, when)
    loop.call_at(start + 301 * 1.7e-5, loop.stop)
    loop.run_forever()
    assert early == []


def test_call_later_is_call_at_from_now(loop: Loop) -> None:
    before = loop.time()
    handle = loop.call_later(5, print)
    after = loop.time()
    assert before + 5 <= handle.when() <= after + 5
    assert loop.call_at(before + 7.25, print).when() == before + 7.25


def test_a_cancelled_timer_never_fires(loop: Loop) -> None:
    seen: list[str] = []
    loop.call_later(TICK_S, seen.append, "cancelled").cancel()
    loop.call_later(TICK_S, seen.append, "kept")
    run_until_timer(loop)
    assert seen == ["kept"]


def test_a_timer_that_is_due_can_still_be_cancelled_by_an_earlier_one(loop: Loop) -> None:
    seen: list[str] = []
    handles: list[asyncio.TimerHandle] = []
    loop.call_later(-2, lambda: handles[0].cancel())
    handles.append(loop.call_later(-1, seen.append, "cancelled"))
    run_until_timer(loop)
    assert seen == []


def test_ten_thousand_cancelled_timers_leave_the_others_alone(loop: Loop) -> None:
    seen: list[str] = []
    loop.call_later(TICK_S, seen.append, "first")
    doomed = [loop.call_later(60 + number, seen.append, "never") for number in range(10_000)]
    loop.call_later(2 * TICK_S, seen.append, "second")
    for handle in doomed:
        handle.cancel()
    run_until_timer(loop)
    assert seen == ["first", "second"]


def test_a_timer_may_set_itself_again(loop: Loop) -> None:
    left = [5]

    def again() -> None:
        left[0] -= 1
        if left[0]:
            loop.call_later(0, again)
        else:
            loop.stop()

    loop.call_later(0, again)
    loop.run_forever()
    assert left == [0]


def test_a_zero_delay_does_not_overtake_what_is_ready(loop: Loop) -> None:
    seen: list[str] = []
    loop.call_later(0, seen.append, "timer")
    loop.call_soon(seen.append, "soon")
    run_until_timer(loop)
    assert seen == ["soon", "timer"]


def test_a_timer_has_the_context_of_the_call(loop: Loop) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen: list[str] = []
    token = variable.set("at the call")
    loop.call_later(0, lambda: seen.append(variable.get()))
    variable.reset(token)
    given = contextvars.Context()
    given.run(variable.set, "given")
    loop.call_later(0, lambda: seen.append(variable.get()), context=given)
    run_until_timer(loop)
    assert sorted(seen) == ["at the call", "given"]


def test_a_subclass_that_moves_time_moves_the_timers(loop: Loop) -> None:
    class Fake(type(loop)):  # type: ignore[misc]
        now = 1000.0

        def time(self) -> float:
            return self.now

    fake = Fake()
    try:
        seen: list[str] = []
        handle = fake.call_later(3600, seen.append, "an hour later")
        assert handle.when() == 4600.0
        run_once(fake)
        assert seen == []
        fake.now += 3600
        run_once(fake)
        run_once(fake)
        assert seen == ["an hour later"]
    finally:
        fake.close()


def fires(delay: Any) -> Callable[[Loop], Any]:
    """A scenario: the timer is made with this delay and fires soon, or the call fails."""

    def scenario(loop: Loop) -> list[str]:
        seen: list[str] = []
        loop.call_later(delay, seen.append, "fired")
        run_until_timer(loop)
        return seen

    return scenario


def waits(delay: Any) -> Callable[[Loop], Any]:
    """A scenario: the timer is made with this delay and does not fire soon, or the call fails."""

    def scenario(loop: Loop) -> list[str]:
        seen: list[str] = []
        handle = loop.call_later(delay, seen.append, "fired")
        loop.call_soon(loop.stop)
        loop.run_forever()
        handle.cancel()
        return seen

    return scenario


DELAYS: dict[str, Callable[[Loop], Any]] = {
    "none": fires(None),
    "text": fires("1"),
    "bytes": fires(b"1"),
    "list": fires([]),
    "object": fires(object()),
    "true": waits(True),
    "decimal": waits(Decimal("5")),
    "fraction": fires(Fraction(1, 1000)),
    "minus infinity": fires(float("-inf")),
    "huge": waits(1e12),
    "at none": lambda loop: loop.call_at(None, print),  # type: ignore[arg-type]
    "no callback": lambda loop: loop.call_later(1),  # type: ignore[call-arg]
    "at without callback": lambda loop: loop.call_at(1),  # type: ignore[call-arg]
    "unknown keyword": lambda loop: loop.call_later(1, print, end=""),  # type: ignore[call-arg]
}


@pytest.mark.parametrize("scenario", DELAYS.values(), ids=DELAYS.keys())
def test_odd_delays_do_what_they_do_in_asyncio(
    same_as_asyncio: SameAsAsyncio, scenario: Callable[[Loop], Any]
) -> None:
    same_as_asyncio(scenario)


@pytest.mark.parametrize("when", ["soon", 1j, b"", []], ids=repr)
def test_a_deadline_that_is_no_number_is_a_type_error_at_the_latest_when_it_is_compared(
    loop: Loop, when: Any
) -> None:
    def call_twice() -> None:
        loop.call_at(when, print).cancel()
        loop.call_at(loop.time(), loop.stop)
        loop.run_forever()

    with pytest.raises(TypeError):
        call_twice()


@pytest.mark.parametrize("method", ["call_soon", "call_later", "call_at", "call_soon_threadsafe"])
@pytest.mark.parametrize("callback", [None, 3, "print", []], ids=repr)
def test_what_cannot_be_called_is_refused_as_in_asyncio(
    same_as_asyncio: SameAsAsyncio, method: str, callback: object
) -> None:
    def scenario(loop: Loop) -> None:
        arguments = (0, callback) if method in ("call_later", "call_at") else (callback,)
        getattr(loop, method)(*arguments)
        run_until_timer(loop)

    same_as_asyncio(scenario)


@pytest.mark.debug
@pytest.mark.parametrize("method", ["call_soon", "call_later", "call_at", "call_soon_threadsafe"])
def test_a_coroutine_function_is_no_callback_as_in_asyncio(
    same_as_asyncio: SameAsAsyncio, method: str
) -> None:
    async def coroutine_function() -> None: ...

    def scenario(loop: Loop) -> None:
        arguments = (0, coroutine_function) if method in ("call_later", "call_at") else (coroutine_function,)
        handle = getattr(loop, method)(*arguments)
        handle.cancel()

    same_as_asyncio(scenario)


FUTURES: dict[str, Callable[[Loop], Any]] = {
    "pending": lambda loop: loop.create_future(),
    "of asyncio's type": lambda loop: futures._PyFuture(loop=loop),  # type: ignore[attr-defined]
    "not initialised": lambda loop: type(loop.create_future()).__new__(type(loop.create_future())),
    "none": lambda _: None,
}
BEFORE: dict[str, Callable[[Any], Any]] = {
    "nothing": lambda _: None,
    "done": lambda future: future.set_result("before"),
    "failed": lambda future: future.set_exception(KeyError("before")),
    "cancelled": lambda future: future.cancel(),
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("kind", FUTURES)
def test_what_ends_a_sleep_does_the_same_to_any_future(
    same_as_asyncio: SameAsAsyncio, kind: str, before: str
) -> None:
    def scenario(loop: Loop) -> Any:
        reported: list[str] = []

        def report(_: Loop, told: dict[str, Any]) -> None:
            reported.append(repr(told["exception"]))

        loop.set_exception_handler(report)
        future = FUTURES[kind](loop)
        set_result: Any = futures._set_result_unless_cancelled  # type: ignore[attr-defined]

        async def main() -> Any:
            if kind in ("pending", "of asyncio's type"):
                BEFORE[before](future)
            for args in [(future, "result"), (future,), (future, 1, 2), ()]:
                loop.call_soon(set_result, *args)
                loop.call_later(0, set_result, *args)
            await asyncio.sleep(0.001)
            if kind == "none" or not future.done():
                return None
            return future.cancelled() or future.exception() or future.result()

        return repr(loop.run_until_complete(main())), reported

    same_as_asyncio(scenario)


@pytest.mark.not_in_mode("installed", "maypole's sleep has no timer that calls a function")
def test_a_replaced_function_ends_sleeps(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[object] = []

    def replaced(future: Any, result: object) -> None:
        ended.append(result)
        future.set_result("replaced")

    monkeypatch.setattr(futures, "_set_result_unless_cancelled", replaced)
    assert loop.run_until_complete(asyncio.sleep(0.001, "own")) == "replaced"
    assert ended == ["own"]
