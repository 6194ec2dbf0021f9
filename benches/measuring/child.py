"""The measured process: runs one scenario on one loop, and prints one JSON object on its standard output.

Its request is one JSON object as the only argument; `measuring.cell` writes it.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import importlib
import inspect
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import scenarios

from measuring.bench import Bench
from measuring.contestant import Layered, load_factory, native_names, version_of
from measuring.machine import describe

if TYPE_CHECKING:
    from measuring.scenario import Scenario

#: Share of the operations in the run that only warms up.
WARM_SHARE = 10
#: More than any loop's receive buffer.
ONCE_FREED_BYTES = 4 * 1024 * 1024
PR_SET_PDEATHSIG = 1


def main() -> None:
    """Does what the request says."""
    request = json.loads(sys.argv[1])
    bound(request["limit_s"])
    if "describe" in request:
        answer(describe())
        return
    if "probe" in request:
        answer(probe(request["probe"]))
        return
    age_allocator()
    chosen = scenarios.load()[request["scenario"]]
    for package in chosen.packages:
        importlib.import_module(package)
    if chosen.load:
        serve(chosen, request)
    else:
        answer({"samples": samples(chosen, request)})


def bound(limit_s: float) -> None:
    """Makes sure that this process ends: when its time is over, and when its parent ends."""
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def age_allocator() -> None:
    """Brings malloc into the state of a program that has run for a while.

    glibc maps every block above 128 KiB anew until one such block has been freed; from then on it reuses. A
    loop that receives into new 256 KiB blocks, as asyncio does, pays three system calls for each in a process
    that never freed a large block, and none in one that did: chance in a young process, certainty later.
    """
    block = bytes(ONCE_FREED_BYTES)
    del block


def answer(message: dict[str, Any]) -> None:
    """Prints the answer as the last line."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def probe(request: dict[str, Any]) -> dict[str, Any]:
    """Whether the loop can be made, its version, and which helpers it has natively."""
    loop = load_factory(request["factory"])()
    loop.close()
    names = native_names(request["native"], frozenset(request["names"])) if request["native"] else ()
    return {"version": version_of(request["factory"]), "native": sorted(names)}


def make_bench(chosen: Scenario, request: dict[str, Any], share: int) -> Bench:
    """The bench for one run of the body, with the `share`-th part of the operations."""
    api: Any = asyncio
    if request["native"]:
        api = Layered(importlib.import_module(request["native"]), chosen.uses)
    count = max(1, round(chosen.count * request["scale"]) // share)
    factory = load_factory(request["factory"])
    return Bench(count, api, chosen.params, request["address"], request["service"], factory)


def samples(chosen: Scenario, request: dict[str, Any]) -> list[dict[str, float]]:
    """Runs the body once to warm up, then once for each sample."""
    found = []
    # A process that is counted instead of timed is run without anything beside the body.
    counted = request.get("counted", False)
    shares = [1] if counted else [WARM_SHARE] * chosen.warm + [1] * chosen.samples
    for share in shares:
        bench = make_bench(chosen, request, share)
        gc.collect()
        if inspect.iscoroutinefunction(chosen.body):
            with asyncio.Runner(loop_factory=bench.new_loop) as runner:
                runner.get_loop().set_exception_handler(fail_loudly)
                runner.run(chosen.body(bench))
        else:
            chosen.body(bench)
        found.append(bench.metrics)
    return found[-chosen.samples :]


def serve(chosen: Scenario, request: dict[str, Any]) -> None:
    """Runs the body as a server until this process is ended from outside."""
    bench = make_bench(chosen, request, 1)

    async def listen() -> None:
        asyncio.get_running_loop().set_exception_handler(fail_loudly)
        keep = await chosen.body(bench)
        gc.collect()
        answer({"ready": True, "pid": os.getpid()})
        await asyncio.get_running_loop().create_future()
        del keep

    with asyncio.Runner(loop_factory=bench.new_loop) as runner:
        runner.run(listen())


def fail_loudly(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Writes what a loop reports as an error to standard error, where the parent finds it."""
    error = context.get("exception")
    sys.stderr.write(f"loop reported: {context.get('message')}: {error!r}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
