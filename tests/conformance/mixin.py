"""CPython's ``EventLoopTestsMixin`` on any loop, with nothing of asyncio replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from substitute import LoopCount
from test.test_asyncio import test_events, utils  # type: ignore[import-not-found]


def event_loop_tests(factory: Callable[[], asyncio.AbstractEventLoop] | None) -> Any:
    """The test case: the mixin, and a loop from this factory for each test."""

    class EventLoopTests(test_events.EventLoopTestsMixin, utils.TestCase):  # type: ignore[misc]
        def create_event_loop(self) -> asyncio.AbstractEventLoop:
            LoopCount.made += 1
            return (factory or asyncio.new_event_loop)()

        @staticmethod
        def close_loop(loop: asyncio.AbstractEventLoop) -> None:
            loop.close()

    EventLoopTests.__module__ = "event_loop_mixin"
    EventLoopTests.__qualname__ = "EventLoopTests"
    return EventLoopTests
