"""The self-test of ``maypole doctor``: a process for each probe, so that none can hang or end the doctor."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import ssl
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import maypole

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Probe = Callable[[], Coroutine[Any, Any, str]]

State = Literal["ok", "skipped", "failed"]

PROBE_TIMEOUT_S = 10.0
CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from maypole.cli import self_test
self_test.main(sys.argv[2])
"""
PAYLOAD = random.Random(1).randbytes(1 << 20)


class Verdict(NamedTuple):
    """What came of one probe, with the reason."""

    state: State
    name: str
    text: str


class Skipped(Exception):
    """The machine lacks what a probe needs besides maypole."""


def ask(name: str, timeout_s: float = PROBE_TIMEOUT_S) -> Verdict:
    """Run one probe in a new interpreter.

    Args:
        name: a key of `PROBES`.
        timeout_s: seconds after which the process is killed.
    """
    package = Path(maypole.__file__).resolve().parent.parent
    command = [sys.executable, "-P", "-c", CHILD, str(package), name]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout_s
        )
    except subprocess.TimeoutExpired:
        return Verdict("failed", name, f"no answer within {timeout_s:g} s")
    lines = done.stdout.splitlines()
    if done.returncode < 0:
        return Verdict("failed", name, f"the process was ended by {signal.Signals(-done.returncode).name}")
    if done.returncode == 0 and lines and lines[-1].startswith("skipped: "):
        return Verdict("skipped", name, lines[-1].removeprefix("skipped: "))
    if done.returncode == 0 and lines and not done.stderr:
        return Verdict("ok", name, lines[-1])
    last = (done.stderr.strip() or f"exit code {done.returncode}").splitlines()[-1]
    return Verdict("failed", name, last)


def main(name: str) -> None:
    """Run one probe in this process and print what it found."""
    try:
        print(maypole.run(PROBES[name]()))
    except Skipped as reason:
        print(f"skipped: {reason}")


async def timers() -> str:
    """Timers run in the order of their deadlines, and none before its own by the loop's clock."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    deadlines = [start + random.uniform(0.001, 0.05) for _ in range(200)]
    ran: list[tuple[float, float]] = []
    done = loop.create_future()

    def note(deadline: float) -> None:
        ran.append((deadline, loop.time()))
        if len(ran) == len(deadlines):
            done.set_result(None)

    for deadline in deadlines:
        loop.call_at(deadline, note, deadline)
    await done
    early = [deadline - at for deadline, at in ran if at < deadline]
    if early:
        raise AssertionError(
            f"{len(early)} of {len(ran)} timers were early, by {max(early) * 1e6:.1f} µs at most"
        )
    if [deadline for deadline, _ in ran] != sorted(deadlines):
        raise AssertionError("timers did not run in the order of their deadlines")
    late_ms = max(at - deadline for deadline, at in ran) * 1e3
    return f"{len(ran)} timers, none early, {late_ms:.2f} ms late at most"


async def _echo(server_context: ssl.SSLContext | None, client_context: ssl.SSLContext | None) -> None:
    answered = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.close()
        answered.set()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server_context)
    async with server:
        host, port = server.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(host, port, ssl=client_context)
        writer.write(PAYLOAD)
        echoed = await reader.readexactly(len(PAYLOAD))
        writer.close()
        await writer.wait_closed()
        # Up to Python 3.11 asyncio complains of a server's task that the end of the program cancels.
        await answered.wait()
    if echoed != PAYLOAD:
        raise AssertionError("other bytes came back than were sent")


async def tcp() -> str:
    """A mebibyte goes to a server on the loopback address and comes back."""
    await _echo(None, None)
    return "1 MiB came back from 127.0.0.1"


async def tls() -> str:
    """The same through TLS, with anonymous keys: no certificate has to be made for it."""
    server, client = (
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    )
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE
    for context in (server, client):
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.set_ciphers("AECDH:@SECLEVEL=0")
        except ssl.SSLError as error:
            raise Skipped(f"{ssl.OPENSSL_VERSION} has no ciphers without certificates") from error
    await _echo(server, client)
    return f"1 MiB came back through {ssl.OPENSSL_VERSION}"


async def child_process() -> str:
    """A child gets its input, answers, and ends with its exit code."""
    code = "import sys; sys.stdout.write(sys.stdin.read().upper()); sys.exit(7)"
    pipe = asyncio.subprocess.PIPE
    child = await asyncio.create_subprocess_exec(sys.executable, "-I", "-c", code, stdin=pipe, stdout=pipe)
    out, _ = await child.communicate(b"hello")
    if (out, child.returncode) != (b"HELLO", 7):
        raise AssertionError(f"got {out!r} and exit code {child.returncode}, expected b'HELLO' and 7")
    return "input, output and exit code"


async def threads() -> str:
    """Calls from other threads wake a loop that waits, and none is lost."""
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    count, each = 0, 250

    def tick() -> None:
        nonlocal count
        count += 1
        if count == 4 * each:
            done.set_result(None)

    def call() -> None:
        for _ in range(each):
            loop.call_soon_threadsafe(tick)

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    await done
    for caller in callers:
        caller.join()
    if await loop.run_in_executor(None, threading.get_ident) == threading.get_ident():
        raise AssertionError("the executor ran its job in the loop's own thread")
    return f"{count} calls from 4 threads"


async def signals() -> str:
    """A signal reaches its handler while the loop waits."""
    loop = asyncio.get_running_loop()
    seen = loop.create_future()
    loop.add_signal_handler(signal.SIGUSR1, seen.set_result, None)
    loop.call_later(0.01, os.kill, os.getpid(), signal.SIGUSR1)
    await seen
    loop.remove_signal_handler(signal.SIGUSR1)
    return "a handler ran while the loop waited"


async def virtual_clock() -> str:
    """An hour passes on the virtual clock."""

    def sleep() -> float:
        loop = maypole.new_event_loop(clock="virtual")
        try:
            start = loop.time()
            loop.run_until_complete(asyncio.sleep(3600))
            return loop.time() - start
        finally:
            loop.close()

    passed = await asyncio.to_thread(sleep)
    if passed != 3600:
        raise AssertionError(f"an hour's sleep took {passed!r} s of the virtual clock")
    return "an hour passed at once"


PROBES: dict[str, Probe] = {
    "timers": timers,
    "TCP": tcp,
    "TLS": tls,
    "child process": child_process,
    "threads": threads,
    "signals": signals,
    "virtual clock": virtual_clock,
}
