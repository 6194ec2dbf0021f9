"""The price of a loop that has nothing to do."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from measuring.scenario import Tier, scenario

from scenarios.tasks import nothing

if TYPE_CHECKING:
    from measuring.bench import Bench


@scenario("startup.run", count=300, unit="run", tier=Tier.QUICK)
def run(bench: Bench) -> None:
    """`asyncio.Runner` with an empty coroutine, again and again in one process."""
    ended = 0
    with bench.measure(bench.count):
        for _ in range(bench.count):
            with asyncio.Runner(loop_factory=bench.new_loop) as runner:
                runner.run(nothing())
            ended += 1
    bench.expect(ended, bench.count, "runs")


@scenario("startup.process", count=1, unit="process", program="programs/empty_run.py", samples=3)
def process(bench: Bench) -> None:
    """A whole interpreter: start, imports, empty run, end. The program is what is measured."""
