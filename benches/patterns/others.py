"""Bulkheads, channels, maps and background work."""

from __future__ import annotations

import asyncio
from typing import Any

from patterns.checks import STEP_S, Answer, cancel, check, failure

LEAK = failure("line leaks", "four waiters that are cancelled leave room for four others")
SHRINK = failure("shrinking", "shrinking from 10 to 5 with 10 inside admits nobody until fewer than 5 are")
DEAD = failure("dead consumer", "producers learn that their consumer is gone")
CLEANUP = failure("cleanup cut", "closing waits for the cleanup of a cancelled job (0.3 s)")
COLLECT = failure("one error ends all", "a map can go on after an error and tell all results")
BOUNDED = failure("fan-out", "a map over 100 items can run 10 of them at a time")
LAZY = failure("async source", "a map reads an async generator, no further than it needs")


async def line_after_cancelling(acquire: Any) -> Answer:
    """One holds the only place, four wait and are cancelled: how many others may wait?"""
    await acquire()
    waiting = [asyncio.create_task(acquire()) for _ in range(4)]
    await asyncio.sleep(0)
    await cancel(*waiting)
    others = [asyncio.create_task(acquire()) for _ in range(4)]
    _, pending = await asyncio.wait(others, timeout=2 * STEP_S)
    await cancel(*pending)
    return Answer(len(pending) == 4, f"{len(pending)} of 4 may wait")


@check(LEAK, "maypole")
async def maypole_line() -> Answer:
    from maypole.patterns import Bulkhead

    return await line_after_cancelling(Bulkhead(1, max_waiting=4).acquire)


@check(LEAK, "hyx")
async def hyx_line() -> Answer:
    from hyx.bulkhead.manager import BulkheadManager

    return await line_after_cancelling(BulkheadManager(max_concurrency=1, max_capacity=5).acquire)


@check(LEAK, "pyresilience")
async def pyresilience_line() -> Answer:
    from pyresilience import BulkheadConfig, resilient

    inside = asyncio.Event()

    @resilient(bulkhead=BulkheadConfig(max_concurrent=1, max_wait=3600))
    async def hold() -> None:
        inside.set()
        await asyncio.sleep(3600)

    held: list[asyncio.Task[None]] = []

    async def acquire() -> None:
        if not held:
            held.append(asyncio.create_task(hold()))
            await inside.wait()
        else:
            await hold()

    answer = await line_after_cancelling(acquire)
    await cancel(*held)
    return answer


@check(SHRINK, "maypole")
async def maypole_shrinks() -> Answer:
    from maypole.patterns import Bulkhead

    places = Bulkhead(10, max_waiting=50)
    for _ in range(10):
        await places.acquire()
    waiting = [asyncio.create_task(places.acquire()) for _ in range(20)]
    await asyncio.sleep(0)
    places.limit = 5
    inside = []
    for _ in range(5):
        places.release()
        await asyncio.sleep(0)
        inside.append(places.in_use)
    await cancel(*waiting)
    return Answer(inside == [9, 8, 7, 6, 5], f"inside after each release: {inside}")


@check(SHRINK, "gentlify")
async def gentlify_shrinks() -> Answer:
    from gentlify._concurrency import ConcurrencyController

    places = ConcurrencyController(10)
    for _ in range(10):
        await places.acquire()
    waiting = [asyncio.create_task(places.acquire()) for _ in range(20)]
    await asyncio.sleep(0)
    places.decelerate()
    inside = []
    for _ in range(5):
        places.release()
        await asyncio.sleep(0)
        inside.append(places.in_flight)
    await cancel(*waiting)
    return Answer(inside == [9, 8, 7, 6, 5], f"inside after each release: {inside}")


async def frees_producers(put: Any, consume_one_and_die: Any) -> Answer:
    async def produce() -> None:
        while True:
            await put()

    producer = asyncio.create_task(produce())
    await consume_one_and_die()
    done, _ = await asyncio.wait([producer], timeout=10 * STEP_S)
    await cancel(producer)
    ended = type(producer.exception()).__name__ if done else ""
    return Answer(bool(done), f"raises {ended}" if done else "waits for ever")


@check(DEAD, "maypole")
async def maypole_dead_consumer() -> Answer:
    from maypole.patterns import channel

    send, recv = channel[int](1)

    async def die() -> None:
        async with recv:
            await recv.recv()

    return await frees_producers(lambda: send(1), die)


@check(DEAD, "asyncio")
async def queue_dead_consumer() -> Answer:
    queue: asyncio.Queue[int] = asyncio.Queue(1)
    return await frees_producers(lambda: queue.put(1), queue.get)


@check(DEAD, "anyio")
async def anyio_dead_consumer() -> Answer:
    import anyio

    send, recv = anyio.create_memory_object_stream[int](1)

    async def die() -> None:
        async with recv:
            await recv.receive()

    return await frees_producers(lambda: send.send(1), die)


class Job:
    """A job whose cleanup takes its time."""

    def __init__(self) -> None:
        self.ended = False

    async def __call__(self) -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0.3)
            self.ended = True


@check(CLEANUP, "maypole")
async def maypole_cleanup() -> Answer:
    from maypole.patterns import Background

    background, job = Background(), Job()
    background.start(job())
    await asyncio.sleep(0)
    await background.aclose()
    return Answer(job.ended, "waited for" if job.ended else "cut off")


@check(CLEANUP, "aiojobs")
async def aiojobs_cleanup() -> Answer:
    import aiojobs

    scheduler, job = aiojobs.Scheduler(), Job()
    await scheduler.spawn(job())
    await asyncio.sleep(STEP_S)
    await scheduler.close()
    return Answer(job.ended, "waited for" if job.ended else "cut off by its default of 0.1 s")


async def one_bad(item: int) -> int:
    await asyncio.sleep(STEP_S / 50)
    if item == 3:
        raise ValueError(item)
    return item


async def told(results: Any) -> Answer:
    """How many of ten results, one of which is an error, come out of an async generator."""
    count = 0
    try:
        async for _ in results:
            count += 1
    except (Exception, BaseExceptionGroup):
        return Answer(False, f"{count} of 10 are told")
    return Answer(count == 10, f"{count} of 10 are told")


@check(COLLECT, "maypole")
async def maypole_collects() -> Answer:
    from maypole.patterns import amap

    async with amap(one_bad, range(10), concurrency=2, on_error="collect") as results:
        return await told(results)


@check(COLLECT, "aiometer")
async def aiometer_collects() -> Answer:
    import aiometer

    async def results() -> Any:
        async with aiometer.amap(one_bad, list(range(10)), max_at_once=2) as found:
            async for one in found:
                yield one

    return await told(results())


@check(COLLECT, "aiostream")
async def aiostream_collects() -> Answer:
    from aiostream import stream

    async with stream.map(stream.iterate(range(10)), one_bad, task_limit=2).stream() as found:
        return await told(found)


@check(COLLECT, "anyio")
async def anyio_collects() -> Answer:
    import anyio

    async def results() -> Any:
        for one in await anyio.amap(one_bad, range(10)):
            yield one

    return await told(results())


class Crowd:
    """Counts how many are inside at once."""

    def __init__(self) -> None:
        self.inside = self.most = 0

    async def __call__(self, item: int) -> int:
        self.inside += 1
        self.most = max(self.most, self.inside)
        await asyncio.sleep(STEP_S / 10)
        self.inside -= 1
        return item

    def answer(self) -> Answer:
        """Whether it was ten at most."""
        return Answer(self.most == 10, f"{self.most} at a time")


def coroutine_of(crowd: Crowd) -> Any:
    """The same as a coroutine function, for a library that asks."""

    async def inside(item: int) -> int:
        return await crowd(item)

    return inside


@check(BOUNDED, "maypole")
async def maypole_bounded() -> Answer:
    from maypole.patterns import amap

    crowd = Crowd()
    await amap(crowd, range(100), concurrency=10)
    return crowd.answer()


@check(BOUNDED, "asyncio")
async def gather_bounded() -> Answer:
    crowd = Crowd()
    await asyncio.gather(*map(crowd, range(100)))
    return crowd.answer()


@check(BOUNDED, "anyio")
async def anyio_bounded() -> Answer:
    import anyio

    crowd = Crowd()
    await anyio.amap(crowd, range(100))
    return crowd.answer()


@check(BOUNDED, "aiometer")
async def aiometer_bounded() -> Answer:
    import aiometer

    crowd = Crowd()
    async with aiometer.amap(crowd, list(range(100)), max_at_once=10) as results:
        async for _ in results:
            pass
    return crowd.answer()


@check(BOUNDED, "aiostream")
async def aiostream_bounded() -> Answer:
    from aiostream import stream

    crowd = Crowd()
    async with stream.map(stream.iterate(range(100)), coroutine_of(crowd), task_limit=10).stream() as results:
        async for _ in results:
            pass
    return crowd.answer()


class Source:
    """An async generator that notes how far it was read."""

    def __init__(self) -> None:
        self.read = 0

    async def __call__(self) -> Any:
        for number in range(1000):
            self.read += 1
            yield number


async def first_of(results: Any, source: Source) -> Answer:
    async for _ in results:
        break
    return Answer(source.read <= 100, f"{source.read} of 1000 were read for the first result")


@check(LAZY, "maypole")
async def maypole_lazy() -> Answer:
    from maypole.patterns import amap

    source = Source()
    async with amap(Crowd(), source(), concurrency=10) as results:
        return await first_of(results, source)


@check(LAZY, "aiostream")
async def aiostream_lazy() -> Answer:
    from aiostream import stream

    source = Source()
    async with stream.map(stream.iterate(source()), coroutine_of(Crowd()), task_limit=10).stream() as results:
        return await first_of(results, source)


@check(LAZY, "aiometer")
async def aiometer_lazy() -> Answer:
    import aiometer

    source = Source()
    try:
        async with aiometer.amap(Crowd(), source(), max_at_once=10) as results:  # type: ignore[arg-type]
            return await first_of(results, source)
    except TypeError as error:
        return Answer(False, f"takes no async source: {error}")
