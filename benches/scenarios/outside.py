"""What leaves the loop: threads, processes, names."""

from __future__ import annotations

import asyncio
import resource
import shutil
import socket
from typing import TYPE_CHECKING

from measuring.scenario import Tier, scenario

if TYPE_CHECKING:
    from measuring.bench import Bench


@scenario("executor.100", count=5_000, unit="call", params={"together": 100})
@scenario("executor.one", count=5_000, unit="call", params={"together": 1})
async def executor(bench: Bench) -> None:
    """`run_in_executor` of a function that does nothing, so many at a time."""
    loop = asyncio.get_running_loop()
    together = min(bench.param("together"), bench.count)
    rounds = bench.count // together
    total = 0
    with bench.measure(rounds * together):
        for _ in range(rounds):
            calls = [loop.run_in_executor(None, int, "1") for _ in range(together)]
            for call in calls:
                total += await call
    bench.expect(total, rounds * together, "results")


@scenario("subprocess", count=60, unit="process", tier=Tier.QUICK)
async def subprocess(bench: Bench) -> None:
    """A process that does nothing is started and awaited; compared is our own time, not the child's."""
    program = shutil.which("true") or "/bin/true"
    codes = []
    children_ns = children_cpu_ns()
    with bench.measure(bench.count):
        for _ in range(bench.count):
            child = await asyncio.create_subprocess_exec(program)
            codes.append(await child.wait())
    bench.record("children_cpu_ns", (children_cpu_ns() - children_ns) / bench.count)
    bench.expect(codes, [0] * bench.count, "exit codes")


@scenario("subprocess.pipe", count=40, unit="process")
async def subprocess_pipe(bench: Bench) -> None:
    """64 KiB through a child's standard input and output."""
    program = shutil.which("cat") or "/bin/cat"
    data = bytes(range(256)) * 256
    with bench.measure(bench.count):
        for _ in range(bench.count):
            pipe = asyncio.subprocess.PIPE
            child = await asyncio.create_subprocess_exec(program, stdin=pipe, stdout=pipe)
            output, _ = await child.communicate(data)
            bench.expect(output == data, True, "the data came back")


def children_cpu_ns() -> float:
    """CPU time of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) * 1e9


@scenario("dns.localhost", count=1_000, unit="look-up", params={"numeric": 0})
@scenario("dns.numeric", count=2_000, unit="look-up", tier=Tier.QUICK, params={"numeric": 1})
async def dns(bench: Bench) -> None:
    """`getaddrinfo` of a numeric address, or of `localhost`; neither asks a server."""
    loop = asyncio.get_running_loop()
    host = "127.0.0.1" if bench.param("numeric") else "localhost"
    found = []
    with bench.measure(bench.count):
        for _ in range(bench.count):
            found = await loop.getaddrinfo(host, 80, type=socket.SOCK_STREAM)
    addresses = {entry[4][0] for entry in found}
    bench.expect(bool(addresses & {"127.0.0.1", "::1"}), True, f"{host} is this machine")
