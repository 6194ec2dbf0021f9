"""Who drives a coroutine or a generator by hand may send a value into it while it awaits a future."""

from __future__ import annotations

import asyncio
import collections.abc
from collections.abc import Generator
from typing import Any

import pytest
from harness.kinds import Loop


def generator(future: Any) -> Generator[Any, Any, Any]:
    return (yield from future)


async def coroutine(future: Any) -> Any:
    return await future


BODIES = pytest.mark.parametrize("body", [generator, coroutine])


@BODIES
def test_the_value_that_is_sent_is_ignored(loop: Loop, body: Any) -> None:
    future = loop.create_future()
    running = body(future)
    assert running.send(None) is future
    future.set_result(42)
    with pytest.raises(StopIteration) as ended:
        running.send("ignored")
    assert ended.value.value == 42


@BODIES
def test_the_exception_arrives_where_a_value_is_sent(loop: Loop, body: Any) -> None:
    future = loop.create_future()
    running = body(future)
    assert running.send(None) is future
    future.set_exception(ValueError("over"))
    with pytest.raises(ValueError, match="over"):
        running.send("ignored")


@BODIES
def test_sending_while_the_future_is_pending_is_an_error(loop: Loop, body: Any) -> None:
    future = loop.create_future()
    running = body(future)
    assert running.send(None) is future
    with pytest.raises(RuntimeError, match="await wasn't used with future"):
        running.send("ignored")


def test_a_future_is_neither_coroutine_nor_generator(loop: Loop) -> None:
    future = loop.create_future()
    assert not asyncio.iscoroutine(future)
    assert not isinstance(future, collections.abc.Coroutine)
    assert not isinstance(future, collections.abc.Generator)
