"""Fork inside a running loop, with and without exec; the parent's connections never notice.

Run as ``python -m torture.forks LOOP``. Children run another program, run a loop of their own, end through
the interpreter's finalisation, or die at once. It prints how each of them ended, and ``done``.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import multiprocessing
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

Child = Callable[[Any], None]


def run_program(new_loop: Any) -> None:
    """Fork and exec."""
    os.execv(sys.executable, [sys.executable, "-c", "print('program', flush=True)"])


def die(new_loop: Any) -> None:
    """End without any clean-up."""
    os._exit(0)


def run_own_loop(new_loop: Any) -> None:
    """A loop of the child's own, with a server and a client."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(talk()) == b"child"
    os._exit(0)


def forget_inherited_loop(new_loop: Any) -> None:
    """Let the collector look at all that was inherited, then die."""
    asyncio.set_event_loop(None)
    gc.collect()
    os._exit(0)


def call_into_inherited_loop(new_loop: Any) -> None:
    """Queue something on the parent's loop: that is a copy, which never runs."""
    INHERITED[0].call_soon_threadsafe(print, "never")
    INHERITED[0].call_later(0, print, "never")
    os._exit(0)


async def talk() -> bytes:
    """Echo once over TCP."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"child")
    answer = await reader.read()
    writer.close()
    server.close()
    return answer


CHILDREN: tuple[Child, ...] = (
    run_program,
    die,
    run_own_loop,
    forget_inherited_loop,
    call_into_inherited_loop,
)
INHERITED: list[asyncio.AbstractEventLoop] = []


def exit_normally() -> None:
    """The work of a child of `multiprocessing`, whose loop is one of its own."""
    assert asyncio.run(talk()) == b"child"


async def fork_and_talk(new_loop: Any) -> None:
    """Fork, while a connection is open in both directions, and use it before and after."""
    loop = asyncio.get_running_loop()
    INHERITED.append(loop)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    timers: list[int] = []

    async def expect_echo() -> None:
        loop.call_soon(timers.append, 1)
        loop.call_later(0.001, timers.append, 2)
        before = len(timers)
        writer.write(b"parent")
        assert await asyncio.wait_for(reader.readexactly(6), 10) == b"parent"
        await asyncio.sleep(0.005)
        assert len(timers) == before + 2

    for child in CHILDREN:
        await expect_echo()
        writer.write(b"under way")  # written, perhaps not yet sent, when the process forks
        pid = os.fork()
        if pid == 0:
            try:
                child(new_loop)
            finally:
                os._exit(9)
        assert await asyncio.wait_for(reader.readexactly(9), 10) == b"under way"
        _, status = await asyncio.to_thread(os.waitpid, pid, 0)
        sys.stdout.write(f"{child.__name__}: {os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()
        await expect_echo()
    process = multiprocessing.get_context("fork").Process(target=exit_normally)
    process.start()
    await asyncio.to_thread(process.join)
    sys.stdout.write(f"multiprocessing: {process.exitcode}\n")
    await expect_echo()
    writer.close()
    server.close()


def main(spec: str) -> None:
    """Fork on this kind of loop."""
    module, _, attribute = spec.partition(":")
    new_loop = getattr(importlib.import_module(module), attribute)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(fork_and_talk(new_loop))
    sys.stdout.write("done\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1])
