"""A watch for code that never gives the loop its next turn.

On a frozen clock ``while time.time() < end: pass`` never ends, and ``while True: pass`` never does. The watch
looks four times a second: two seconds of CPU time or ten seconds of wall time spent inside one turn raise
`Hang` at the line that is running. CPU time is that of the loop's thread alone, so that a busy machine hangs
nobody.

A thread does the looking, and sends a signal only when it has something to say. A periodic signal would wake
a loop that waits for work outside, four times a second, and take the alarm from programs that use it.

Invariant: after the watch the signal's handler is what it was before, unless the program itself changed it
meanwhile.
"""

from __future__ import annotations

import asyncio
import signal
import threading

# The real clocks, also while the time module is patched.
from time import clock_gettime, monotonic, pthread_getcpuclockid
from typing import TYPE_CHECKING, Any

from maypole.attendants import AttendantThread
from maypole.stacks import code_rank, innermost_user_frame
from maypole.virtual.stops import hang

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, TracebackType

    from maypole.virtual.stops import Hang

PERIOD_S = 0.25
CPU_S_MAX = 2.0
WALL_S_MAX = 10.0
SIGNAL = signal.SIGRTMAX
"""Interrupts the main thread; nobody else is known to use it."""


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
        self._suspected: tuple[int, str] | None = None
        self._cleared = False
        self._hang: Hang | None = None
        self._stuck_task: asyncio.Task[Any] | None = None
        self._over = threading.Event()
        self._watcher: AttendantThread | None = None
        self._previous: Any = None

    def __enter__(self) -> HangWatch:
        """Start the watch, if this is the main thread."""
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(SIGNAL, self._interrupt)
            self._watcher = AttendantThread(target=self._look_again_and_again, daemon=True)
            self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the watch; raise a `Hang` that the stuck code swallowed."""
        if self._watcher is not None:
            self._over.set()
            self._watcher.join()
            self._watcher = None
            if signal.getsignal(SIGNAL) == self._interrupt:
                signal.signal(SIGNAL, signal.SIG_DFL if self._previous is None else self._previous)
        if self._stuck_task is not None and self._stuck_task.done() and not self._stuck_task.cancelled():
            self._stuck_task.exception()  # retrieved: it is raised here
        if self._hang is not None and error is None:
            raise self._hang

    def _look_again_and_again(self) -> None:
        """Compare turns and clocks until the watch is over; in the watching thread."""
        main_ident = threading.main_thread().ident or 0
        cpu_clock = pthread_getcpuclockid(main_ident)
        seen_turns, cpu_s, wall_s = self._turns(), clock_gettime(cpu_clock), monotonic()
        while not self._over.wait(PERIOD_S):
            turns = self._turns()
            if turns != seen_turns or self._cleared:
                self._cleared = False
                seen_turns, cpu_s, wall_s = turns, clock_gettime(cpu_clock), monotonic()
            elif clock_gettime(cpu_clock) - cpu_s >= self._cpu_s_max:
                self._interrupt_main(main_ident, turns, f"{self._cpu_s_max:g} s of CPU time")
            elif monotonic() - wall_s >= self._wall_s_max:
                self._interrupt_main(main_ident, turns, f"{self._wall_s_max:g} s")

    def _interrupt_main(self, main_ident: int, turns: int, waited: str) -> None:
        if signal.getsignal(SIGNAL) == self._interrupt:
            self._suspected = (turns, waited)
            signal.pthread_kill(main_ident, SIGNAL)

    def _interrupt(self, signum: int, frame: FrameType | None) -> None:
        """Raise `Hang` in the interrupted code, unless it turns out to be the loop's own wait."""
        suspected, self._suspected = self._suspected, None
        if suspected is None or self._over.is_set():
            return
        turns, waited = suspected
        stuck = innermost_user_frame(_frames_inside_run(frame)) if self._turns() == turns else None
        self._cleared = True
        if stuck is None:
            return
        self._hang = hang(self._loop, stuck, waited)
        self._stuck_task = asyncio.current_task(self._loop)
        # A task keeps the error as its result and nobody may await it: the run ends in any case.
        self._loop.stop()
        raise self._hang


def _frames_inside_run(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the frames between the loop and the interrupted line, outermost first."""
    inside: list[FrameType] = []
    while frame is not None and not (frame.f_code.co_name == "run_forever" and code_rank(frame.f_code) == 0):
        inside.append(frame)
        frame = frame.f_back
    yield from reversed(inside if frame is not None else [])
