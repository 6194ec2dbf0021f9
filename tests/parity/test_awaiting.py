"""What an `await` gives, and the exception that brings it."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from types import CodeType, FrameType
from typing import Any

import pytest
from harness.kinds import Loop

ROUNDS = 100


class Result:
    """Something that can be watched dying."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.other: object = None


async def wait(loop: Loop, result: object) -> object:
    """A future's result, which arrives a turn later."""
    future = loop.create_future()
    loop.call_soon(future.set_result, result)
    return await future


def ends_seen_by_a_tracer(loop: Loop, main: Any, code: CodeType) -> list[StopIteration]:
    """The exceptions by which the awaits of the function with `code` ended while `main` ran."""
    ends: list[StopIteration] = []

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        if event == "exception" and frame.f_code is code:
            ends.append(arg[1])
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        loop.run_until_complete(main)
    finally:
        sys.settrace(before)
    return ends


def test_each_exception_that_is_kept_keeps_its_value(loop: Loop) -> None:
    async def main() -> None:
        for number in range(ROUNDS):
            await wait(loop, Result(number))

    ends = ends_seen_by_a_tracer(loop, main(), wait.__code__)
    assert all(isinstance(end, StopIteration) for end in ends)
    assert [end.value.number for end in ends] == list(range(ROUNDS))
    assert len({id(end) for end in ends}) == ROUNDS


def test_a_cycle_through_such_an_exception_is_collected(loop: Loop) -> None:
    async def main() -> None:
        await wait(loop, Result(0))

    (end,) = ends_seen_by_a_tracer(loop, main(), wait.__code__)
    dead = weakref.ref(end.value)
    end.value.other = end
    del end
    gc.collect()
    assert dead() is None


def test_nothing_set_on_such_an_exception_haunts_a_later_one(loop: Loop) -> None:
    async def main() -> None:
        await wait(loop, Result(0))

    for number in range(ROUNDS):
        (end,) = ends_seen_by_a_tracer(loop, main(), wait.__code__)
        assert not hasattr(end, "mark")
        assert (end.__cause__, end.__context__, end.__suppress_context__) == (None, None, False)
        assert not hasattr(end, "__notes__")
        end.mark = number  # type: ignore[attr-defined]
        end.add_note("seen")
        end.__cause__ = ValueError()
        end.__context__ = KeyError()
        del end


def test_a_result_lives_no_longer_than_its_receiver_keeps_it(loop: Loop) -> None:
    async def main() -> None:
        result = Result(0)
        dead = weakref.ref(result)
        future = loop.create_future()
        loop.call_soon(future.set_result, result)
        del result
        received = await future
        del future
        await asyncio.sleep(0)
        assert dead() is received
        del received
        assert dead() is None

    loop.run_until_complete(main())


@pytest.mark.parametrize("result", [None, 0, (), (1, 2), StopIteration(3), ValueError("a result")], ids=repr)
def test_every_kind_of_result_arrives_as_it_is(loop: Loop, result: object) -> None:
    async def main() -> None:
        assert await wait(loop, result) is result

    loop.run_until_complete(main())


def test_the_class_of_such_an_exception_makes_others(loop: Loop) -> None:
    async def main() -> None:
        await wait(loop, Result(0))

    (end,) = ends_seen_by_a_tracer(loop, main(), wait.__code__)
    kind = type(end)
    assert kind("given").value == "given"
    assert repr(kind("given")) == "StopIteration('given')"
