"""What user code does in a place where it should not: one function for each kind of misconduct."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Callable
from typing import Any

Loop = asyncio.AbstractEventLoop
Misconduct = Callable[["Case"], None]
MISCONDUCTS: dict[str, Misconduct] = {}


class Unruly(BaseException):
    """An exception that is no `Exception`, and none that asyncio knows."""


class Case:
    """One run of one scenario: the loop, and what was seen."""

    def __init__(self, loop: Loop, misconduct: Misconduct) -> None:
        self.loop = loop
        self.seen: list[str] = []
        self.transport: Any = None
        self._misconduct: Misconduct | None = misconduct

    def misbehave(self, place: str) -> None:
        """Do it, the first time that this is called."""
        misconduct, self._misconduct = self._misconduct, None
        if misconduct is not None:
            self.seen.append(place)
            misconduct(self)


def misconduct(body: Misconduct) -> Misconduct:
    """Add a kind of misconduct under its name."""
    MISCONDUCTS[body.__name__] = body
    return body


@misconduct
def raises(case: Case) -> None:
    raise ValueError("misconduct")


@misconduct
def raises_base_exception(case: Case) -> None:
    raise Unruly("misconduct")


@misconduct
def interrupts(case: Case) -> None:
    raise KeyboardInterrupt("misconduct")


@misconduct
def exits(case: Case) -> None:
    raise SystemExit("misconduct")


@misconduct
def raises_cancelled(case: Case) -> None:
    raise asyncio.CancelledError("misconduct")


@misconduct
def raises_stop_iteration(case: Case) -> None:
    raise StopIteration("misconduct")


@misconduct
def closes(case: Case) -> None:
    if case.transport is not None:
        case.transport.close()


@misconduct
def aborts(case: Case) -> None:
    if case.transport is not None:
        case.transport.abort()


@misconduct
def closes_and_raises(case: Case) -> None:
    if case.transport is not None:
        case.transport.close()
    raise ValueError("misconduct")


@misconduct
def reenters(case: Case) -> None:
    case.loop.run_until_complete(case.loop.create_future())


@misconduct
def closes_the_loop(case: Case) -> None:
    case.loop.close()


@misconduct
def stops_the_loop(case: Case) -> None:
    case.loop.stop()


@misconduct
def cancels_every_task(case: Case) -> None:
    # From a thread there is no current loop to ask about.
    for task in asyncio.all_tasks(case.loop):
        task.cancel()


@misconduct
def collects_garbage(case: Case) -> None:
    with contextlib.suppress(RuntimeError):
        case.loop.call_soon(gc.isenabled).cancel()
    gc.collect()
