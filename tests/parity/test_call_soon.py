"""``call_soon``: order, arguments, contexts, cancellation, bad input."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from typing import Any

import pytest
from harness.kinds import Loop, run_once
from harness.outcome import SameAsAsyncio

variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


@pytest.mark.debug
def test_callbacks_run_in_the_order_of_the_calls(loop: Loop) -> None:
    seen: list[int] = []
    for number in range(1000):
        loop.call_soon(seen.append, number)
    run_once(loop)
    assert seen == list(range(1000))


def test_a_callback_made_ready_by_a_callback_runs_in_the_next_turn(loop: Loop) -> None:
    seen: list[str] = []

    def first() -> None:
        seen.append("first")
        loop.call_soon(seen.append, "third")

    loop.call_soon(first)
    loop.call_soon(seen.append, "second")
    run_once(loop)
    assert seen == ["first", "second"]
    run_once(loop)
    assert seen == ["first", "second", "third"]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 17, 300])
def test_arguments_arrive_as_given(loop: Loop, count: int) -> None:
    seen: list[tuple[Any, ...]] = []
    arguments = tuple(object() for _ in range(count))
    loop.call_soon(lambda *given: seen.append(given), *arguments)
    run_once(loop)
    assert len(seen) == 1
    assert all(left is right for left, right in zip(seen[0], arguments, strict=True))


def test_a_cancelled_callback_never_runs(loop: Loop) -> None:
    seen: list[str] = []
    handle = loop.call_soon(seen.append, "cancelled")
    loop.call_soon(seen.append, "kept")
    handle.cancel()
    handle.cancel()
    run_once(loop)
    assert seen == ["kept"]
    assert handle.cancelled()


def test_a_callback_may_cancel_the_one_behind_it(loop: Loop) -> None:
    seen: list[str] = []
    handles: list[asyncio.Handle] = []
    loop.call_soon(lambda: handles[0].cancel())
    handles.append(loop.call_soon(seen.append, "cancelled"))
    run_once(loop)
    assert seen == []


def test_a_callback_may_cancel_itself_while_it_runs(loop: Loop) -> None:
    handles: list[asyncio.Handle] = []
    handles.append(loop.call_soon(lambda: handles[0].cancel()))
    run_once(loop)
    assert handles[0].cancelled()


def test_cancelling_a_handle_that_has_run_only_marks_it(loop: Loop) -> None:
    seen: list[str] = []
    handle = loop.call_soon(seen.append, "ran")
    run_once(loop)
    assert not handle.cancelled()
    handle.cancel()
    assert handle.cancelled()
    assert seen == ["ran"]


def test_a_callback_sees_the_context_of_the_call(loop: Loop) -> None:
    seen: list[str] = []
    token = variable.set("at the call")
    loop.call_soon(lambda: seen.append(variable.get()))
    variable.reset(token)
    run_once(loop)
    assert seen == ["at the call"]


def test_a_context_that_is_given_is_used_and_changed_in_place(loop: Loop) -> None:
    context = contextvars.copy_context()
    context.run(variable.set, "given")
    seen: list[str] = []

    def callback() -> None:
        seen.append(variable.get())
        variable.set("changed")

    handle = loop.call_soon(callback, context=context)
    run_once(loop)
    assert seen == ["given"]
    assert context[variable] == "changed"
    assert variable.get() == "unset"
    if hasattr(handle, "get_context"):
        assert handle.get_context() is context


def test_each_callback_without_a_context_gets_a_copy_of_its_own(loop: Loop) -> None:
    seen: list[str] = []
    loop.call_soon(variable.set, "first")
    loop.call_soon(lambda: seen.append(variable.get()))
    run_once(loop)
    assert seen == ["unset"]


def test_the_running_loop_is_known_inside_a_callback_only(loop: Loop) -> None:
    seen: list[Loop | None] = []
    loop.call_soon(lambda: seen.append(asyncio.get_running_loop()))
    run_once(loop)
    assert seen == [loop]
    with pytest.raises(RuntimeError, match="no running event loop"):
        asyncio.get_running_loop()
    seen.clear()


def call_with_a_number_as_context(loop: Loop) -> None:
    loop.call_soon(print, context=3)  # type: ignore[arg-type]
    run_once(loop)


BAD_CALLS: dict[str, Callable[[Loop], Any]] = {
    "no callback": lambda loop: loop.call_soon(),  # type: ignore[call-arg]
    "unknown keyword": lambda loop: loop.call_soon(print, file=None),  # type: ignore[call-arg]
    "context of a wrong type": call_with_a_number_as_context,
}


@pytest.mark.parametrize("call", BAD_CALLS.values(), ids=BAD_CALLS.keys())
def test_bad_calls_fail_as_in_asyncio(same_as_asyncio: SameAsAsyncio, call: Callable[[Loop], Any]) -> None:
    same_as_asyncio(call)
