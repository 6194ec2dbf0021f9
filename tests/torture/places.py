"""The places in which a loop calls user code, outside of protocols: one scenario for each."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import threading
import weakref
from collections.abc import Awaitable, Callable
from typing import Any

from torture.misconduct import Case

Scenario = Callable[[Case], Awaitable[None]]
PLACES: dict[str, Scenario] = {}


def place(body: Scenario) -> Scenario:
    """Add a scenario under its name."""
    PLACES[body.__name__] = body
    return body


async def turns(count: int = 4) -> None:
    """Let the loop take some turns."""
    for _ in range(count):
        await asyncio.sleep(0)


async def settle(seconds: float = 0.0008) -> None:
    """Let the loop ask for descriptors, and do what comes of that."""
    for _ in range(2):
        await asyncio.sleep(seconds)


@place
async def call_soon(case: Case) -> None:
    case.loop.call_soon(case.misbehave, "callback")
    case.loop.call_soon(case.seen.append, "next callback")
    await turns()


@place
async def call_later(case: Case) -> None:
    when = case.loop.time() + 0.001
    case.loop.call_later(0.001, int)
    case.loop.call_at(when, case.misbehave, "timer")
    case.loop.call_at(when, case.seen.append, "timer of the same time")
    await asyncio.sleep(0.005)


@place
async def call_soon_threadsafe(case: Case) -> None:
    thread = threading.Thread(target=case.loop.call_soon_threadsafe, args=(case.misbehave, "callback"))
    thread.start()
    thread.join()
    await turns()


@place
async def add_reader(case: Case) -> None:
    left, right = socket.socketpair()
    with left, right:

        def readable() -> None:
            left.recv(10)
            case.misbehave("reader")

        case.loop.add_reader(left, readable)
        try:
            right.send(b"x")
            await settle()
        finally:
            case.loop.remove_reader(left)


@place
async def add_writer(case: Case) -> None:
    left, right = socket.socketpair()
    with left, right:

        def writable() -> None:
            case.loop.remove_writer(left)
            case.misbehave("writer")

        case.loop.add_writer(left, writable)
        await settle()


@place
async def signal_handler(case: Case) -> None:
    case.loop.add_signal_handler(signal.SIGUSR1, case.misbehave, "signal handler")
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.sleep(0.01)
    finally:
        case.loop.remove_signal_handler(signal.SIGUSR1)


@place
async def future_callback(case: Case) -> None:
    future = case.loop.create_future()
    future.add_done_callback(lambda _: case.misbehave("done callback"))
    future.add_done_callback(lambda _: case.seen.append("next done callback"))
    future.set_result(None)
    await turns()


@place
async def task_callback(case: Case) -> None:
    task = asyncio.ensure_future(asyncio.sleep(0))
    task.add_done_callback(lambda _: case.misbehave("done callback"))
    await task
    await turns()


@place
async def task_body(case: Case) -> None:
    async def body() -> None:
        await asyncio.sleep(0)
        case.misbehave("task")
        await asyncio.sleep(0)

    task = asyncio.ensure_future(body())
    await asyncio.wait([task], timeout=0.05)
    case.seen.append(f"done: {task.done()}, cancelled: {task.cancelled()}")
    if task.done() and not task.cancelled():
        case.seen.append(repr(task.exception()))


@place
async def task_answers_cancel(case: Case) -> None:
    async def body() -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            case.misbehave("except CancelledError")
            raise

    task = asyncio.ensure_future(body())
    await turns()
    task.cancel()
    await asyncio.wait([task], timeout=0.05)
    case.seen.append(f"cancelled: {task.cancelled()}")


@place
async def task_finally(case: Case) -> None:
    async def body() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            case.misbehave("finally")

    await asyncio.gather(body(), return_exceptions=True)


@place
async def awaitable(case: Case) -> None:
    class Misbehaving:
        def __await__(self) -> Any:
            yield
            case.misbehave("__await__")

    async def body() -> None:
        await Misbehaving()

    await asyncio.wait([asyncio.ensure_future(body())], timeout=0.05)


@place
async def task_factory(case: Case) -> None:
    def factory(loop: Any, coro: Any, **rest: Any) -> Any:
        try:
            case.misbehave("task factory")
        except BaseException:
            coro.close()
            raise
        return asyncio.Task(coro, loop=loop, **rest)

    case.loop.set_task_factory(factory)
    try:
        await case.loop.create_task(asyncio.sleep(0))
    finally:
        case.loop.set_task_factory(None)


@place
async def executor_job(case: Case) -> None:
    await case.loop.run_in_executor(None, case.misbehave, "executor job")


@place
async def exception_handler(case: Case) -> None:
    before = case.loop.get_exception_handler()
    case.loop.set_exception_handler(lambda *_: case.misbehave("exception handler"))
    case.loop.call_soon(divmod, 1, 0)
    try:
        await turns()
    finally:
        case.loop.set_exception_handler(before)


class Shy:
    """A callback that fails, and that does not want to be shown."""

    def __init__(self, case: Case) -> None:
        self.case = case

    def __repr__(self) -> str:
        self.case.misbehave("__repr__")
        return "<shy>"

    def __call__(self, *_: object) -> None:
        raise LookupError("callback")


@place
async def repr_of_callback(case: Case) -> None:
    case.loop.call_soon(Shy(case), Shy(case))
    await turns()


@place
async def repr_of_handle(case: Case) -> None:
    timer = case.loop.call_later(10, Shy(case))
    try:
        repr(timer)
    finally:
        timer.cancel()


@place
async def repr_of_result(case: Case) -> None:
    future: asyncio.Future[object] = case.loop.create_future()
    future.set_result(Shy(case))
    repr(future)


class Dying:
    """A callback that misbehaves when it is destroyed; what it raises is unraisable."""

    def __init__(self, case: Case) -> None:
        self.case = case

    def __call__(self, *_: object) -> None:
        pass

    def __del__(self) -> None:
        self.case.misbehave("__del__")


@place
async def destructor_after_call(case: Case) -> None:
    case.loop.call_soon(Dying(case))
    await turns()


@place
async def destructor_at_cancel(case: Case) -> None:
    case.loop.call_later(10, Dying(case)).cancel()
    await turns()


@place
async def destructor_of_result(case: Case) -> None:
    future: asyncio.Future[object] | None = case.loop.create_future()
    assert future is not None
    future.set_result(Dying(case))
    future = None
    await turns()


@place
async def weak_reference_to_task(case: Case) -> None:
    task: asyncio.Future[None] | None = asyncio.ensure_future(asyncio.sleep(0))
    assert task is not None
    watch = weakref.ref(task, lambda _: case.misbehave("weak reference"))
    task = None
    await turns(6)
    assert watch() is None


@place
async def weak_reference_to_handle(case: Case) -> None:
    watch = weakref.ref(case.loop.call_soon(int), lambda _: case.misbehave("weak reference"))
    await turns()
    assert watch() is None


@place
async def comparison_of_callbacks(case: Case) -> None:
    class Comparable(Dying):
        def __eq__(self, other: object) -> bool:
            case.misbehave("__eq__")
            return self is other

        __hash__ = None  # type: ignore[assignment]

        def __del__(self) -> None:
            pass

    future = case.loop.create_future()
    for _ in range(3):
        future.add_done_callback(Comparable(case))
    try:
        future.remove_done_callback(Comparable(case))
    finally:
        future.cancel()


@place
async def fileno(case: Case) -> None:
    class Descriptor:
        def fileno(self) -> int:
            case.misbehave("fileno")
            return 0

    try:
        case.loop.add_reader(Descriptor(), int)
    finally:
        with contextlib.suppress(ValueError):
            case.loop.remove_reader(0)


@place
async def delay(case: Case) -> None:
    class Delay(float):
        def __radd__(self, other: float) -> float:
            case.misbehave("__radd__")
            return other

    case.loop.call_later(Delay(0), case.seen.append, "timer")
    await turns()


@place
async def async_generator(case: Case) -> None:
    async def generate() -> Any:
        try:
            yield 1
        finally:
            case.misbehave("generator's finally")

    generator = generate()
    await anext(generator)
    del generator
    await turns(6)


@place
async def time_of_the_loop(case: Case) -> None:
    plain = case.loop.time

    def time() -> float:
        case.misbehave("time")
        return plain()

    case.loop.time = time  # type: ignore[method-assign]
    try:
        case.loop.call_later(0.001, case.seen.append, "timer")
        await asyncio.sleep(0.01)
    finally:
        del case.loop.time


@place
async def log_handler(case: Case) -> None:
    import logging

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            case.misbehave("log handler")

    handler = Handler()
    before = case.loop.get_exception_handler()
    case.loop.set_exception_handler(None)
    logging.getLogger("asyncio").addHandler(handler)
    case.loop.call_soon(divmod, 1, 0)
    try:
        await turns()
    finally:
        logging.getLogger("asyncio").removeHandler(handler)
        case.loop.set_exception_handler(before)
