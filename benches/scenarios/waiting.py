"""Queue, Lock, Semaphore, Event."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from measuring.scenario import Tier, scenario

if TYPE_CHECKING:
    from measuring.bench import Bench


@scenario("queue.100", count=50_000, unit="item", params={"room": 100}, uses=frozenset({"Queue"}))
@scenario(
    "queue.1", count=30_000, unit="item", tier=Tier.QUICK, params={"room": 1}, uses=frozenset({"Queue"})
)
async def queue(bench: Bench) -> None:
    """One task puts, one gets; the queue has so much room."""
    line = bench.api.Queue(bench.param("room"))
    total = 0

    async def put() -> None:
        for number in range(bench.count):
            await line.put(number)

    async def get() -> None:
        nonlocal total
        for _ in range(bench.count):
            total += await line.get()

    with bench.measure(bench.count):
        getting, putting = asyncio.create_task(get()), asyncio.create_task(put())
        await putting
        await getting
    bench.expect(total, bench.count * (bench.count - 1) // 2, "sum of the items")


@scenario("lock.free", count=50_000, unit="acquire", uses=frozenset({"Lock"}))
async def lock_free(bench: Bench) -> None:
    """A lock that nobody else wants."""
    lock = bench.api.Lock()
    held = 0
    with bench.measure(bench.count):
        for _ in range(bench.count):
            async with lock:
                held += 1
    bench.expect(held, bench.count, "acquisitions")


@scenario("lock", count=20_000, unit="acquire", params={"tasks": 100}, uses=frozenset({"Lock", "sleep"}))
async def lock_contended(bench: Bench) -> None:
    """A lock that a hundred tasks want, and hold over one `sleep(0)`."""
    lock = bench.api.Lock()
    await contend(bench, lock, 1)


@scenario(
    "semaphore", count=20_000, unit="acquire", params={"tasks": 100}, uses=frozenset({"Semaphore", "sleep"})
)
async def semaphore(bench: Bench) -> None:
    """A semaphore of ten that a hundred tasks want, and hold over one `sleep(0)`."""
    await contend(bench, bench.api.Semaphore(10), 10)


async def contend(bench: Bench, guard: object, room: int) -> None:
    """Many tasks enter and leave; never more than `room` are inside."""
    tasks = min(bench.param("tasks"), bench.count)
    turns = bench.count // tasks
    sleep = bench.api.sleep
    inside = most = entered = 0

    async def enter() -> None:
        nonlocal inside, most, entered
        for _ in range(turns):
            async with guard:  # type: ignore[attr-defined]
                inside += 1
                most = max(most, inside)
                entered += 1
                await sleep(0)
                inside -= 1

    with bench.measure(turns * tasks):
        for task in [asyncio.create_task(enter()) for _ in range(tasks)]:
            await task
    bench.expect(entered, turns * tasks, "entries")
    bench.expect(most <= room, True, "no more inside than there is room for")


@scenario("event", count=20_000, unit="exchange", uses=frozenset({"Event"}))
async def event(bench: Bench) -> None:
    """Two tasks wake each other through events."""
    here, there = bench.api.Event(), bench.api.Event()
    returned = 0

    async def ping() -> None:
        for _ in range(bench.count):
            there.set()
            await here.wait()
            here.clear()

    async def pong() -> None:
        nonlocal returned
        for _ in range(bench.count):
            await there.wait()
            there.clear()
            here.set()
            returned += 1

    with bench.measure(bench.count):
        far_side, near_side = asyncio.create_task(pong()), asyncio.create_task(ping())
        await near_side
        await far_side
    bench.expect(returned, bench.count, "exchanges")
