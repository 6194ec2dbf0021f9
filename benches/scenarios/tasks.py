"""Tasks and futures: making them, switching between them, waiting for many."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from measuring.scenario import Tier, scenario

if TYPE_CHECKING:
    from measuring.bench import Bench

#: Tasks that one gather, TaskGroup or as_completed waits for.
GROUP = 5_000


async def nothing() -> None:
    """A coroutine that ends at once."""


@scenario("spawn.await", count=50_000, unit="task", tier=Tier.QUICK)
async def spawn_await(bench: Bench) -> None:
    """One task at a time is made and awaited."""
    ended = 0
    with bench.measure(bench.count):
        for _ in range(bench.count):
            await asyncio.create_task(nothing())
            ended += 1
    bench.expect(ended, bench.count, "tasks")


@scenario("spawn.alive.1M", count=1_000_000, unit="task", samples=1, tier=Tier.COMPLETE)
@scenario("spawn.alive.100k", count=100_000, unit="task", samples=1)
@scenario("spawn.alive.10k", count=10_000, unit="task")
@scenario("spawn.alive.1k", count=1_000, unit="task", samples=9)
async def spawn_alive(bench: Bench) -> None:
    """All tasks are alive before the first is awaited; the rows together show how the cost grows."""
    ended = 0

    async def once() -> None:
        nonlocal ended
        await asyncio.sleep(0)
        ended += 1

    with bench.measure(bench.count):
        tasks = [asyncio.create_task(once()) for _ in range(bench.count)]
        for task in tasks:
            await task
    bench.expect(ended, bench.count, "tasks")


@scenario(
    "switch.1000",
    count=200_000,
    unit="switch",
    tier=Tier.QUICK,
    params={"tasks": 1000},
    uses=frozenset({"sleep"}),
)
@scenario("switch.1", count=100_000, unit="switch", params={"tasks": 1}, uses=frozenset({"sleep"}))
async def switch(bench: Bench) -> None:
    """`sleep(0)` in so many tasks at once."""
    tasks = min(bench.param("tasks"), bench.count)
    turns = bench.count // tasks
    sleep = bench.api.sleep
    switched = 0

    async def turn() -> None:
        nonlocal switched
        for _ in range(turns):
            await sleep(0)
        switched += turns

    with bench.measure(turns * tasks):
        for task in [asyncio.create_task(turn()) for _ in range(tasks)]:
            await task
    bench.expect(switched, turns * tasks, "switches")


@scenario("future.ping_pong", count=50_000, unit="exchange", tier=Tier.QUICK)
async def ping_pong(bench: Bench) -> None:
    """Two tasks wake each other through futures."""
    loop = asyncio.get_running_loop()
    returned = 0

    async def ping(far: asyncio.Future[Any]) -> None:
        for _ in range(bench.count):
            near: asyncio.Future[Any] = loop.create_future()
            far.set_result(near)
            far = await near

    async def pong(near: asyncio.Future[Any]) -> None:
        nonlocal returned
        for _ in range(bench.count):
            far = await near
            near = loop.create_future()
            far.set_result(near)
            returned += 1

    with bench.measure(bench.count):
        ball: asyncio.Future[Any] = loop.create_future()
        far_side, near_side = asyncio.create_task(pong(ball)), asyncio.create_task(ping(ball))
        # Each future's result is the next one: who holds the first holds them all.
        del ball
        await near_side
        await far_side
    bench.expect(returned, bench.count, "exchanges")


@scenario("gather", count=20_000, unit="task", tier=Tier.QUICK, uses=frozenset({"gather", "sleep"}))
async def gather(bench: Bench) -> None:
    """`gather` of 5,000 coroutines that each yield once."""
    sleep, gather = bench.api.sleep, bench.api.gather

    async def once(number: int) -> int:
        await sleep(0)
        return number

    group = min(GROUP, bench.count)
    rounds = bench.count // group
    with bench.measure(rounds * group):
        for _ in range(rounds):
            results = await gather(*(once(number) for number in range(group)))
    bench.expect(results, list(range(group)), "results")


@scenario("task_group", count=20_000, unit="task", tier=Tier.QUICK, uses=frozenset({"TaskGroup", "sleep"}))
async def task_group(bench: Bench) -> None:
    """The same in a TaskGroup."""
    sleep = bench.api.sleep
    ended = 0

    async def once() -> None:
        nonlocal ended
        await sleep(0)
        ended += 1

    group = min(GROUP, bench.count)
    rounds = bench.count // group
    with bench.measure(rounds * group):
        for _ in range(rounds):
            async with bench.api.TaskGroup() as tasks:
                for _ in range(group):
                    tasks.create_task(once())
    bench.expect(ended, rounds * group, "tasks")


@scenario("as_completed", count=20_000, unit="task", uses=frozenset({"as_completed", "sleep"}))
async def as_completed(bench: Bench) -> None:
    """The same with `as_completed`."""
    sleep = bench.api.sleep

    async def once(number: int) -> int:
        await sleep(0)
        return number

    group = min(GROUP, bench.count)
    rounds = bench.count // group
    with bench.measure(rounds * group):
        for _ in range(rounds):
            results = [await one for one in bench.api.as_completed([once(number) for number in range(group)])]
    bench.expect(sorted(results), list(range(group)), "results")


@scenario("timeout", count=20_000, unit="timeout", uses=frozenset({"timeout", "sleep"}))
async def timeout(bench: Bench) -> None:
    """`async with timeout(10)` round something that takes no time."""
    sleep, timeout = bench.api.sleep, bench.api.timeout
    ended = 0
    with bench.measure(bench.count):
        for _ in range(bench.count):
            async with timeout(10):
                await sleep(0)
            ended += 1
    bench.expect(ended, bench.count, "timeouts")


@scenario("wait_for", count=20_000, unit="timeout", uses=frozenset({"wait_for", "sleep"}))
async def wait_for(bench: Bench) -> None:
    """The same with `wait_for`."""
    sleep, wait_for = bench.api.sleep, bench.api.wait_for
    ended = 0
    with bench.measure(bench.count):
        for _ in range(bench.count):
            await wait_for(sleep(0), 10)
            ended += 1
    bench.expect(ended, bench.count, "timeouts")
