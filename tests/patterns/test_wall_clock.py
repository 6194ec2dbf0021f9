"""A jump of the wall clock changes nothing: time is the loop's."""

from __future__ import annotations

import asyncio
import datetime
import time
from collections.abc import Callable
from typing import Any

import pytest
from maypole.patterns.channels import channel
from maypole.patterns.deadline import Deadline
from maypole.patterns.errors import DeadlineExceeded
from maypole.patterns.mapping import amap
from maypole.patterns.periodic import every
from maypole.patterns.pipeline import source
from maypole.patterns.pool import Pool
from maypole.patterns.singleflight import SingleFlight
from maypole.patterns.supervisor import supervise

Run = Callable[..., Any]


class Jumping(datetime.datetime):
    """A wall clock that is asked although it must not be."""

    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        raise AssertionError("somebody asked the wall clock")


def test_a_jump_of_the_wall_clock_changes_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    jumps = iter(range(0, 10**12, 10**6))
    monkeypatch.setattr(time, "time", lambda: float(next(jumps)))
    monkeypatch.setattr(time, "time_ns", lambda: next(jumps) * 10**9)
    monkeypatch.setattr(datetime, "datetime", Jumping)

    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        ends = []

        async def nap() -> None:
            await asyncio.sleep(1)

        async def end(work: Any) -> None:
            try:
                async with Deadline(20.5):
                    await work
            except DeadlineExceeded:
                pass
            ends.append(loop.time() - 1000)

        send, recv = channel[int](1)
        pool: Pool[None] = Pool(nap, lambda _: None, max_size=1, max_lifetime=5, jitter=0)
        async with pool:
            lease = await pool.acquire()
            lease.release()
            assert pool.stats().pool_available == 1
        await end(every(nap, 10))
        await end(recv.recv_many(2, max_wait=5))
        await end(amap(lambda _: nap(), range(4), concurrency=2))
        await end(source(range(4)).map(lambda _: nap(), concurrency=2).batch(9, every=3).run())
        await end(SingleFlight().do("k", nap))
        await end(supervise(nap))
        send.close()
        return ends

    assert run(main()) == [21.5, 42, 44, 46, 47, 48]
