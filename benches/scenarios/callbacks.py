"""`call_soon`, and `call_soon_threadsafe` from this thread and from another."""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import TYPE_CHECKING, Any

from measuring.scenario import Tier, scenario

if TYPE_CHECKING:
    from measuring.bench import Bench


@scenario("call_soon.wide", count=200_000, unit="callback", tier=Tier.QUICK, params={"width": 1000})
@scenario("call_soon.narrow", count=100_000, unit="callback", params={"width": 1})
async def call_soon(bench: Bench) -> None:
    """`width` callbacks are always queued; each that runs queues another."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    width = min(bench.param("width"), bench.count)
    left = bench.count

    def step() -> None:
        nonlocal left
        left -= 1
        if left >= width:
            loop.call_soon(step)
        elif left == 0:
            done.set_result(None)

    with bench.measure(bench.count):
        for _ in range(width):
            loop.call_soon(step)
        await done
    bench.expect(left, 0, "callbacks left")


@scenario("call_soon.arguments", count=200_000, unit="callback", params={"width": 1000})
async def call_soon_arguments(bench: Bench) -> None:
    """The same with two arguments."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    width = min(bench.param("width"), bench.count)
    left = bench.count

    def step(first: int, second: str) -> None:
        nonlocal left
        left -= first
        if left >= width:
            loop.call_soon(step, first, second)
        elif left == 0:
            done.set_result(None)

    with bench.measure(bench.count):
        for _ in range(width):
            loop.call_soon(step, 1, "two")
        await done
    bench.expect(left, 0, "callbacks left")


@scenario("threadsafe.own_thread", count=50_000, unit="callback", params={"width": 100})
async def threadsafe_own_thread(bench: Bench) -> None:
    """`call_soon_threadsafe` from the loop's own thread, as careful libraries do."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    width = min(bench.param("width"), bench.count)
    left = bench.count

    def step() -> None:
        nonlocal left
        left -= 1
        if left >= width:
            loop.call_soon_threadsafe(step)
        elif left == 0:
            done.set_result(None)

    with bench.measure(bench.count):
        for _ in range(width):
            loop.call_soon_threadsafe(step)
        await done
    bench.expect(left, 0, "callbacks left")


@scenario("threadsafe.flood", count=50_000, unit="callback")
async def threadsafe_flood(bench: Bench) -> None:
    """Another thread calls as fast as it can."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    seen = 0

    def hit() -> None:
        nonlocal seen
        seen += 1
        if seen == bench.count:
            done.set_result(None)

    def flood() -> None:
        for _ in range(bench.count):
            loop.call_soon_threadsafe(hit)

    thread = threading.Thread(target=flood)
    with bench.measure(bench.count):
        thread.start()
        await done
        thread.join()
    bench.expect(seen, bench.count, "callbacks")


@scenario("threadsafe.round_trip", count=5_000, unit="round trip")
async def threadsafe_round_trip(bench: Bench) -> None:
    """Another thread wakes the sleeping loop and waits for its answer."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    seen = 0

    def hit() -> None:
        nonlocal seen
        seen += 1
        answers.put(None)

    def ask() -> None:
        for _ in range(bench.count):
            loop.call_soon_threadsafe(hit)
            answers.get()
        loop.call_soon_threadsafe(done.set_result, None)

    thread = threading.Thread(target=ask)
    with bench.measure(bench.count):
        thread.start()
        await done
        thread.join()
    bench.expect(seen, bench.count, "callbacks")
