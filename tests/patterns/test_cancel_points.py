"""A task is cancelled at each of its awaits in turn: nothing stays taken, lost or running; others go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from maypole.patterns import (
    Adaptive,
    Background,
    Bulkhead,
    CircuitBreaker,
    Hedge,
    KeyedLock,
    Latch,
    Lifespan,
    Policy,
    Pool,
    RateLimit,
    Retry,
    RWLock,
    SingleFlight,
    TaskScope,
    ValueEvent,
    amap,
    channel,
    every,
    race,
    source,
    supervise,
)
from maypole.testing import run_virtual
from patterns.conftest import UVLOOP, WITH_UVLOOP

STEP_S = 0.001
AWAITS_MAX = 60

Scenario = Callable[[], "Any"]


class CancelAt:
    """Awaits a coroutine, and has its task cancelled at the await of that number."""

    def __init__(self, work: Coroutine[Any, Any, Any], number: int) -> None:
        self._work = work
        self._left = number

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self._work.__await__()
        resume: Callable[[], Any] = lambda: inner.send(None)  # noqa: E731
        while True:
            try:
                waits_for = resume()
            except StopIteration as end:
                return end.value
            self._left -= 1
            if self._left == 0:
                task = asyncio.current_task()
                assert task is not None
                asyncio.get_running_loop().call_soon(task.cancel)
            try:
                yield waits_for
                resume = lambda: inner.send(None)  # noqa: E731
            except BaseException as error:
                resume = lambda error=error: inner.throw(error)  # type: ignore[misc]  # noqa: E731

    @property
    def reached(self) -> bool:
        """Whether there were so many awaits."""
        return self._left <= 0


async def nap() -> None:
    await asyncio.sleep(STEP_S)


@asynccontextmanager
async def limit() -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    one = RateLimit(1 / STEP_S)
    yield one.acquire
    assert one.stats().waiting == 0
    await one.acquire()


@asynccontextmanager
async def bulkhead() -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    places = Bulkhead(1, max_waiting=None)

    async def use() -> None:
        async with places:
            await nap()

    yield use
    assert (places.stats().in_use, places.stats().waiting) == (0, 0)


@asynccontextmanager
async def adaptive() -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    places = Adaptive(target=1, min=1, initial=1, max_waiting=None)

    async def use() -> None:
        async with places:
            await nap()

    yield use
    assert (places.stats().in_use, places.stats().waiting) == (0, 0)


@asynccontextmanager
async def probe() -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    breaker = CircuitBreaker("db", consecutive=1, open_for=STEP_S, jitter=0, probes=1)

    async def call() -> None:
        while (permit := breaker.try_acquire()) is None:
            await nap()
        with permit:
            await nap()

    with breaker.acquire() as permit:
        permit.failure()
    await asyncio.sleep(2 * STEP_S)
    yield call
    assert breaker.state == "closed"  # somebody's probe has worked
    assert not breaker.busy


@asynccontextmanager
async def pool() -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    made: list[object] = []
    closed: list[object] = []

    async def create() -> object:
        await nap()
        made.append(object())
        return made[-1]

    async def close(item: object) -> None:
        await nap()
        closed.append(item)

    items = Pool(create, close, max_size=1)

    async def use() -> None:
        async with items.acquire():
            await nap()

    async with items:
        yield use
        assert items.stats().requests_waiting == 0
        assert items.stats().pool_size == items.stats().pool_available
    assert closed == made


@asynccontextmanager
async def senders() -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    send, receive = channel[int](1)
    received: list[int] = []

    async def consume() -> None:
        async for item in receive:
            await nap()
            received.append(item)

    async def send_two() -> None:
        await send.send(1)
        await send.send(2)

    consumer = asyncio.ensure_future(consume())
    yield send_two
    assert send.stats().waiting_senders == 0
    send.close()
    await consumer
    assert len(received) == receive.stats().sent


@asynccontextmanager
async def receivers() -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    send, receive = channel[int](3)
    received: list[int] = []

    async def produce() -> None:
        for item in range(3):
            await nap()
            await send.send(item)

    async def take() -> None:
        received.append(await receive.recv())

    producer = asyncio.ensure_future(produce())
    yield take
    await producer
    stats = receive.stats()
    assert (stats.waiting_receivers, stats.depth + len(received)) == (0, 3)  # no item is lost
    send.close()
    receive.close()


@asynccontextmanager
async def keyed_lock() -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    lock = KeyedLock[str]()

    async def use() -> None:
        async with lock.hold("a"):
            await nap()

    yield use
    assert (lock.stats().held, lock.stats().waiting) == (0, 0)


@asynccontextmanager
async def rwlock() -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    lock = RWLock()

    async def use() -> None:
        async with lock.read():
            await nap()
        async with lock.write():
            await nap()

    yield use
    assert (lock.stats().reading, lock.stats().writing, lock.stats().waiting) == (0, False, 0)


@asynccontextmanager
async def single_flight() -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    flights = SingleFlight()

    yield lambda: flights.do("key", nap)
    assert (flights.stats().in_flight, flights.stats().waiting) == (0, 0)


@asynccontextmanager
async def policy() -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    places, rate = Bulkhead(1, max_waiting=None), RateLimit(1 / STEP_S, burst=2)
    breaker = CircuitBreaker("db", slow_call=10.0)
    together = Policy(
        deadline=10,
        retry=Retry(2, wait=STEP_S),
        breaker=breaker,
        rate=rate,
        bulkhead=places,
        attempt_timeout=5,
    )
    failed: list[None] = []

    async def call() -> None:
        await nap()
        if not failed:
            failed.append(None)
            raise OSError("the first call fails")

    yield lambda: together.call(call)
    assert (places.stats().in_use, places.stats().waiting, rate.stats().waiting) == (0, 0, 0)
    stats = breaker.stats()
    assert stats.admitted == stats.succeeded + stats.failed + stats.cancelled + stats.late


def leaves_nothing(work: Callable[[], Awaitable[Any]]) -> Scenario:
    """A scenario about which only tasks can say something: none may be left."""

    @asynccontextmanager
    async def scenario() -> AsyncIterator[Callable[[], Awaitable[Any]]]:
        yield work

    scenario.__name__ = work.__name__
    return scenario


async def scope() -> None:
    async with TaskScope() as tasks:
        tasks.start(nap())
        tasks.start(nap())
        await nap()


async def background() -> None:
    async with Background(limit=1, drain=STEP_S) as jobs:
        jobs.start(nap())
        await jobs.submit(nap())


async def lifespan() -> None:
    log: list[str] = []

    @asynccontextmanager
    async def part(name: str) -> AsyncIterator[str]:
        await nap()
        log.append(f"{name} started")
        try:
            yield name
        finally:
            log.append(f"{name} stopped")

    try:
        async with Lifespan() as parts:
            for name in ("first", "second"):
                await parts.enter(part(name))
            await nap()
    finally:
        assert log.count("first started") == log.count("first stopped")
        assert log.count("second started") == log.count("second stopped")


async def supervised() -> None:
    runs: list[None] = []

    async def fail_once() -> None:
        runs.append(None)
        await nap()
        if len(runs) == 1:
            raise OSError("once")

    await supervise(fail_once)


async def beats() -> None:
    async def beat() -> None:
        await nap()

    async with asyncio.timeout(4 * STEP_S):
        await every(beat, STEP_S)


async def mapped() -> None:
    async def one(item: int) -> int:
        await nap()
        return item

    assert await amap(one, range(5), concurrency=2) == [0, 1, 2, 3, 4]


async def piped() -> None:
    async def one(item: int) -> int:
        await nap()
        return item

    assert await source(range(5)).map(one, concurrency=2).batch(2).collect() == [[0, 1], [2, 3], [4]]


async def raced() -> None:
    async def one(item: int) -> int:
        await asyncio.sleep(item * STEP_S)
        return item

    assert await race(one(1), one(5)) == 1


async def hedged() -> None:
    delays = iter([100, 2, 2, 2])

    async def one() -> None:
        await asyncio.sleep(next(delays) * STEP_S)

    await Hedge(after=STEP_S).call(one)


async def latch() -> None:
    gate, value = Latch(1), ValueEvent[int]()
    loop = asyncio.get_running_loop()
    loop.call_later(STEP_S, gate.count_down)
    loop.call_later(2 * STEP_S, value.set, 1)
    await gate.wait()
    await value.wait()


ALONE = (scope, background, lifespan, supervised, beats, mapped, piped, raced, hedged, latch)
SCENARIOS: list[Scenario] = [
    *(limit, bulkhead, adaptive, probe, pool, senders, receivers, keyed_lock, rwlock, single_flight, policy),
    *(leaves_nothing(work) for work in ALONE),
]


async def cancelled_at(number: int, scenario: Scenario) -> bool:
    """Run a scenario with three tasks, and cancel the second at that await; whether it had so many."""
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with scenario() as work:

        async def run() -> None:
            await work()

        victim = CancelAt(run(), number)

        async def suffer() -> None:
            await victim

        tasks = [asyncio.ensure_future(one()) for one in (run, suffer, run)]
        done = await asyncio.gather(*tasks, return_exceptions=True)
        for index in (0, 2):
            assert done[index] is None or isinstance(done[index], TimeoutError), done[index]
        assert done[1] is None or isinstance(done[1], (asyncio.CancelledError, TimeoutError)), done[1]
    for _ in range(3):
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left
    assert not complaints
    return victim.reached


async def in_time(main: Coroutine[Any, Any, bool]) -> bool:
    """On a real loop nobody sees that nothing can go on."""
    async with asyncio.timeout(5):
        return await main


@pytest.mark.parametrize("loop", ["asyncio", "maypole", WITH_UVLOOP])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: str(scenario.__name__))
def test_a_task_is_cancelled_at_each_of_its_awaits(scenario: Scenario, loop: Any) -> None:
    for number in range(1, AWAITS_MAX):
        main = cancelled_at(number, scenario)
        if loop is UVLOOP:
            with asyncio.Runner(loop_factory=UVLOOP.new_loop) as runner:
                reached = runner.run(in_time(main))
        else:
            reached = run_virtual(main, loop=loop)
        if not reached:
            assert number > 1
            return
    raise AssertionError(f"more than {AWAITS_MAX} awaits")
