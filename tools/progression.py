"""Sequential, concurrent, task-based, optimized: the same waits four times, and what each step changes.

Measured are the time until the last result is there, the mean time at which a result can be used, and the CPU
time of one wait. What theory says stands beside it; nothing here is a rule of thumb.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

NewLoop = Callable[[], asyncio.AbstractEventLoop]
Delays = Sequence[float]
Seen = Callable[[float], None]


async def wait(delay: float) -> float:
    """Do what ``wait_random`` of the course does, with a delay that is known."""
    await asyncio.sleep(delay)
    return delay


async def sequential(delays: Delays, seen: Seen) -> None:
    """Await one after another."""
    for delay in delays:
        seen(await wait(delay))


async def concurrent(delays: Delays, seen: Seen) -> None:
    """Await all at once; the results come together, in the order of starting."""
    for result in await asyncio.gather(*(wait(delay) for delay in delays)):
        seen(result)


async def task_based(delays: Delays, seen: Seen) -> None:
    """Start tasks first, await them in turn: between the two there is room for other work."""
    tasks = [asyncio.create_task(wait(delay)) for delay in delays]
    for task in tasks:
        seen(await task)


async def optimized(delays: Delays, seen: Seen) -> None:
    """Use each result when it arrives."""
    for finished in asyncio.as_completed([asyncio.create_task(wait(delay)) for delay in delays]):
        seen(await finished)


def mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


@dataclass(frozen=True)
class Step:
    """One step of the progression: what runs, and what theory says of it in seconds."""

    name: str
    run: Callable[[Delays, Seen], Awaitable[None]]
    total_s: Callable[[Delays], float]
    mean_s: Callable[[Delays], float]
    says: str


STEPS = (
    Step("Sequential", sequential, sum, lambda delays: mean(list(accumulate(delays))), "sum of the delays"),
    Step("Concurrent", concurrent, max, max, "longest delay; all results come with the last one"),
    Step(
        "Task-based",
        task_based,
        max,
        lambda delays: mean(list(accumulate(delays, max))),
        "longest delay; a result waits for those asked for before it",
    ),
    Step("Optimized", optimized, max, mean, "longest delay; each result is used when it arrives"),
)


@dataclass(frozen=True)
class Measured:
    """What one run of a step came to, in seconds."""

    total_s: float
    mean_s: float
    cpu_s: float


def measure(step: Step, delays: Delays, new_loop: NewLoop) -> Measured:
    """Run one step on a new loop. The clocks begin when the loop runs and end with the last result."""

    async def main() -> Measured:
        arrived: list[float] = []
        start, cpu = time.perf_counter(), time.thread_time()
        await step.run(delays, lambda _: arrived.append(time.perf_counter() - start))
        return Measured(time.perf_counter() - start, mean(arrived), time.thread_time() - cpu)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main())


def uniform_delays(n: int, most_s: float, seed: int) -> list[float]:
    """Draw n delays between 0 and `most_s`, the same ones for the same seed."""
    source = random.Random(seed)
    return [source.uniform(0, most_s) for _ in range(n)]
