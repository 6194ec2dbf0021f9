"""Put the loop under test where CPython's own tests look for a loop.

They look in two places: the names ``asyncio.SelectorEventLoop`` and ``asyncio.EventLoop``, called with or
without a selector; and the default policy's ``_loop_factory``, at which ``asyncio.new_event_loop``,
``asyncio.run``, ``asyncio.Runner`` and ``unittest.IsolatedAsyncioTestCase`` end. Nothing else of asyncio is
changed, so a test that builds asyncio's private classes by itself still tests asyncio, and is counted
apart: it made no loop here.
"""

from __future__ import annotations

import asyncio
import importlib
import selectors
import warnings
from asyncio import unix_events
from collections.abc import Callable
from typing import Any

Factory = Callable[[], asyncio.AbstractEventLoop]
StockLoop: Any = asyncio.SelectorEventLoop


class LoopCount:
    """How many loops were made through the places that are substituted."""

    made = 0


def factory_of(spec: str) -> Factory | None:
    """The factory that ``module:name`` names; None for asyncio's own, which stays as it is but is counted.

    Raises:
        SystemExit: there is no such module or name.
    """
    module, _, name = spec.partition(":")
    try:
        factory: Factory = getattr(importlib.import_module(module), name or "new_event_loop")
    except (ImportError, AttributeError) as error:
        raise SystemExit(f"conformance: --loop {spec}: {error}") from error
    return None if factory in (asyncio.new_event_loop, StockLoop) else factory


def make_loop(factory: Factory | None, selector: selectors.BaseSelector | None) -> asyncio.AbstractEventLoop:
    """One loop under test. A loop that is not asyncio's has no use for the selector."""
    LoopCount.made += 1
    if factory is None:
        stock: asyncio.AbstractEventLoop = StockLoop(selector)
        return stock
    if selector is not None:
        selector.close()
    return factory()


def stand_in(factory: Factory | None) -> type:
    """A class that makes the loop under test, and that asyncio's own loops count as instances of too."""

    class AnyLoop(type):
        def __instancecheck__(cls, loop: object) -> bool:
            return isinstance(loop, (StockLoop, *classes))

        def __subclasscheck__(cls, other: type) -> bool:
            return issubclass(other, (StockLoop, *classes))

        def __getattr__(cls, name: str) -> Any:
            return getattr(StockLoop, name)

    class SelectorEventLoop(metaclass=AnyLoop):
        def __new__(cls, selector: selectors.BaseSelector | None = None) -> Any:
            return make_loop(factory, selector)

        def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
            # Reached only by a loop whose class derives from asyncio's own and names it to initialise it.
            StockLoop.__init__(self, selector)

    classes: list[type] = []
    if factory is not None:
        probe = factory()
        classes.append(type(probe))
        probe.close()
    return SelectorEventLoop


def substitute(spec: str) -> None:
    """Make every later import of CPython's tests find the loop that ``spec`` names."""
    take_places(spec)
    close_by_public_means()


def take_places(spec: str) -> None:
    """Put the loop that ``spec`` names where programs find asyncio's."""
    factory = factory_of(spec)
    substitute_class = stand_in(factory)
    policy: Any = unix_events._UnixDefaultEventLoopPolicy
    policy._loop_factory = substitute_class
    modules: list[Any] = [asyncio, unix_events]
    for module in modules:
        for name in ("SelectorEventLoop", "EventLoop"):
            if hasattr(module, name):
                setattr(module, name, substitute_class)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        if hasattr(asyncio, "set_event_loop_policy"):
            asyncio.set_event_loop_policy(None)


def close_by_public_means() -> None:
    """Let ``utils.TestCase`` close a loop that does not have BaseEventLoop's private attributes."""
    from test.test_asyncio import utils  # type: ignore[import-not-found]

    stock_close = utils.TestCase.close_loop

    def close_loop(loop: asyncio.AbstractEventLoop) -> None:
        if isinstance(loop, asyncio.BaseEventLoop) or not hasattr(loop, "shutdown_default_executor"):
            stock_close(loop)
            return
        if not loop.is_closed():
            loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()

    utils.TestCase.close_loop = staticmethod(close_loop)
