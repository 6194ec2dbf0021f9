"""Handles are asyncio's own to whoever looks: type, repr, comparison, context, weak references."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from harness.kinds import Loop, run_once
from harness.outcome import SameAsAsyncio, plain


def function(*args: object, **keywords: object) -> None:
    """A callback whose repr is long enough to be cut in places."""


class Callback:
    """A callable object, and a method."""

    def __call__(self) -> None: ...

    def method(self) -> None: ...

    def __repr__(self) -> str:
        return "<Callback>"


CALLBACKS: dict[str, tuple[Any, ...]] = {
    "function": (function,),
    "arguments": (function, 1, "two", [3]),
    "long arguments": (function, "x" * 500, list(range(100))),
    "built-in": (print, "hello"),
    "lambda": (lambda: None,),
    "partial": (functools.partial(function, 1, key=2),),
    "partial of partial": (functools.partial(functools.partial(function, 1), 2),),
    "object": (Callback(),),
    "method": (Callback().method,),
    "class": (Callback,),
}

MAKERS: dict[str, Callable[..., Any]] = {
    "call_soon": lambda loop, *args: loop.call_soon(*args),
    "call_soon_threadsafe": lambda loop, *args: loop.call_soon_threadsafe(*args),
    "call_at": lambda loop, *args: loop.call_at(12345.5, *args),
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_a_handle_is_an_asyncio_handle(loop: Loop, make: Callable[..., Any]) -> None:
    handle = make(loop, function)
    assert isinstance(handle, asyncio.Handle)
    assert isinstance(handle, asyncio.TimerHandle) == hasattr(handle, "when")
    assert not handle.cancelled()
    handle.cancel()
    assert handle.cancelled()


@pytest.mark.debug
@pytest.mark.parametrize("callback", CALLBACKS.values(), ids=CALLBACKS.keys())
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_reprs_are_those_of_asyncio(
    same_as_asyncio: SameAsAsyncio, make: Callable[..., Any], callback: tuple[Any, ...]
) -> None:
    def scenario(loop: Loop) -> list[str]:
        handle = make(loop, *callback)
        before = plain(repr(handle))
        handle.cancel()
        return [before, plain(repr(handle))]

    same_as_asyncio(scenario)


@pytest.mark.debug
def test_the_repr_of_a_handle_that_has_run_is_that_of_asyncio(same_as_asyncio: SameAsAsyncio) -> None:
    def scenario(loop: Loop) -> str:
        handle = loop.call_soon(function)
        run_once(loop)
        return plain(repr(handle))

    same_as_asyncio(scenario)


def test_a_repr_that_raises_harms_nobody_but_the_caller(same_as_asyncio: SameAsAsyncio) -> None:
    class Bad:
        def __call__(self) -> None: ...

        def __repr__(self) -> str:
            raise ZeroDivisionError("no repr")

    def scenario(loop: Loop) -> None:
        handle = loop.call_soon(Bad())
        try:
            repr(handle)
        finally:
            run_once(loop)

    same_as_asyncio(scenario)


def test_timer_handles_compare_by_deadline(loop: Loop) -> None:
    early, late = loop.call_at(10, function), loop.call_at(20, function)
    assert early < late
    assert early <= late
    assert late > early
    assert late >= early
    assert early != late
    assert sorted([late, early]) == [early, late]


def test_timer_handles_are_equal_as_in_asyncio(same_as_asyncio: SameAsAsyncio) -> None:
    def scenario(loop: Loop) -> list[object]:
        one, same = loop.call_at(10, function, 1), loop.call_at(10, function, 1)
        other, cancelled = loop.call_at(10, function, 2), loop.call_at(10, function, 1)
        cancelled.cancel()
        return [
            one == same,
            one == other,
            one == cancelled,
            one <= same,
            one < same,
            hash(one) == hash(same),
            one == 10,
            one.__lt__(10),  # type: ignore[operator]
            one.__eq__(loop.call_soon(function)),
        ]

    same_as_asyncio(scenario)


def test_comparing_a_timer_handle_with_a_number_fails_as_in_asyncio(same_as_asyncio: SameAsAsyncio) -> None:
    same_as_asyncio(lambda loop: loop.call_at(10, function) < 3)  # type: ignore[operator]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="Handle.get_context is new in Python 3.12")
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_a_handle_knows_its_context(loop: Loop, make: Callable[..., Any]) -> None:
    context = contextvars.Context()
    assert make(loop, function).get_context() != context
    handles: list[Any] = [
        loop.call_soon(function, context=context),
        loop.call_later(1, function, context=context),
    ]
    assert all(handle.get_context() is context for handle in handles)


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())
def test_a_handle_can_be_referred_to_weakly(loop: Loop, make: Callable[..., Any]) -> None:
    handle: asyncio.Handle = make(loop, function)
    ref = weakref.ref(handle)
    assert ref() is handle
    handle.cancel()
    run_once(loop)
    del handle
    assert ref() is None or isinstance(ref(), asyncio.TimerHandle)


def test_a_callback_is_released_when_it_has_run_and_before_the_next_one(loop: Loop) -> None:
    class Payload:
        """Something that can be seen to go."""

    payload = Payload()
    ref = weakref.ref(payload)
    seen: list[bool] = []
    loop.call_soon(function, payload)
    loop.call_soon(lambda: seen.append(ref() is None))
    del payload
    run_once(loop)
    assert seen == [True]


def test_a_cancelled_handle_releases_callback_and_arguments_at_once(loop: Loop) -> None:
    class Payload:
        """Something that can be seen to go."""

    payload = Payload()
    ref = weakref.ref(payload)
    handles = [loop.call_soon(function, payload), loop.call_later(60, function, payload)]
    del payload
    for handle in handles:
        handle.cancel()
    assert ref() is None


def test_a_closed_loop_releases_what_was_queued(loop: Loop) -> None:
    class Payload:
        """Something that can be seen to go."""

    payload = Payload()
    ref = weakref.ref(payload)
    loop.call_soon(function, payload)
    loop.call_later(60, function, payload)
    del payload
    loop.close()
    assert ref() is None
