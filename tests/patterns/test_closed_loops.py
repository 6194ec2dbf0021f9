"""A loop is closed around the tasks of a pattern; it serves the next loop, and what those had comes back."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from harness.kinds import LoopKind
from maypole.patterns import Adaptive, Bulkhead, Policy, RateLimit, SingleFlight

Use = Callable[[], Awaitable[Any]]

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


async def nap() -> None:
    await asyncio.sleep(0.002)


def inside(block: Callable[[], Any]) -> Use:
    async def use() -> None:
        async with block():
            await nap()

    return use


def limit() -> Use:
    return RateLimit(300).acquire


def bulkhead() -> Use:
    places = Bulkhead(1, max_waiting=None)
    return inside(lambda: places)


def adaptive() -> Use:
    places = Adaptive(target=1, min=1, initial=1, max_waiting=None)
    return inside(lambda: places)


def single_flight() -> Use:
    flights = SingleFlight()
    return lambda: flights.do("key", nap)


def policy() -> Use:
    together = Policy(rate=RateLimit(300), bulkhead=Bulkhead(1, max_waiting=None))
    return lambda: together.call(nap)


async def three(use: Use) -> list[Any]:
    async with asyncio.timeout(5):
        return await asyncio.gather(*(use() for _ in range(3)), return_exceptions=True)


def close_around(use: Use, kind: LoopKind) -> list[asyncio.Task[Any]]:
    """Let one task go in and three wait, and close their loop."""
    loop = kind.new_loop()

    async def one() -> None:
        await use()

    tasks = [loop.create_task(one()) for _ in range(4)]
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    return tasks


def run_on(kind: LoopKind, use: Use) -> list[Any]:
    with asyncio.Runner(loop_factory=kind.new_loop) as runner:
        return runner.run(three(use))


@pytest.mark.leaks("logs")
@pytest.mark.parametrize("make", [limit, bulkhead, single_flight, policy])
def test_tasks_of_a_closed_loop_keep_nobody_out(make: Callable[[], Use], real_loop: LoopKind) -> None:
    use = make()
    tasks = close_around(use, real_loop)
    del tasks  # their cleanup runs now: what they had comes back
    gc.collect()
    assert run_on(real_loop, use) == [None, None, None]
    del use
    gc.collect()


@pytest.mark.leaks("logs")
@pytest.mark.parametrize("make", [limit, adaptive])
def test_even_while_somebody_keeps_those_tasks(make: Callable[[], Use], real_loop: LoopKind) -> None:
    use = make()
    tasks = close_around(use, real_loop)
    assert run_on(real_loop, use) == [None, None, None]
    assert len(tasks) == 4
    del tasks, use
    gc.collect()  # they die here, and complain here


@pytest.mark.parametrize("make", [limit, bulkhead, adaptive])
def test_two_loops_share_a_pattern(make: Callable[[], Use], real_loop: LoopKind) -> None:
    use = make()
    ended: list[Any] = []
    threads = [threading.Thread(target=lambda: ended.extend(run_on(real_loop, use))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == [None] * 6
