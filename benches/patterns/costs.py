"""What a call costs: CPU time per operation, of maypole's patterns and of others that do the same.

Each cell is a fresh process that warms up and then measures. In each round all libraries of a row run one
after the other, in an order that changes; ratios are taken within a round, against maypole's.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

from measuring.interval import around_median, paired_ratios

from patterns.checks import version

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TIMEOUT_S = 120
OWN_LOOP = "maypole on its loop"
ASYNCIO_ON_OURS = "asyncio on maypole's loop"
ON_OUR_LOOP = (OWN_LOOP, ASYNCIO_ON_OURS)

GOALS_US = {"limit": 0.5, "bulkhead": 0.5, "breaker": 0.8, "channel": 1.5, "amap": 1.0}
"""What a call of ours may cost, in microseconds on a quiet machine."""

GOALS_TIMES = {("grant", "maypole"): ("asyncio", 1.2), ("grant", OWN_LOOP): (ASYNCIO_ON_OURS, 1.2)}
"""How many times the CPU time of another cell a call of ours may cost."""

ROWS = {
    "limit": "rate limit, `async with`, a unit is there",
    "grant": "rate limit, 2,000 wait at 10,000/s (beside so many plain sleeps)",
    "bulkhead": "bulkhead, `async with`, a place is free",
    "breaker": "circuit breaker, `async with`, closed",
    "channel": "channel of 100, one item from task to task",
    "amap": "one async function over 20,000 items, 10 at a time",
}
COSTS: dict[tuple[str, str], Callable[[int], Awaitable[None]]] = {}
OPERATIONS = {
    "limit": 100_000,
    "grant": 2_000,
    "bulkhead": 100_000,
    "breaker": 50_000,
    "channel": 50_000,
    "amap": 20_000,
}
SLOW = {
    ("limit", "pyrate-limiter"): 10_000,
    ("bulkhead", "anyio"): 20_000,
    ("breaker", "interlock-cb"): 10_000,
    ("breaker", "fluxgate"): 10_000,
    ("channel", "anyio"): 20_000,
    ("amap", "aiometer"): 2_000,
    ("amap", "aiostream"): 2_000,
}
"""Fewer operations where one takes so long that a round would not end."""


def cost(
    what: str, library: str
) -> Callable[[Callable[[int], Awaitable[None]]], Callable[[int], Awaitable[None]]]:
    """Register a function that does so many operations."""

    def register(run: Callable[[int], Awaitable[None]]) -> Callable[[int], Awaitable[None]]:
        COSTS[what, library] = run
        return run

    return register


async def enter(block: Any, count: int) -> None:
    """Go in and out so often."""
    for _ in range(count):
        async with block:
            pass


@cost("limit", OWN_LOOP)
@cost("limit", "maypole")
async def maypole_limit(count: int) -> None:
    from maypole.patterns import RateLimit

    await enter(RateLimit(1e9, burst=1e9), count)


@cost("limit", "aiolimiter")
async def aiolimiter_limit(count: int) -> None:
    from aiolimiter import AsyncLimiter

    await enter(AsyncLimiter(1e9, 1), count)


@cost("limit", "pyrate-limiter")
async def pyrate_limit(count: int) -> None:
    from pyrate_limiter import Limiter, Rate

    limiter = Limiter(Rate(10**9, 1000))
    for _ in range(count):
        await limiter.try_acquire_async("a")


async def all_of(wait: Callable[[int], Awaitable[Any]], count: int) -> None:
    """Let so many tasks wait at once."""
    await asyncio.gather(*(wait(number) for number in range(count)))


@cost("grant", OWN_LOOP)
@cost("grant", "maypole")
async def maypole_grant(count: int) -> None:
    from maypole.patterns import RateLimit

    limit = RateLimit(10_000, burst=1)
    await all_of(lambda _: limit.acquire(), count)


@cost("grant", "aiolimiter")
async def aiolimiter_grant(count: int) -> None:
    from aiolimiter import AsyncLimiter

    limiter = AsyncLimiter(1, 1 / 10_000)
    await all_of(lambda _: limiter.acquire(), count)


@cost("grant", ASYNCIO_ON_OURS)
@cost("grant", "asyncio")
async def plain_sleeps(count: int) -> None:
    await all_of(lambda number: asyncio.sleep((number + 1) / 10_000), count)


@cost("bulkhead", OWN_LOOP)
@cost("bulkhead", "maypole")
async def maypole_bulkhead(count: int) -> None:
    from maypole.patterns import Bulkhead

    await enter(Bulkhead(10), count)


@cost("bulkhead", "asyncio")
async def semaphore(count: int) -> None:
    await enter(asyncio.Semaphore(10), count)


@cost("bulkhead", "anyio")
async def capacity_limiter(count: int) -> None:
    import anyio

    await enter(anyio.CapacityLimiter(10), count)


@cost("breaker", OWN_LOOP)
@cost("breaker", "maypole")
async def maypole_breaker(count: int) -> None:
    from maypole.patterns import CircuitBreaker

    await enter(CircuitBreaker("remote"), count)


@cost("breaker", "purgatory")
async def purgatory(count: int) -> None:
    from purgatory import AsyncCircuitBreakerFactory

    await enter(await AsyncCircuitBreakerFactory().get_breaker("remote"), count)


@cost("breaker", "interlock-cb")
async def interlock(count: int) -> None:
    from interlock import CircuitBreaker, Config

    await enter(CircuitBreaker(name="remote", config=Config()), count)


async def nothing(*_: Any) -> None:
    """A remote that answers at once."""


@cost("breaker", "circuitbreaker")
async def circuitbreaker(count: int) -> None:
    from circuitbreaker import CircuitBreaker

    call = CircuitBreaker(name="remote").decorate(nothing)
    for _ in range(count):
        await call()


@cost("breaker", "fluxgate")
async def fluxgate(count: int) -> None:
    from fluxgate import AsyncCircuitBreaker

    breaker = AsyncCircuitBreaker()
    for _ in range(count):
        await breaker.call(nothing)


async def passed_on(
    send: Callable[[int], Awaitable[Any]], receive: Callable[[], Awaitable[Any]], count: int
) -> None:
    """Pass so many items from one task to another."""

    async def produce() -> None:
        for number in range(count):
            await send(number)

    producer = asyncio.create_task(produce())
    for _ in range(count):
        await receive()
    await producer


@cost("channel", OWN_LOOP)
@cost("channel", "maypole")
async def maypole_channel(count: int) -> None:
    from maypole.patterns import channel

    send, recv = channel[int](100)
    async with send, recv:
        await passed_on(send.send, recv.recv, count)


@cost("channel", "asyncio")
async def queue(count: int) -> None:
    queue: asyncio.Queue[int] = asyncio.Queue(100)
    await passed_on(queue.put, queue.get, count)


@cost("channel", "anyio")
async def memory_stream(count: int) -> None:
    import anyio

    send, recv = anyio.create_memory_object_stream[int](100)
    async with send, recv:
        await passed_on(send.send, recv.receive, count)


@cost("amap", OWN_LOOP)
@cost("amap", "maypole")
async def maypole_amap(count: int) -> None:
    from maypole.patterns import amap

    await amap(nothing, range(count), concurrency=10)


@cost("amap", "asyncio")
async def gather(count: int) -> None:
    places = asyncio.Semaphore(10)

    async def one(item: int) -> None:
        async with places:
            await nothing(item)

    await asyncio.gather(*map(one, range(count)))


@cost("amap", "aiometer")
async def aiometer(count: int) -> None:
    import aiometer

    await aiometer.run_on_each(nothing, list(range(count)), max_at_once=10)


@cost("amap", "aiostream")
async def aiostream(count: int) -> None:
    from aiostream import stream

    async with stream.map(stream.iterate(range(count)), nothing, task_limit=10).stream() as results:
        async for _ in results:
            pass


def measure_here(what: str, library: str) -> int:
    """Measure one cell in this process, and print it."""
    run = COSTS[what, library]
    count = SLOW.get((what, library), OPERATIONS[what])

    async def measured() -> dict[str, float]:
        await run(max(1, count // 10))
        wall, cpu = time.perf_counter(), time.process_time()
        await run(count)
        return {
            "cpu_us": (time.process_time() - cpu) * 1e6 / count,
            "wall_us": (time.perf_counter() - wall) * 1e6 / count,
        }

    if library in ON_OUR_LOOP:
        import maypole

        print(json.dumps(maypole.run(measured())))
    else:
        print(json.dumps(asyncio.run(measured())))
    return 0


def measure_all(rounds: int, program: str) -> list[dict[str, Any]]:
    """Measure all cells so often; returns a row for each."""
    cells = [cell for cell in COSTS if installed(cell[1]) is not None]
    found: dict[tuple[str, str], dict[str, dict[int, float]]] = {
        cell: {"cpu_us": {}, "wall_us": {}} for cell in cells
    }
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", file=sys.stderr, flush=True)
        for what in ROWS:
            row = [cell for cell in cells if cell[0] == what]
            for cell in row[number % len(row) :] + row[: number % len(row)]:
                for key, value in run_cell(program, *cell).items():
                    found[cell][key][number] = value
    return [
        {"what": what, "library": library, "version": installed(library), **values}
        for (what, library), values in found.items()
    ]


def installed(library: str) -> str | None:
    """The version of the library that a cell measures."""
    return version("maypole" if library in ON_OUR_LOOP else library)


def run_cell(program: str, what: str, library: str) -> dict[str, float]:
    """Measure one cell in a process of its own; empty when it failed."""
    command = [sys.executable, "-W", "ignore", program, "--cost", what, library]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        print(f"{what}: {library}: no answer in {TIMEOUT_S} s", file=sys.stderr)
        return {}
    if done.returncode:
        print(f"{what}: {library}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return {}
    values: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return values


def tables(rows: list[dict[str, Any]]) -> list[str]:
    """One table of all costs."""
    rounds = max((len(row["cpu_us"]) for row in rows), default=0)
    lines = [
        "## Cost of a call",
        "",
        f"CPU time per operation in µs: the median of {rounds} rounds, the fastest and the slowest round. "
        "Behind it how many times maypole's CPU time that is: the median of the rounds' paired ratios with "
        "its interval. On asyncio's loop, but for the rows that say otherwise.",
        "",
        "| operation | library | CPU µs | times maypole's | goal |",
        "|---|---|---|---|---|",
    ]
    for what, title in ROWS.items():
        of_row = [row for row in rows if row["what"] == what and row["cpu_us"]]
        own = next((row for row in of_row if row["library"] == "maypole"), None)
        for row in of_row:
            wanted = goal(row, of_row)
            lines.append(f"| {title} | {cell_name(row)} | {spread(row)} | {times(own, row)} | {wanted} |")
            title = ""
    return lines


def cell_name(row: dict[str, Any]) -> str:
    names = {
        "asyncio": {"grant": "asyncio.sleep", "bulkhead": "asyncio.Semaphore", "channel": "asyncio.Queue"}
    }
    library = row["library"]
    if library == ASYNCIO_ON_OURS:
        return f"{names['asyncio'][row['what']]} on maypole's loop"
    name = names.get(library, {}).get(
        row["what"], "gather and a semaphore" if library == "asyncio" else library
    )
    return name if library in ("asyncio", OWN_LOOP) else f"{name} {row['version']}"


def spread(row: dict[str, Any]) -> str:
    values = sorted(row["cpu_us"].values())
    return f"{around_median(values).median:.2f} [{values[0]:.2f}-{values[-1]:.2f}]"


def times(own: dict[str, Any] | None, row: dict[str, Any]) -> str:
    if own is None or row is own:
        return ""
    ratios = paired_ratios(by_round(row), by_round(own))
    if not ratios:
        return ""
    found = around_median(ratios)
    return f"{found.median:.2f} [{found.low:.2f}-{found.high:.2f}]"


def by_round(row: dict[str, Any]) -> dict[int, float]:
    return {int(number): value for number, value in row["cpu_us"].items()}


def goal(row: dict[str, Any], of_row: list[dict[str, Any]]) -> str:
    """What a call of ours may cost; where that is a multiple of another one's, also how many times it is."""
    cell = (row["what"], row["library"])
    if cell in GOALS_TIMES:
        other, most = GOALS_TIMES[cell]
        beside = next((one for one in of_row if one["library"] == other), None)
        ratio = times(beside, row)
        return f"≤ {most:g} times {cell_name(beside)}: {ratio}" if beside is not None else ""
    limit = GOALS_US.get(row["what"])
    return "" if limit is None or row["library"] != "maypole" else f"≤ {limit:g}"
