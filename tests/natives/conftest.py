"""Every test of a helper runs with asyncio's own first, then with maypole's; each on both loops."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
from harness.kinds import Loop

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]


@pytest.fixture(params=["asyncio", "maypole"])
def api(request: pytest.FixtureRequest) -> Any:
    """The module whose helpers are tested."""
    return importlib.import_module(request.param)


@pytest.fixture
def run(loop: Loop) -> Run[Any]:
    """Run a coroutine to its end on the loop, and cancel what it left running."""

    async def cancel_others() -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def run(main: Coroutine[Any, Any, Any]) -> Any:
        try:
            return loop.run_until_complete(main)
        finally:
            loop.run_until_complete(cancel_others())

    return run
