"""The loops that patterns are tested on: in virtual time where time matters, on every real loop elsewhere."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, cast

import pytest
from harness.kinds import ASYNCIO, MAYPOLE, LoopKind
from maypole.testing import run_virtual
from maypole.testing.clock import LoopName

T = TypeVar("T")
Run = Callable[..., Any]

UVLOOP = LoopKind("uvloop", "uvloop:new_event_loop")
NO_UVLOOP = importlib.util.find_spec("uvloop") is None
if not NO_UVLOOP:
    UVLOOP.new_loop().close()  # the first one opens a pipe for the whole process
WITH_UVLOOP = pytest.param(
    UVLOOP, id="uvloop", marks=pytest.mark.skipif(NO_UVLOOP, reason="uvloop is not installed for this Python")
)
REAL = [
    pytest.param(ASYNCIO, id="asyncio-real"),
    pytest.param(MAYPOLE, id="maypole-real"),
    pytest.param(UVLOOP, id="uvloop-real", marks=WITH_UVLOOP.marks),
]


@pytest.fixture(params=["asyncio", "maypole"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine in virtual time, on asyncio's loop and on maypole's."""
    name = cast("LoopName", request.param)

    def on_this_loop(main: Coroutine[Any, Any, T], **options: Any) -> T:
        return run_virtual(main, loop=name, **options)

    return on_this_loop


@pytest.fixture(params=REAL)
def real_loop(request: pytest.FixtureRequest) -> LoopKind:
    """Every kind of loop there is, on the real clock."""
    return cast("LoopKind", request.param)


@pytest.fixture
def run_real(real_loop: LoopKind) -> Run:
    """Run a coroutine in real time, on every loop there is; for tests that assert order and counts only."""
    kind = real_loop

    def on_this_loop(main: Coroutine[Any, Any, T]) -> T:
        with asyncio.Runner(loop_factory=kind.new_loop) as runner:
            return runner.run(main)

    return on_this_loop
