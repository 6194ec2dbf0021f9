"""How late a loop is with its own work: how long what is ready waits for its turn."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class LoopLag:
    """Measures the delay of the running loop's ready queue, whatever loop it is.

    Each question is a callback in that queue; the answer is how long it waited there. One question is under
    way at a time, and none when nobody asks: an idle program has no timer of this.

    Args:
        on_answer: called in the loop with its time and the delay, in seconds.

    >>> async def main():
    ...     lag = LoopLag()
    ...     lag.ask()
    ...     await asyncio.sleep(0)
    ...     return lag.delay
    >>> from maypole.testing import run_virtual
    >>> run_virtual(main(), loop="asyncio")
    0.0
    """

    __slots__ = ("_asked_at", "_loop", "_on_answer", "delay")

    def __init__(self, on_answer: Callable[[float, float], object] | None = None) -> None:
        self._on_answer = on_answer
        self._loop: asyncio.AbstractEventLoop | None = None
        self._asked_at: float | None = None
        self.delay = 0.0

    def ask(self) -> None:
        """Put a question into the queue of the running loop, unless one is there.

        Raises:
            RuntimeError: no loop runs.
        """
        loop = asyncio.get_running_loop()
        if self._asked_at is None or self._loop is not loop:
            self._loop = loop
            self._asked_at = loop.time()
            loop.call_soon(self._answer, loop, self._asked_at)

    def _answer(self, loop: asyncio.AbstractEventLoop, asked_at: float) -> None:
        if self._loop is not loop:
            return  # another loop is asked by now
        self._asked_at = None
        at = loop.time()
        self.delay = max(0.0, at - asked_at)
        if self._on_answer is not None:
            self._on_answer(at, self.delay)
