"""Cancel one operation at each of its awaits, in each of three moments, while descriptors are recycled.

Run as ``python -m torture.cancel_points LOOP OPERATION SEED ROUNDS``. An operation is cancelled at its first
await, then at its second, until it ends by itself: as soon as it waits, in the moment at which what it waits
for has come and it has not yet been told, and some microseconds later. It prints a complaint per line, then
``done`` and the number of awaits.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
import logging
import random
import sys
import warnings
from collections.abc import Generator
from typing import Any

from harness.leaks import open_fds
from torture.operations import OPERATIONS, Operation, Surroundings
from torture.recycler import Recycler

MOMENTS = ("at once", "when it has come", "a little later")
LEFT_S = 10.0


class CancelledAt:
    """Runs a coroutine and cancels the task around it at one of its awaits."""

    def __init__(self, coroutine: Any, await_index: int, moment: str, dice: random.Random) -> None:
        self.coroutine = coroutine
        self.left = await_index
        self.moment = moment
        self.dice = dice
        self.asked = False

    def __await__(self) -> Generator[Any, Any, Any]:
        inner = self.coroutine.__await__()
        step, value = inner.send, None
        while True:
            try:
                waited_for = step(value)
            except StopIteration as stop:
                return stop.value
            if self.left == 0 and not self.asked:
                self.asked = True
                self.ask(waited_for)
            self.left -= 1
            try:
                value = yield waited_for
                step = inner.send
            except BaseException as error:
                step, value = inner.throw, error

    def ask(self, waited_for: Any) -> None:
        """Cancel the current task, in the moment that was chosen."""
        task, loop = asyncio.current_task(), asyncio.get_running_loop()
        assert task is not None
        if self.moment == "when it has come" and isinstance(waited_for, asyncio.Future):
            # Before the task's own callback: the future is done and the task does not know.
            waited_for.add_done_callback(lambda _: task.cancel())
        elif self.moment == "a little later":
            loop.call_later(self.dice.expovariate(1 / 0.0003), task.cancel)
        else:
            loop.call_soon(task.cancel)


async def end_what_is_left() -> None:
    """Cancel the other tasks, and let transports say goodbye."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others, timeout=LEFT_S)
    for _ in range(3):
        await asyncio.sleep(0)


def cancel_once(
    new_loop: Any, body: Operation, around: Surroundings, await_index: int, moment: str, dice: random.Random
) -> tuple[bool, str]:
    """One round: whether the await was reached, and a complaint or nothing."""
    around.number += 1
    loop = new_loop()
    cancelled = CancelledAt(body(around), await_index, moment, dice)
    complaint = ""

    async def main() -> None:
        nonlocal complaint
        try:
            async with asyncio.timeout(20):
                await asyncio.ensure_future(_coroutine(cancelled))
        except asyncio.CancelledError:
            pass
        except TimeoutError:
            complaint = "hangs"
        except OSError as error:
            # A connection that was closed under its own feet may say so.
            complaint = "" if cancelled.asked else f"fails with {error!r}"
        await end_what_is_left()

    try:
        loop.run_until_complete(main())
        loop.run_until_complete(loop.shutdown_default_executor())
    except Exception as error:
        complaint = f"the loop raised {error!r}"
    finally:
        loop.close()
    return cancelled.asked, complaint


async def _coroutine(awaitable: CancelledAt) -> None:
    await awaitable


def main(spec: str, name: str, seed: int, rounds: int) -> None:
    """Go through all awaits of one operation."""
    module, _, attribute = spec.partition(":")
    new_loop = getattr(importlib.import_module(module), attribute)
    dice = random.Random(seed)
    around = Surroundings()
    sys.setswitchinterval(2e-5)
    with contextlib.suppress(Exception):  # what is imported or opened lazily is no leak
        cancel_once(new_loop, OPERATIONS[name], around, 10_000, "at once", dice)
    gc.collect()
    before = open_fds()
    recycler = Recycler(seed)
    recycler.start()
    complaints, awaits = [], 0
    for _ in range(rounds):
        for moment in MOMENTS:
            for index in range(1000):
                reached, complaint = cancel_once(new_loop, OPERATIONS[name], around, index, moment, dice)
                if complaint:
                    complaints.append(f"await {index}, {moment}: {complaint}")
                if not reached:
                    awaits = max(awaits, index)
                    break
    recycler.stop()
    complaints += recycler.complaints + around.complaints
    complaints += still_open(before)
    around.close()
    for line in complaints[:50]:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"done: {awaits} awaits, {around.number} rounds, {recycler.rounds} recycled\n")


def still_open(before: dict[int, str]) -> list[str]:
    """Descriptors that were not open before; peers get some time to close theirs."""
    import time

    until = time.monotonic() + 3
    while True:
        gc.collect()
        now = open_fds()
        new = [f"leaks {fd}: {what}" for fd, what in now.items() if before.get(fd) != what]
        if not new or time.monotonic() > until:
            return new
        time.sleep(0.01)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
