"""Random programs of tasks, futures, callbacks and helpers, whose events must come in asyncio's order.

Run as ``python -m torture.random_orders SEED COUNT [STEPS]``. Each program runs on the virtual clock: on
asyncio's loop and on maypole's, then with maypole's helpers installed on both. What differs is printed
with its seed.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import difflib
import gc
import logging
import random
import re
import sys
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import maypole
from maypole.testing.selector_loop import VirtualSelectorLoop

STEPS_MAX = 6
DEPTH_MAX = 3
TASKS_MAX = 60
CHOICE: contextvars.ContextVar[str] = contextvars.ContextVar("choice", default="none")


class Failed(Exception):
    """What a program raises by itself."""


def delay_s(dice: random.Random) -> float:
    """Now, or at a time that no other timer has: asyncio runs equal ones in no order that it promises."""
    return dice.choice((0.0, dice.random() / 100, dice.random() / 500))


def limit_s(dice: random.Random) -> float | None:
    return dice.choice((None, -1.0, delay_s(dice)))


def plain(value: object) -> str:
    """A value without addresses, and with the names of asyncio's own classes."""
    text = repr(value)
    text = re.sub(r"0x[0-9a-f]+", "0x", re.sub(r"Task-\d+", "Task-n", text))
    return re.sub(r"maypole\.(?:_maypole\.|natives[.\w]*\.)?|_?asyncio\.(?:[a-z]+\.)?", "", text)[:160]


def error_text(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        inner = ", ".join(error_text(one) for one in error.exceptions)
        return f"{type(error).__name__}[{inner}]"
    if isinstance(error, RecursionError):
        return "RecursionError"
    return f"{type(error).__name__}{plain(error.args)}"


class Program:
    """One program; every task throws its own dice, so that only the order of events can differ."""

    def __init__(self, seed: str, steps_max: int) -> None:
        self.seed = seed
        self.steps_max = steps_max
        self.notes: list[str] = []
        self.reported: list[str] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.handles: list[asyncio.Handle] = []
        self.made = 0
        self.ending = self.reading = False

    def note(self, *parts: object) -> None:
        if not self.ending:
            self.notes.append(" ".join(part if isinstance(part, str) else plain(part) for part in parts))

    async def main(self) -> None:
        dice = random.Random(self.seed)
        self.loop = loop = asyncio.get_running_loop()
        loop.set_exception_handler(self.report)
        if hasattr(asyncio, "eager_task_factory") and dice.random() < 0.2:
            loop.set_task_factory(asyncio.eager_task_factory)
        self.futures: list[asyncio.Future[Any]] = [loop.create_future() for _ in range(4)]
        self.lock, self.event = asyncio.Lock(), asyncio.Event()
        self.semaphore = asyncio.BoundedSemaphore(2)
        self.condition = asyncio.Condition()
        self.queues: list[asyncio.Queue[Any]] = [
            asyncio.Queue(1),
            asyncio.LifoQueue(2),
            asyncio.PriorityQueue(),
        ]
        self.barrier = asyncio.Barrier(2)
        self.reader = asyncio.StreamReader(limit=20)
        for place in range(dice.randrange(1, 5)):
            self.start(f"t{place}", dice)
        await asyncio.wait(self.tasks, timeout=1)
        self.note("pending", sum(not task.done() for task in self.tasks))
        self.note(self.lock.locked(), self.event.is_set(), self.semaphore._value)
        self.note([queue.qsize() for queue in self.queues], len(asyncio.all_tasks()))
        names = (task.get_name() for task in asyncio.all_tasks())
        self.note(sorted(re.sub(r"Task-\d+", "Task-n", name) for name in names))
        self.ending = True
        for _ in range(50):
            left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            order = {id(task): place for place, task in enumerate(self.tasks)}
            for task in sorted(left, key=lambda task: order.get(id(task), len(order))):
                task.cancel()
            await asyncio.sleep(0.01)
        for task in self.tasks:
            self.notes.append(f"end {task.get_name()} {self.outcome(task)}")

    def report(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.reported.append(f"{plain(context['message'])} {error and error_text(error)}")

    @staticmethod
    def outcome(future: asyncio.Future[Any]) -> str:
        if not future.done():
            return "pending"
        if future.cancelled():
            return "cancelled"
        error = future.exception()
        return error_text(error) if error else plain(future.result())

    def start(self, name: str, dice: random.Random, **more: Any) -> asyncio.Task[Any]:
        task = self.loop.create_task(self.play(name, dice.randrange(DEPTH_MAX)), name=name, **more)
        self.tasks.append(task)
        return task

    async def play(self, name: str, depth: int) -> Any:
        """Some steps of one task."""
        self.made += 1
        dice = random.Random(f"{self.seed} {name}")
        answer: Any = None
        for place in range(dice.randrange(1, self.steps_max + 1)):
            if self.ending:
                break
            kinds = self.QUICK if depth >= DEPTH_MAX or self.made > TASKS_MAX else self.ALL
            step = dice.choice(kinds)
            try:
                answer = await step(self, dice, f"{name}.{place}", depth)
                self.note(name, place, step.__name__, "->", answer)
            except asyncio.CancelledError as error:
                self.note(name, place, step.__name__, error_text(error))
                if self.ending or not self.survives(dice, name):
                    raise
            except Failed as error:
                self.note(name, place, step.__name__, error_text(error))
                if dice.random() < 0.3:
                    raise
            except Exception as error:
                self.note(name, place, step.__name__, error_text(error))
        return answer if isinstance(answer, str | int) else None

    def survives(self, dice: random.Random, name: str) -> bool:
        match dice.randrange(6):
            case 0:
                task = asyncio.current_task()
                assert task is not None
                self.note(name, "uncancels", task.cancelling(), task.uncancel())
                return True
            case 1:
                return True
            case 2:
                raise Failed("instead of a cancellation")
        return False

    # What a step does. Each gets the task's dice, a name for what it makes, and how deep it is.

    async def sleep(self, dice: random.Random, name: str, depth: int) -> Any:
        return await asyncio.sleep(delay_s(dice), name)

    async def do_at_once(self, dice: random.Random, name: str, depth: int) -> Any:
        return self.act(dice, name)

    async def await_future(self, dice: random.Random, name: str, depth: int) -> Any:
        future = dice.choice(self.futures)
        return await (asyncio.shield(future) if dice.random() < 0.3 else future)

    async def await_task(self, dice: random.Random, name: str, depth: int) -> Any:
        task = dice.choice(self.tasks)
        current = asyncio.current_task()
        if task is current or self.leads_to(task, current):
            return "a circle"
        return await (asyncio.shield(task) if dice.random() < 0.3 else task)

    def leads_to(self, task: Any, wanted: Any) -> bool:
        """Whether waiting for a task would be waiting for oneself; a gathering may lead anywhere."""
        for _ in range(TASKS_MAX):
            waited = getattr(task, "_fut_waiter", None)
            if waited is None:
                return False
            if waited is wanted or not isinstance(waited, asyncio.Task):
                return True
            task = waited
        return True

    async def set_choice(self, dice: random.Random, name: str, depth: int) -> Any:
        CHOICE.set(name)
        await asyncio.sleep(0)
        return CHOICE.get()

    async def fail(self, dice: random.Random, name: str, depth: int) -> Any:
        match dice.randrange(5):
            case 0:
                raise asyncio.CancelledError(name)
            case 1:
                raise StopAsyncIteration(name)
            case 2:
                raise TimeoutError(name)
        raise Failed(name)

    async def spawn(self, dice: random.Random, name: str, depth: int) -> Any:
        more: dict[str, Any] = {}
        if dice.random() < 0.3:
            more["context"] = contextvars.copy_context()
        task = self.start(name, dice, **more)
        self.note("spawned", name, self.outcome(task))
        if dice.random() < 0.3:
            task.cancel(name)
        return await task if dice.random() < 0.5 else "goes on"

    def child(self, dice: random.Random, name: str, depth: int) -> Any:
        """An awaitable for the helpers that take any."""
        match dice.randrange(5):
            case 0:
                return dice.choice(self.futures)
            case 1:
                return asyncio.sleep(delay_s(dice), name)
            case 2:
                return asyncio.ensure_future(self.play(name, depth + 1))
            case 3:
                return self.queues[0].get()
        return self.play(name, depth + 1)

    def children(self, dice: random.Random, name: str, depth: int) -> list[Any]:
        return [self.child(dice, f"{name}.{place}", depth) for place in range(dice.randrange(1, 4))]

    async def gather(self, dice: random.Random, name: str, depth: int) -> Any:
        children = self.children(dice, name, depth)
        gathered = asyncio.gather(*children, return_exceptions=dice.random() < 0.5)
        if dice.random() < 0.2:
            self.note(name, "cancels its gathering", gathered.cancel(name))
        return [error_text(one) if isinstance(one, BaseException) else one for one in await gathered or []]

    async def wait(self, dice: random.Random, name: str, depth: int) -> Any:
        children = [asyncio.ensure_future(one) for one in self.children(dice, name, depth)]
        names = (asyncio.FIRST_COMPLETED, asyncio.FIRST_EXCEPTION, asyncio.ALL_COMPLETED)
        done, pending = await asyncio.wait(children, timeout=limit_s(dice), return_when=dice.choice(names))
        for one in children:
            if one in pending and one not in self.futures:
                one.cancel()
        return [self.outcome(one) for one in children if one in done], len(pending)

    async def as_completed(self, dice: random.Random, name: str, depth: int) -> Any:
        ends: list[Any] = []
        children = self.children(dice, name, depth)
        if len(children) > 1:  # asyncio starts coroutines in the order of a set
            children = [asyncio.ensure_future(one) for one in children]
        done = sum(isinstance(one, asyncio.Future) and one.done() for one in children)
        for one in asyncio.as_completed(children, timeout=limit_s(dice)):
            try:
                ends.append(await one)
            except (Failed, TimeoutError) as error:
                ends.append(error_text(error))
        return ends if done < 2 else sorted(map(str, ends))

    async def wait_for(self, dice: random.Random, name: str, depth: int) -> Any:
        return await asyncio.wait_for(self.child(dice, name, depth), limit_s(dice))

    async def timeout(self, dice: random.Random, name: str, depth: int) -> Any:
        async with asyncio.timeout(limit_s(dice)) as limit:
            if dice.random() < 0.2:
                limit.reschedule(self.loop.time() + delay_s(dice))
            await self.play(name, depth + 1)
        return limit.expired()

    async def task_group(self, dice: random.Random, name: str, depth: int) -> Any:
        async with asyncio.TaskGroup() as group:
            # A group cancels its tasks in the order of a set, which is that of their addresses.
            for place in range(dice.randrange(2)):
                self.tasks.append(
                    group.create_task(self.play(f"{name}.{place}", depth + 1), name=f"{name}.{place}")
                )
                if dice.random() < 0.3:
                    await asyncio.sleep(0)
            if dice.random() < 0.2:
                raise Failed(name)
            if dice.random() < 0.3:
                self.act(dice, name)
        return "group over"

    async def hold_lock(self, dice: random.Random, name: str, depth: int) -> Any:
        async with self.lock:
            await asyncio.sleep(delay_s(dice))
        return "held"

    async def hold_permit(self, dice: random.Random, name: str, depth: int) -> Any:
        async with self.semaphore:
            await asyncio.sleep(delay_s(dice))
        return "held"

    async def wait_for_event(self, dice: random.Random, name: str, depth: int) -> Any:
        return await self.event.wait()

    async def wait_for_condition(self, dice: random.Random, name: str, depth: int) -> Any:
        async with self.condition:
            if dice.random() < 0.5:
                self.condition.notify(dice.randrange(3))
                return "notified"
            if dice.random() < 0.5:
                return await self.condition.wait()
            return await self.condition.wait_for(self.event.is_set)

    async def pass_barrier(self, dice: random.Random, name: str, depth: int) -> Any:
        if dice.random() < 0.1:
            await self.barrier.reset()
        return await self.barrier.wait()

    async def put(self, dice: random.Random, name: str, depth: int) -> Any:
        return await dice.choice(self.queues).put(name)

    async def get(self, dice: random.Random, name: str, depth: int) -> Any:
        queue = dice.choice(self.queues)
        item = await queue.get()
        if dice.random() < 0.7:
            queue.task_done()
        return item

    async def join(self, dice: random.Random, name: str, depth: int) -> Any:
        return await dice.choice(self.queues).join()

    async def read(self, dice: random.Random, name: str, depth: int) -> Any:
        # asyncio may lose the second of two readers, where maypole refuses it.
        if self.reading:
            return "somebody reads"
        self.reading = True
        try:
            return await self.read_once(dice)
        finally:
            self.reading = False

    async def read_once(self, dice: random.Random) -> bytes:
        match dice.randrange(4):
            case 0:
                return await self.reader.read(dice.randrange(-1, 9))
            case 1:
                return await self.reader.readline()
            case 2:
                return await self.reader.readexactly(dice.randrange(9))
        return await self.reader.readuntil(b"b")

    async def iterate(self, dice: random.Random, name: str, depth: int) -> Any:
        async def items() -> Any:
            try:
                for place in range(dice.randrange(3)):
                    await self.play(f"{name}.{place}", depth + 1)
                    yield place
            finally:
                self.note(name, "generator ends")
                await asyncio.sleep(0)

        seen = []
        async with contextlib.aclosing(items()) as source:
            async for item in source:
                seen.append(item)
                if dice.random() < 0.2:
                    break
        return seen

    async def clean_up(self, dice: random.Random, name: str, depth: int) -> Any:
        try:
            return await self.play(name, depth + 1)
        finally:
            await asyncio.sleep(delay_s(dice))
            self.note(name, "cleaned up")

    async def switch_eagerness(self, dice: random.Random, name: str, depth: int) -> Any:
        if not hasattr(asyncio, "eager_task_factory"):
            return None
        task = asyncio.eager_task_factory(self.loop, self.play(name, depth + 1), name=name)
        self.tasks.append(task)
        self.note("eager", name, self.outcome(task))
        return await task

    QUICK = (sleep, do_at_once, await_future, set_choice, fail, put, get, wait_for_event, read)
    LONG = (
        await_task, spawn, spawn, gather, wait, as_completed, wait_for, timeout, timeout, task_group,
        hold_lock, hold_permit, wait_for_condition, pass_barrier, join, iterate, clean_up, switch_eagerness,
    )  # fmt: skip
    ALL = (*QUICK, sleep, *[do_at_once] * 3, *LONG)

    # What is done at once, in a task or in a callback.

    def act(self, dice: random.Random, name: str) -> Any:
        future, task = dice.choice(self.futures), dice.choice(self.tasks or self.futures)
        acts: list[Callable[[], Any]] = [
            lambda: future.set_result(name),
            lambda: future.set_exception(Failed(name)),
            lambda: future.cancel(name),
            lambda: future.result(),
            lambda: plain(future.exception()),
            lambda: self.replace(future),
            lambda: self.replace(future),
            lambda: task.cancel(name),
            lambda: task.cancel(),
            lambda: task.uncancel(),  # type: ignore[attr-defined]
            lambda: (task.cancelling(), task.cancelled(), task.done()),  # type: ignore[attr-defined]
            lambda: task.result(),
            lambda: plain(task.exception()),
            lambda: task.add_done_callback(self.told),
            lambda: task.add_done_callback(self.told, context=contextvars.copy_context()),
            lambda: future.add_done_callback(self.told),
            lambda: task.remove_done_callback(self.told),
            lambda: future.remove_done_callback(self.told),
            lambda: self.handles.append(self.loop.call_soon(self.call, dice.random(), name)),
            lambda: self.handles.append(self.loop.call_later(delay_s(dice), self.call, dice.random(), name)),
            lambda: self.handles.append(
                self.loop.call_at(self.loop.time() + delay_s(dice), self.call, dice.random(), name)
            ),
            lambda: self.handles.append(self.loop.call_soon_threadsafe(self.call, dice.random(), name)),
            lambda: dice.choice(self.handles).cancel() if self.handles else None,
            lambda: dice.choice(self.handles).cancelled() if self.handles else None,
            lambda: self.event.set(),
            lambda: self.event.clear(),
            lambda: self.lock.release() if dice.random() < 0.1 else None,
            lambda: self.semaphore.release() if dice.random() < 0.2 else None,
            lambda: dice.choice(self.queues).put_nowait(name),
            lambda: dice.choice(self.queues).get_nowait(),
            lambda: dice.choice(self.queues).task_done(),
            lambda: self.reader.feed_data(name.encode() + b"b\n"[: dice.randrange(3)]),
            lambda: self.reader.feed_eof() if dice.random() < 0.1 else None,
            lambda: self.reader.at_eof(),
            lambda: self.spawn_from_callback(name, dice),
            lambda: round(self.loop.time(), 4),
            lambda: CHOICE.get(),
        ]
        return dice.choice(acts)()

    def replace(self, future: asyncio.Future[Any]) -> str:
        if future in self.futures:
            self.futures[self.futures.index(future)] = self.loop.create_future()
        return "replaced"

    def spawn_from_callback(self, name: str, dice: random.Random) -> str:
        self.start(f"{name}c", dice)
        return "spawned"

    def told(self, future: asyncio.Future[Any]) -> None:
        name = future.get_name() if isinstance(future, asyncio.Task) else "future"
        self.note("told", name, self.outcome(future), CHOICE.get())

    def call(self, thrown: float, name: str) -> None:
        if self.ending:
            return
        self.note("called", name, CHOICE.get(), asyncio.current_task())
        dice = random.Random(f"{self.seed} {name} {thrown}")
        answer = self.act(dice, f"{name}c")
        self.note("called", name, "->", answer)


Factory = Callable[[], asyncio.AbstractEventLoop]


def virtual_maypole() -> asyncio.AbstractEventLoop:
    return maypole.new_event_loop(clock="virtual")


def history(factory: Factory, seed: str, steps_max: int) -> list[str]:
    """The events of one program, and then what was reported, in any order."""
    program = Program(seed, steps_max)
    main: Coroutine[Any, Any, None] = program.main()
    try:
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(main)
    except BaseException as error:
        program.notes.append(f"the program itself: {error_text(error)}")
    notes, reported = program.notes, program.reported
    del program, main
    gc.collect()
    if any("RecursionError" in note for note in notes):
        return notes  # a circle of gatherings: how much of it is collected is not the order of events
    return [*notes, "reported:", *sorted(reported)]


def differences(seed: str, steps_max: int) -> list[str]:
    """How maypole's events differ from asyncio's; nothing if they do not."""
    maypole.uninstall()  # a mode of tests/modes may have installed the helpers
    expected = history(VirtualSelectorLoop, seed, steps_max)
    found = {"maypole": history(virtual_maypole, seed, steps_max)}
    maypole.install()
    try:
        found["installed"] = history(virtual_maypole, seed, steps_max)
        found["helpers"] = history(VirtualSelectorLoop, seed, steps_max)
    finally:
        maypole.uninstall()
    lines: list[str] = []
    for name, events in found.items():
        if events != expected:
            lines.append(f"seed {seed}, {steps_max} steps: {name}")
            lines += difflib.unified_diff(expected, events, "asyncio", name, lineterm="", n=12)
    return lines


def main(first: int, count: int, steps_max: int) -> int:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    different = 0
    for seed in range(first, first + count):
        lines = differences(str(seed), steps_max)
        if lines:
            different += 1
            sys.stdout.write("\n".join(lines[:80]) + "\n")
    sys.stdout.write(f"{different} of {count} programs from seed {first} differ\n")
    return min(different, 100)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else STEPS_MAX))
