"""A task's turn: it waits in its own loop, whichever thread says that it may go on."""

from __future__ import annotations

import asyncio
import time


def now() -> float:
    """Return the time of the running loop; without one, that of the clock which real loops have."""
    loop = asyncio._get_running_loop()
    return time.monotonic() if loop is None else loop.time()


class Turn:
    """One who waits: a future of its loop, and what was decided about it.

    A grant and the end of the wait may come from two threads at once. The first of them decides: a task that
    is cancelled gives back what it was granted before, and what comes after is not granted.

    Attributes:
        n: the weight.
        ticket: its place in line, where the line knows it by that.
        since: when the wait began, on the loop's clock.
    """

    __slots__ = ("_fates", "future", "loop", "n", "since", "ticket")

    def __init__(self, loop: asyncio.AbstractEventLoop, n: float, since: float) -> None:
        self.loop = loop
        self.n = n
        self.since = since
        self.ticket = 0
        self.future: asyncio.Future[None] = loop.create_future()
        self._fates: list[int | None] = []  # the first counts; an append is one step for all threads

    @property
    def granted_at(self) -> int | None:
        """The instant of the grant, as the decision's clock counts; None when it was not granted."""
        return self._fates[0] if self._fates else None

    def grant(self, at: int) -> bool:
        """Let it go on; False when it has given up, or its loop is closed: the grant must be given back."""
        self._fates.append(at)
        if self._fates[0] is None:
            return False
        if asyncio._get_running_loop() is self.loop:
            if not self.future.done():
                self.future.set_result(None)
            return True
        if self._in_its_loop(None):
            return True
        self._fates[0] = None  # its task, which is collected one day, has nothing to give back
        return False

    def give_up(self) -> int | None:
        """Go on without a grant; returns the instant of one that came before, which must be given back."""
        self._fates.append(None)
        return self._fates[0]

    def refuse(self, error: BaseException) -> None:
        """Let its wait raise."""
        self._in_its_loop(error)

    def _go_on(self, error: BaseException | None) -> None:
        if self.future.done():
            return  # cancelled: its task gives up
        if error is None:
            self.future.set_result(None)
        else:
            self.future.set_exception(error)
            self.future.exception()  # a reservation may never be awaited, and need not be

    def _in_its_loop(self, error: BaseException | None) -> bool:
        if asyncio._get_running_loop() is self.loop:
            self._go_on(error)
            return True
        try:
            self.loop.call_soon_threadsafe(self._go_on, error)
        except RuntimeError:  # closed
            return False
        return True
