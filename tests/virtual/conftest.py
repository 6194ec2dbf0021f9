"""Both loops that have a virtual clock: every rule must give the same verdict on each."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

import pytest
from maypole.testing import VirtualClock, run_virtual
from maypole.testing.clock import LoopName

T = TypeVar("T")
RunVirtual = Callable[..., Any]


@pytest.fixture(params=["asyncio", "maypole"])
def loop_name(request: pytest.FixtureRequest) -> LoopName:
    """The name of the loop under test."""
    return cast("LoopName", request.param)


@pytest.fixture
def run(loop_name: LoopName) -> RunVirtual:
    """`run_virtual` on the loop under test."""

    def on_this_loop(main: Coroutine[Any, Any, T], **options: Any) -> T:
        return run_virtual(main, loop=loop_name, **options)

    return on_this_loop


@pytest.fixture
def clock() -> VirtualClock:
    """A clock of its own for each test."""
    return VirtualClock()
