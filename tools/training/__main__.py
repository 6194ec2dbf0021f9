"""A program that does a little of everything: what an optimised build of maypole is trained with.

    python tools/training        what `maturin build --pgo` runs, on a build that counts its branches

    python tools/training 1      the same with each part once, to see whether it runs

The compiler lays out code by what was counted here, so all that programs do often has its share, and nothing
has all of it. None of the benchmarks is in it: a build trained with what it is measured by would say little
of other programs.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import deadlines
import jobs
import maypole
import outside
import servers
from maypole import trace

LIMIT_S = 120.0
TIMES = 20


def main() -> None:
    """Run everything with asyncio's helpers, then with maypole's, then a part of it while it is recorded."""
    times = int(sys.argv[1]) if sys.argv[1:] else TIMES
    for switch in (maypole.uninstall, maypole.install):
        switch()
        maypole.run(bounded(lambda: everything(times)))
    maypole.uninstall()
    with tempfile.TemporaryDirectory() as folder, trace.record(Path(folder) / "training.html"):
        maypole.run(bounded(jobs.run))


async def everything(times: int) -> None:
    """Do each kind of work so many times, in turns."""
    for _ in range(times):
        await jobs.run()
        await deadlines.run()
        await servers.run()
        await outside.run()


async def bounded(part: Callable[[], Awaitable[None]]) -> None:
    """Do one part, and fail rather than hang."""
    async with asyncio.timeout(LIMIT_S):
        await part()


if __name__ == "__main__":
    main()
