"""Open and close loops: while threads hammer them, and a thousand times.

Run as ``python -m torture.closing_loops LOOP SEED LOOPS HAMMERED``. It prints complaints, then ``done``.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import random
import sys
import threading
import time
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

from harness.leaks import open_fds

THREADS = 3


def hammer(loop: Any, ran: list[int], accepted: list[int], errors: list[str], number: int) -> None:
    """Queue until the loop says that it is closed."""
    while True:
        try:
            loop.call_soon_threadsafe(ran.append, number)
            accepted.append(number)
        except RuntimeError as error:
            if str(error) != "Event loop is closed":
                errors.append(repr(error))
            return
        except BaseException as error:
            errors.append(repr(error))
            return
        if len(accepted) % 50 == 0:
            time.sleep(0)


def close_while_hammered(new_loop: Any, dice: random.Random) -> list[str]:
    """Run a loop for a moment and close it while threads queue callbacks on it."""
    loop = new_loop()
    ran: list[int] = []
    accepted: list[int] = []
    errors: list[str] = []
    threads = [
        threading.Thread(target=hammer, args=(loop, ran, accepted, errors, number))
        for number in range(THREADS)
    ]
    for thread in threads:
        thread.start()
    loop.call_later(dice.random() / 500, loop.stop)
    loop.run_forever()
    if dice.random() < 0.5:
        time.sleep(dice.random() / 1000)
    loop.close()
    for thread in threads:
        thread.join(10)
    if any(thread.is_alive() for thread in threads):
        errors.append("a thread hangs")
    if len(ran) > len(accepted):
        errors.append(f"{len(ran)} callbacks ran of {len(accepted)}")
    return errors


async def use() -> None:
    """What leaves something behind if anything does: timers, tasks, sockets, executor, look-ups, children."""
    loop = asyncio.get_running_loop()
    loop.call_later(1000, int)
    left = asyncio.ensure_future(asyncio.sleep(1000))
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await reader.read()
    writer.close()
    server.close()
    await asyncio.sleep(0)
    left.cancel()
    loop.create_future().add_done_callback(id)
    loop.call_soon(int)
    loop.call_soon_threadsafe(int)


def open_and_close(new_loop: Any, count: int) -> None:
    """Use so many loops, half of them with nothing but timers and callbacks."""
    for number in range(count):
        loop = new_loop()
        if number % 5 == 0:
            loop.run_until_complete(use())
        loop.call_later(1000, int)
        loop.call_soon(int)
        if number % 25 == 0:
            loop.run_until_complete(loop.run_in_executor(None, int))
            loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def kinds_of_objects() -> Counter[str]:
    """How many objects of each type the collector knows."""
    gc.collect()
    gc.collect()
    return Counter(type(each).__name__ for each in gc.get_objects())


def resident_kib() -> int:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024


def main(spec: str, seed: int, loops: int, hammered: int) -> None:
    """Both, and compare what there was with what there is."""
    module, _, attribute = spec.partition(":")
    new_loop = getattr(importlib.import_module(module), attribute)
    dice = random.Random(seed)
    complaints: list[str] = []
    sys.setswitchinterval(1e-5)
    open_and_close(new_loop, 50)
    close_while_hammered(new_loop, dice)
    fds, objects, memory = open_fds(), kinds_of_objects(), resident_kib()
    threads = threading.active_count()
    open_and_close(new_loop, loops)
    more = kinds_of_objects() - objects
    if sum(more.values()) > loops // 20:
        complaints.append(f"{loops} loops left objects: {more.most_common(8)}")
    for _ in range(hammered):
        complaints += close_while_hammered(new_loop, dice)
    if threading.active_count() != threads:
        complaints.append(f"threads: {threading.enumerate()}")
    gc.collect()
    new = {fd: what for fd, what in open_fds().items() if fds.get(fd) != what}
    if new:
        complaints.append(f"descriptors: {new}")
    grown = resident_kib() - memory
    if grown > 8 * 1024:
        complaints.append(f"resident memory grew by {grown} KiB")
    for line in complaints:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"done: {grown} KiB, {sum(more.values())} objects\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(sys.argv[1], *map(int, sys.argv[2:5]))
