"""What goes out of the loop: threads, other processes, descriptors, names."""

from __future__ import annotations

import asyncio
import os
import sys


async def run() -> None:
    """Do all kinds of it once."""
    loop = asyncio.get_running_loop()
    for number in range(100):
        assert await loop.run_in_executor(None, abs, -number) == number
        await loop.getaddrinfo("127.0.0.1", 80)
    await asyncio.gather(*(asyncio.to_thread(abs, -number) for number in range(100)))
    await watched_pipe(200)
    for _ in range(3):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-S", "-c", "print('done')", stdout=asyncio.subprocess.PIPE
        )
        assert (await child.communicate())[0] == b"done\n"


async def watched_pipe(times: int) -> None:
    """A reader of a descriptor, and a writer."""
    loop = asyncio.get_running_loop()
    ended = loop.create_future()
    readable, writable = os.pipe()
    left = times

    def read() -> None:
        nonlocal left
        left -= len(os.read(readable, 1))
        if left:
            os.write(writable, b".")
        else:
            ended.set_result(None)

    try:
        loop.add_reader(readable, read)
        os.write(writable, b".")
        await ended
        loop.remove_reader(readable)
    finally:
        os.close(readable)
        os.close(writable)
