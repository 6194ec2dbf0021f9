"""An interval timer that stops code which never gives the loop its next turn.

On a frozen clock ``while time.time() < end: pass`` never ends, and ``while True: pass`` never does. The watch
looks four times a second from a signal handler: two seconds of CPU time or ten seconds of wall time spent
inside one turn raise `Hang` at the line that is running. CPU time is the loop's thread's own, so that a busy
machine hangs nobody.

Invariant: after the watch the SIGALRM handler and the interval timer are what they were before it, unless the
program itself changed them meanwhile.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from time import monotonic, thread_time  # the real clocks, also while the time module is patched
from typing import TYPE_CHECKING, Any, Protocol

from maypole.virtual.stops import code_rank, hang, innermost_user_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, TracebackType

    from maypole.virtual.stops import Hang

PERIOD_S = 0.25
CPU_S_MAX = 2.0
WALL_S_MAX = 10.0
_SHORTEST_TIMER_S = 1e-6


class HangWatch:
    """Watch one loop while it runs; a context manager around ``run_forever``.

    Args:
        loop: the loop whose turns are awaited.
        turns: returns how many turns the loop has begun; any change means that it lives.
        cpu_s_max: seconds of the thread's CPU time that one turn may take.
        wall_s_max: seconds of wall time that one turn may take. Time inside the loop's own wait never counts.

    Raises:
        Hang: in the code that is stuck, and again on leaving the context when that code swallowed it.

    Only the main thread can have one, as signal handlers run there; elsewhere the watch does nothing.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        turns: Callable[[], int],
        *,
        cpu_s_max: float = CPU_S_MAX,
        wall_s_max: float = WALL_S_MAX,
    ) -> None:
        self._loop = loop
        self._turns = turns
        self._cpu_s_max = cpu_s_max
        self._wall_s_max = wall_s_max
        self._seen = (-1, 0.0, 0.0)
        self._hang: Hang | None = None
        self._task: asyncio.Task[Any] | None = None
        self._previous: _PreviousTimer | None = None

    def __enter__(self) -> HangWatch:
        """Start the timer, if this is the main thread."""
        if threading.current_thread() is threading.main_thread():
            self._seen = (self._turns(), thread_time(), monotonic())
            self._previous = _PreviousTimer(self._tick)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Put the previous timer back; raise a `Hang` that the stuck code swallowed."""
        if self._previous is not None:
            self._previous.restore(self._tick)
            self._previous = None
        if self._task is not None and self._task.done() and not self._task.cancelled():
            self._task.exception()  # it is raised here: nobody needs to hear that it was never retrieved
        if self._hang is not None and error is None:
            raise self._hang

    def _tick(self, signum: int, frame: FrameType | None) -> None:
        if self._previous is not None:
            self._previous.call_if_due(signum, frame)
        turns, cpu_s, wall_s = self._turns(), thread_time(), monotonic()
        seen_turns, seen_cpu_s, seen_wall_s = self._seen
        stuck = innermost_user_frame(_frames_inside_run(frame)) if turns == seen_turns else None
        if stuck is None:
            # A new turn, or a loop that waits in its own poll: nobody's code is running.
            self._seen = (turns, cpu_s, wall_s)
        elif cpu_s - seen_cpu_s >= self._cpu_s_max:
            self._stop(stuck, f"{self._cpu_s_max:g} s of CPU time")
        elif wall_s - seen_wall_s >= self._wall_s_max:
            self._stop(stuck, f"{self._wall_s_max:g} s")

    def _stop(self, stuck: FrameType, waited: str) -> None:
        self._seen = (self._turns(), thread_time(), monotonic())
        self._hang = hang(self._loop, stuck, waited)
        self._task = asyncio.current_task(self._loop)
        # A task keeps the error as its result and nobody may await it: the run ends in any case.
        self._loop.stop()
        raise self._hang


class _Handler(Protocol):
    def __call__(self, signum: int, frame: FrameType | None, /) -> Any: ...


class _PreviousTimer:
    """The SIGALRM handler and real-time timer that were there before: kept alive behind ours, then put
    back."""

    def __init__(self, handler: _Handler) -> None:
        self._handler = signal.signal(signal.SIGALRM, handler)
        remaining_s, self._interval_s = signal.setitimer(signal.ITIMER_REAL, PERIOD_S, PERIOD_S)
        self._due = monotonic() + remaining_s if remaining_s else None

    def call_if_due(self, signum: int, frame: FrameType | None) -> None:
        """Stand in for the timer that ours displaced."""
        if self._due is None or monotonic() < self._due:
            return
        self._due = monotonic() + self._interval_s if self._interval_s else None
        if callable(self._handler):
            self._handler(signum, frame)

    def restore(self, ours: _Handler) -> None:
        """Undo, unless the program installed a handler of its own meanwhile."""
        if signal.getsignal(signal.SIGALRM) != ours:
            return
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if self._handler is None else self._handler)
        if self._due is not None:
            signal.setitimer(
                signal.ITIMER_REAL, max(self._due - monotonic(), _SHORTEST_TIMER_S), self._interval_s
            )


def _frames_inside_run(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the frames between the loop and the interrupted line, outermost first."""
    inside: list[FrameType] = []
    while frame is not None and not (frame.f_code.co_name == "run_forever" and code_rank(frame.f_code) == 0):
        inside.append(frame)
        frame = frame.f_back
    yield from reversed(inside if frame is not None else [])
