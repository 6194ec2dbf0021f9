"""Work inside one process: tasks, futures, callbacks, and what keeps them in order."""

from __future__ import annotations

import asyncio
import contextvars
import itertools

JOB = contextvars.ContextVar("JOB", default=0)
JOBS, WORKERS = 1000, 8


async def run() -> None:
    """Do all kinds of it once."""
    await work_queue()
    await groups()
    await calls_and_answers(600)
    await callbacks(40, 50)
    await failures()


async def work_queue() -> None:
    """One producer, some workers; a semaphore, a lock, an event."""
    queue: asyncio.Queue[int | None] = asyncio.Queue(16)
    permits, lock, ended = asyncio.Semaphore(WORKERS // 2), asyncio.Lock(), asyncio.Event()
    done: list[int] = []

    async def produce() -> None:
        for number in range(JOBS):
            JOB.set(number)
            await queue.put(number)
        for _ in range(WORKERS):
            await queue.put(None)

    async def work() -> None:
        while (number := await queue.get()) is not None:
            async with permits:
                await square(number)
            async with lock:
                done.append(number)
                if number % 10 == 0:
                    await asyncio.sleep(0)
            queue.task_done()
        if len(done) == JOBS:
            ended.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(produce(), name="producer")
        for _ in range(WORKERS):
            group.create_task(work())
    await ended.wait()


async def groups() -> None:
    """Many tasks at once, awaited in each of asyncio's ways."""
    results = await asyncio.gather(*(square(number) for number in range(800)))
    results += [await one for one in asyncio.as_completed([square(number) for number in range(400)])]
    finished, _ = await asyncio.wait([asyncio.create_task(square(number)) for number in range(400)])
    results += [task.result() for task in finished]
    for number in range(600):
        results.append(await asyncio.create_task(square(number)))
    assert len(results) == 2200


async def square(number: int) -> int:
    """A coroutine that gives way once, or twice."""
    await asyncio.sleep(0)
    if number % 3 == 0:
        await asyncio.sleep(0)
    return number * number


async def calls_and_answers(length: int) -> None:
    """Two tasks that wake each other through futures."""
    loop = asyncio.get_running_loop()
    calls: asyncio.Queue[asyncio.Future[int]] = asyncio.Queue()

    async def answer() -> None:
        for number in range(length):
            (await calls.get()).set_result(number)

    async with asyncio.TaskGroup() as group:
        group.create_task(answer())
        for number in range(length):
            call = loop.create_future()
            calls.put_nowait(call)
            assert await call == number


async def callbacks(width: int, length: int) -> None:
    """Callbacks that queue others, with and without arguments, some of them as another thread would."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    left = itertools.count(width * length, -1)

    def plain() -> None:
        number = next(left)
        if number > 0:
            loop.call_soon(with_arguments, number, "twice")
        elif not ended.done():
            ended.set_result(None)

    def with_arguments(number: int, _text: str) -> None:
        loop.call_soon(plain)
        if number % 8 == 0:
            loop.call_soon_threadsafe(plain)

    for _ in range(width):
        loop.call_soon(plain)
    await ended


async def failures() -> None:
    """Tasks that raise, and tasks that are cancelled."""

    async def fail(number: int) -> None:
        await asyncio.sleep(0)
        raise ValueError(number)

    await asyncio.gather(*(fail(number) for number in range(200)), return_exceptions=True)
    sleepers = [asyncio.create_task(asyncio.sleep(30)) for _ in range(200)]
    await asyncio.sleep(0)
    for sleeper in sleepers:
        sleeper.cancel()
    await asyncio.gather(*sleepers, return_exceptions=True)
