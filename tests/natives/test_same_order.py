"""Random programs over locks, queues and events run step by step as they do with asyncio's own helpers.

A program is a list of tasks, each a list of steps. Both runs note every step that a task completes, and how
each task ended; the notes must be equal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import maypole
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

TASKS_MAX = 6
STEPS_MAX = 8
Step = tuple[str, int]

NAMES = """
    lock semaphore put get wait join gather put_nowait get_nowait set clear done
"""
STEPS = st.one_of(
    st.tuples(st.sampled_from(NAMES.split()), st.just(0)),
    st.tuples(st.sampled_from(["yield", "hold"]), st.integers(0, 3)),
    st.tuples(st.just("sleep"), st.integers(1, 3)),
    st.tuples(st.just("cancel"), st.integers(0, TASKS_MAX - 1)),
)
PROGRAMS = st.lists(st.lists(STEPS, max_size=STEPS_MAX), min_size=1, max_size=TASKS_MAX)


class Run:
    """One program with one set of helpers."""

    def __init__(self, api: Any, program: list[list[Step]]) -> None:
        self.api = api
        self.program = program
        self.notes: list[tuple[Any, ...]] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.lock, self.semaphore, self.event = api.Lock(), api.Semaphore(2), api.Event()
        self.queue = api.Queue(2)
        self.ending = False

    async def main(self) -> list[tuple[Any, ...]]:
        self.tasks = [asyncio.create_task(self.play(name, steps)) for name, steps in enumerate(self.program)]
        await asyncio.wait(self.tasks, timeout=5)
        pending = [task for task in self.tasks if not task.done()]
        self.notes.append(("pending", len(pending), *self.states()))
        self.ending = True
        for task in pending:
            task.cancel()
        ends = await asyncio.gather(*self.tasks, return_exceptions=True)
        self.notes.append(("ends", *(type(end).__name__ for end in ends)))
        self.notes.append(self.states())
        return self.notes

    def states(self) -> tuple[Any, ...]:
        return self.lock.locked(), self.semaphore._value, self.event.is_set(), str(self.queue)

    async def play(self, name: int, steps: list[Step]) -> None:
        for step, number in steps:
            try:
                answer = await getattr(self, f"do_{step}")(number)
            except (asyncio.QueueEmpty, asyncio.QueueFull, ValueError) as error:
                answer = type(error).__name__
            except asyncio.CancelledError:
                self.notes.append((name, step, "cancelled"))
                if number % 2 or self.ending:
                    raise
                answer = "went on"
            self.notes.append((name, step, answer))

    async def do_lock(self, _: int) -> None:
        async with self.lock:
            self.notes.append(("locked",))
            await self.api.sleep(0)

    async def do_hold(self, turns: int) -> None:
        await self.lock.acquire()
        try:
            for _ in range(turns):
                await self.api.sleep(0)
        finally:
            self.lock.release()

    async def do_semaphore(self, _: int) -> None:
        async with self.semaphore:
            await self.api.sleep(0)

    async def do_put(self, _: int) -> None:
        await self.queue.put(len(self.notes))

    async def do_get(self, _: int) -> object:
        return await self.queue.get()

    async def do_put_nowait(self, _: int) -> None:
        self.queue.put_nowait(len(self.notes))

    async def do_get_nowait(self, _: int) -> object:
        return self.queue.get_nowait()

    async def do_done(self, _: int) -> None:
        self.queue.task_done()

    async def do_join(self, _: int) -> None:
        await self.queue.join()

    async def do_wait(self, _: int) -> object:
        return await self.event.wait()

    async def do_set(self, _: int) -> None:
        self.event.set()

    async def do_clear(self, _: int) -> None:
        self.event.clear()

    async def do_gather(self, _: int) -> object:
        return await self.api.gather(self.queue.get(), self.api.sleep(0, "slept"), return_exceptions=True)

    async def do_yield(self, turns: int) -> None:
        for _ in range(turns):
            await self.api.sleep(0)

    async def do_sleep(self, seconds: int) -> object:
        return await self.api.sleep(seconds, seconds)

    async def do_cancel(self, which: int) -> bool:
        return which < len(self.tasks) and self.tasks[which].cancel()


def virtual_maypole() -> asyncio.AbstractEventLoop:
    return maypole.new_event_loop(clock="virtual")


def virtual_asyncio() -> asyncio.AbstractEventLoop:
    from maypole.testing.selector_loop import VirtualSelectorLoop

    return VirtualSelectorLoop()


def play(api: Any, factory: Callable[[], asyncio.AbstractEventLoop], program: list[list[Step]]) -> Any:
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(Run(api, program).main())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(PROGRAMS)
def test_random_programs_run_as_with_asyncio(program: list[list[Step]]) -> None:
    expected = play(asyncio, virtual_asyncio, program)
    assert play(maypole, virtual_maypole, program) == expected
    assert play(maypole, virtual_asyncio, program) == expected
