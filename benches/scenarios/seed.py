"""`wait_n` of the course: n coroutines sleep for a random time, results come in the order of completion."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from measuring.scenario import Tier, scenario

if TYPE_CHECKING:
    from measuring.bench import Bench

USES = frozenset({"sleep", "as_completed"})


@scenario(
    "wait_n.1M",
    count=1_000_000,
    unit="task",
    samples=1,
    tier=Tier.COMPLETE,
    params={"delay_ms": 5000},
    uses=USES,
    limit_s=180.0,
)
@scenario("wait_n.100k", count=100_000, unit="task", samples=1, params={"delay_ms": 1000}, uses=USES)
@scenario(
    "wait_n.10k", count=10_000, unit="task", tier=Tier.QUICK, samples=2, params={"delay_ms": 100}, uses=USES
)
@scenario("wait_n.100", count=100, unit="task", samples=9, params={"delay_ms": 50}, uses=USES)
async def wait_n(bench: Bench) -> None:
    """All delays are uniform up to the longest, and the same for every loop."""
    sleep, as_completed = bench.api.sleep, bench.api.as_completed
    chance = random.Random(1)
    longest = bench.param("delay_ms") / 1000
    delays = [chance.uniform(0, longest) for _ in range(bench.count)]

    async def wait_random(delay: float) -> float:
        await sleep(delay)
        return delay

    with bench.measure(bench.count):
        tasks = [asyncio.create_task(wait_random(delay)) for delay in delays]
        results = [await one for one in as_completed(tasks)]
    bench.expect(sorted(results) == sorted(delays), True, "every delay came back once")
