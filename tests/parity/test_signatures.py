"""Every method of asyncio's loop, with its parameters, is a method of maypole's loop."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import maypole
import pytest

STOCK: Any = asyncio.SelectorEventLoop


def public_methods(cls: type) -> dict[str, Any]:
    """The public methods of a class, its parents' included."""
    return {
        name: member
        for name, member in inspect.getmembers(cls, callable)
        if not name.startswith("_") or name == "__init__"
    }


def parameters(function: Any) -> list[tuple[str, str, Any]] | None:
    """Names, kinds and defaults of a function's parameters; None where a native function does not tell.

    The object itself does not count: no native method takes it by keyword.
    """
    try:
        signature = inspect.signature(function)
    except ValueError:
        return None
    items = [(item.name, item.kind.name, item.default) for item in signature.parameters.values()]
    return [item for item in items if item[0] != "self"]


def annotation_of_result(function: Any) -> Any:
    """What a function says that it returns, in words; None if it does not say."""
    try:
        said = inspect.signature(function).return_annotation
    except ValueError:
        return None
    return None if said is inspect.Signature.empty else str(said)


METHODS = sorted({*public_methods(asyncio.AbstractEventLoop), *public_methods(STOCK)} - {"__init__"})


@pytest.mark.parametrize("name", METHODS)
def test_a_method_has_the_parameters_that_asyncio_gives_it(name: str) -> None:
    expected = parameters(getattr(STOCK, name))
    found = parameters(getattr(maypole.EventLoop, name))
    assert found is not None, f"inspect.signature(EventLoop.{name}) fails"
    assert found == expected


@pytest.mark.parametrize("name", METHODS)
def test_a_coroutine_method_is_one_on_both(name: str) -> None:
    stock, ours = getattr(STOCK, name), getattr(maypole.EventLoop, name)
    assert inspect.iscoroutinefunction(ours) == inspect.iscoroutinefunction(stock)


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_what_it_returns_where_asyncio_does(name: str) -> None:
    said = annotation_of_result(getattr(STOCK, name))
    if said is not None:
        assert annotation_of_result(getattr(maypole.EventLoop, name)) == said


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_its_own_documentation_or_asyncios(name: str) -> None:
    if getattr(STOCK, name).__doc__:
        assert getattr(maypole.EventLoop, name).__doc__


@pytest.mark.parametrize(("cls", "stock"), [("handle", asyncio.Handle), ("timer", asyncio.TimerHandle)])
def test_handles_have_every_method_of_asyncios(cls: str, stock: type) -> None:
    loop = maypole.new_event_loop()
    made = loop.call_soon(print) if cls == "handle" else loop.call_later(1, print)
    try:
        missing = [name for name in public_methods(stock) if not callable(getattr(made, name, None))]
        assert missing == []
        for name in set(public_methods(stock)) - {"__init__"}:
            expected = parameters(getattr(stock, name))
            assert parameters(getattr(type(made), name)) == expected, name
    finally:
        loop.close()


@pytest.mark.parametrize("stock", [asyncio.Task, asyncio.Future], ids=lambda cls: cls.__name__)
def test_tasks_and_futures_have_every_member_of_asyncios(stock: type) -> None:
    loop = maypole.new_event_loop()

    async def nothing() -> None: ...

    made: Any = loop.create_task(nothing()) if stock is asyncio.Task else loop.create_future()
    try:
        loop.run_until_complete(asyncio.sleep(0))
        missing = [name for name in dir(stock) if not hasattr(made, name)]
        assert missing == []
        differing = [
            name
            for name in public_methods(stock)
            if name != "__init__"
            and parameters(getattr(type(made), name)) != parameters(getattr(stock, name))
        ]
        assert differing == []
    finally:
        made.cancel()
        loop.close()
