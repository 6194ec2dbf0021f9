"""Use a loop with few descriptors left: operations fail with `OSError`, or work, and leak nothing.

Run as ``python -m torture.descriptors_run_out LOOP``. It prints a line for each number of spare descriptors:
what each operation came to.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import importlib
import os
import resource
import socket
import sys
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

SPARE_MAX = 14


async def connect(path: str) -> None:
    _, writer = await asyncio.open_unix_connection(path)
    writer.close()
    await writer.wait_closed()


async def serve(path: str) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    try:
        if not server.sockets:
            # asyncio takes a socket that cannot be made for an address family that the machine lacks.
            raise OSError(errno.EMFILE, "a server without sockets")
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            # Nobody accepts while descriptors are short: the server tries again later.
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(), 0.01)
        finally:
            writer.close()
    finally:
        server.close()


async def child(path: str) -> None:
    process = await asyncio.create_subprocess_exec("true", stdout=asyncio.subprocess.PIPE)
    await process.communicate()


async def look_up(path: str) -> None:
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)


async def datagrams(path: str) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, ("127.0.0.1", 0))
    transport.close()


OPERATIONS: tuple[Callable[[str], Awaitable[None]], ...] = (connect, serve, child, look_up, datagrams)


def attempt(new_loop: Any, body: Callable[[str], Awaitable[None]], path: str) -> str:
    """Run one operation on a loop of its own."""
    try:
        loop = new_loop()
    except OSError as error:
        return f"new_event_loop {errno.errorcode[error.errno or 0]}"
    loop.set_exception_handler(lambda *_: None)

    async def main() -> None:
        try:
            await body(path)
        finally:
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)

    try:
        loop.run_until_complete(main())
        return "works"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, type(error).__name__)
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def main(spec: str) -> None:
    """All operations with all numbers of spare descriptors."""
    module, _, attribute = spec.partition(":")
    new_loop = getattr(importlib.import_module(module), attribute)
    path = f"/tmp/maypole-torture-{os.getpid()}"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(100)
    for body in OPERATIONS:  # what is imported lazily needs descriptors too
        attempt(new_loop, body, path)
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for spare in range(SPARE_MAX):
        outcomes = []
        for body in OPERATIONS:
            resource.setrlimit(resource.RLIMIT_NOFILE, (before - 1 + spare, hard))
            outcomes.append(f"{body.__name__}: {attempt(new_loop, body, path)}")
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            gc.collect()
            left = len(os.listdir("/proc/self/fd")) - before
            if left:
                outcomes.append(f"leaks {left}")
                before += left
        sys.stdout.write(f"{spare} spare: {', '.join(outcomes)}\n")
    os.unlink(path)
    sys.stdout.write("done\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1])
