#!/usr/bin/env python3
"""Holds a recording against Little's law, L = λW, on a FastAPI server under load.

    python benches/observing/little.py

How many requests the server is at, L, is sampled from outside: by another process, at random moments, from a
number in shared memory. How many come, λ, and how long each stays, W, are the recording's. The number is
counted up where the request's task is made and down in its last line, so both speak of the same requests.

Source: J. D. C. Little, "A Proof for the Queuing Formula: L = λW", Operations Research 9 (3), 1961. Random
moments: R. W. Wolff, "Poisson Arrivals See Time Averages", Operations Research 30 (2), 1982.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import mmap
import os
import random
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from applications import load, serving_fastapi
from measuring.loader import find_load

if TYPE_CHECKING:
    from collections.abc import Coroutine

GAP_S = 0.001
"""The mean time between two samples."""

BATCHES = 20
"""Samples near each other resemble each other; the means of so many stretches hardly do."""

WAITING, SAMPLING, OVER = range(3)


class Shared:
    """Two numbers that two processes share: how many requests there are, and what the sampler does."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 16)

    def _get(self, place: int) -> int:
        number: int = struct.unpack_from("q", self._memory, place)[0]
        return number

    def add(self, by: int) -> None:
        """Count requests up or down."""
        struct.pack_into("q", self._memory, 0, self._get(0) + by)

    def count(self) -> int:
        """How many requests there are."""
        return self._get(0)

    def say(self, phase: int) -> None:
        """Tell the sampler what to do."""
        struct.pack_into("q", self._memory, 8, phase)

    def phase(self) -> int:
        """What the sampler is to do."""
        return self._get(8)


def sample(shared: Shared) -> None:
    """Look at random moments while told to, and print what was seen; runs in a process of its own."""
    while shared.phase() == WAITING:
        time.sleep(0.001)
    seen = []
    while shared.phase() == SAMPLING:
        time.sleep(random.expovariate(1 / GAP_S))
        seen.append(shared.count())
    size = max(1, len(seen) // BATCHES)
    means = [statistics.fmean(seen[at : at + size]) for at in range(0, len(seen) - size + 1, size)]
    error = statistics.stdev(means) / math.sqrt(len(means)) if len(means) > 1 else math.nan
    print(json.dumps({"samples": len(seen), "mean": statistics.fmean(seen), "error": error}))


async def counted(shared: Shared, work: Coroutine[Any, Any, Any]) -> Any:
    """Do the work of a request, and count it off as the last thing."""
    try:
        return await work
    finally:
        shared.add(-1)


async def serve(shared: Shared, requests: int) -> bytes:
    """Serve so many requests, recorded; return the document."""
    from maypole.trace.recording.one_loop import LoopRecording

    loop: Any = asyncio.get_running_loop()
    create_task = loop.create_task

    def counting(work: Any, **more: Any) -> asyncio.Task[Any]:
        if work.__name__ != "run_asgi":
            return create_task(work, **more)  # type: ignore[no-any-return]
        shared.add(1)
        return create_task(counted(shared, work), **more)  # type: ignore[no-any-return]

    async with serving_fastapi() as port:
        loop.create_task = counting
        await load(port, "/items/7", requests // 10)
        loading = asyncio.ensure_future(load(port, "/items/7", requests))
        await asyncio.sleep(0.5)
        recording = LoopRecording(loop, 4_000_000)
        shared.say(SAMPLING)
        await asyncio.wait([loading], timeout=requests / 100)
        shared.say(OVER)
        document = recording.end()
        await loading
        del loop.create_task
    return document


def law_of(document: bytes) -> dict[str, Any]:
    """Little's law for the requests, as the recording's diagnoses tell it."""
    from maypole._maypole import trace_diagnoses

    laws = json.loads(trace_diagnoses(document))["laws"]
    found: dict[str, Any] = next(
        law for law in laws if law["function"] and law["function"]["function"] == "counted"
    )
    return found


def main() -> int:
    """Measure, print both sides; the exit code is 1 if they lie further apart than three standard errors."""
    parser = argparse.ArgumentParser(description="Hold a recording against Little's law.")
    parser.add_argument("--requests", type=int, default=40_000)
    parser.add_argument("--load", type=Path, help="folder of the load generator, which else is built")
    parser.add_argument("--sample", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.sample:
        sample(Shared(options.sample))
        return 0
    folder = find_load(options.load)
    if folder is None:
        return 1
    os.environ["MAYPOLE_LOAD"] = str(folder)
    import maypole

    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "shared"
        path.write_bytes(bytes(16))
        command = [sys.executable, __file__, "--sample", str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sampler:
            document = maypole.run(serve(Shared(path), options.requests))
            said, _ = sampler.communicate(timeout=60)
    return told(json.loads(said), law_of(document))


def told(seen: dict[str, Any], law: dict[str, Any]) -> int:
    """Print the two sides and how far apart they are."""
    difference = seen["mean"] - law["expected"]
    # Both saw the same requests: only the sampling and the window's edges can part them.
    allowed = 3 * seen["error"] + law["edge_error"]
    print(f"L, sampled from outside: {seen['mean']:.3f} ± {seen['error']:.3f} ({seen['samples']:,} samples)")
    print(f"λ, recorded: {law['arrivals_per_s']:.1f}/s; W, recorded: {law['residence_s'] * 1e3:.3f} ms")
    print(f"λW: {law['expected']:.3f}, at most {law['edge_error']:.3f} off because of the edges")
    print(f"L, recorded: {law['present']:.3f}")
    print(f"difference: {difference:+.3f} ({difference / law['expected']:+.2%}), allowed: {allowed:.3f}")
    return 0 if abs(difference) <= allowed else 1


if __name__ == "__main__":
    sys.exit(main())
