"""`Watchdog`: a thread that looks at a loop, and tells what holds it while it is held.

Invariant: the thread never waits for the loop, and does not keep it alive.
Invariant: what the program says of itself (names, `repr`, its own callback) may raise anything, and costs
    only that text.
"""

from __future__ import annotations

import _thread
import logging
import math
import os
import threading
import time
import weakref
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, cast

from maypole import _maypole
from maypole.attendants import OFF, AttendantThread
from maypole.trace import sighting
from maypole.trace.instruments import add_instrument, remove_instrument
from maypole.trace.long_turn import LongTurn
from maypole.trace.switching import Switch

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from typing import Self

    from maypole.trace.stall import Stall

logger = logging.getLogger("asyncio")

WORST_KEPT = 10
LOOKS_PER_THRESHOLD = 10
"""So often a long turn is looked at in the time of one threshold, for who takes part in it."""
SUSPECT_SHARE = 4
"""A turn is looked at from this part of the threshold on, so that who holds it is known when it is passed."""
PAUSE_S_MIN = 0.001
JOIN_S_MAX = 2.0


class Watchdog:
    """Tell what holds a loop for longer than a threshold, while it is held.

    A daemon thread looks at the loop about twice per threshold; a turn that has lasted a quarter of it
    is looked at more often. When the threshold is passed, a warning with task, line, stack and ancestry goes
    to the logger ``asyncio``. When the turn has ended, one `Stall` with its whole duration goes to
    `on_stall`, to the logger, and to a recording if one runs. A turn that lasts longer than the threshold is
    found, unless it spends its time in C code that keeps the interpreter lock and returns to no Python code.

    Args:
        loop: a loop of maypole on the monotonic clock.
        threshold_s: seconds that one turn may take.
        on_stall: called with each `Stall`, in the watchdog's thread; what it raises is logged.
        context: context variables whose values in the task's context are told.
        log: whether the logger ``asyncio`` is told.

    Raises:
        TypeError: for a loop that is not maypole's, or context variables that are none.
        ValueError: for a threshold that is not a positive number, or a loop on the virtual clock.

    Example:
        >>> import asyncio, logging, maypole, time
        >>> stalls = []
        >>> async def main():
        ...     with maypole.trace.Watchdog(asyncio.get_running_loop(), 0.02, on_stall=stalls.append):
        ...         await asyncio.sleep(0)
        ...         time.sleep(0.1)  # what nobody should do
        ...         await asyncio.sleep(0)
        >>> logging.getLogger("asyncio").disabled = True
        >>> maypole.run(main())
        >>> [(stall.kind, stall.where.function) for stall in stalls]
        [('step', 'main')]
        >>> logging.getLogger("asyncio").disabled = False
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        threshold_s: float = 0.1,
        *,
        on_stall: Callable[[Stall], object] | None = None,
        context: Iterable[ContextVar[Any]] = (),
        log: bool = True,
    ) -> None:
        if not isinstance(loop, _maypole.Loop):
            raise TypeError(f"a watchdog needs a loop of maypole, not {type(loop).__name__}")
        if loop._clock == "virtual":
            raise ValueError("a watchdog needs the monotonic clock: time jumps on the virtual one")
        self._loop = weakref.ref(loop)
        self.threshold_s = checked_threshold(threshold_s)
        self._threshold_ns = int(self.threshold_s * 1e9)
        self._on_stall = on_stall
        self._log = log
        self._context = _checked_variables(context)
        self._bell = _thread.allocate_lock()
        self._over = False
        self._pid = 0
        self._thread: threading.Thread | None = None
        self._turn: LongTurn | None = None
        self._worst: list[Stall] = []
        self._count = 0

    @property
    def count(self) -> int:
        """How many stalls have ended."""
        return self._count

    @property
    def worst(self) -> tuple[Stall, ...]:
        """The ten longest stalls that have ended, the longest first."""
        return tuple(self._worst)

    def start(self) -> Self:
        """Begin to watch; a watchdog that watches already goes on.

        Raises:
            RuntimeError: if the loop is closed or gone, or no thread can be started.
        """
        loop = self._loop()
        if loop is None or loop.is_closed():
            raise RuntimeError("Event loop is closed")
        if self._thread is None or self._pid != os.getpid():
            self._over, self._pid, self._turn = False, os.getpid(), None
            self._bell = _thread.allocate_lock()
            self._bell.acquire()
            self._thread = AttendantThread(target=self._watch, name="maypole-watchdog", daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """End the watch, and tell of a stall that is under way; a second call does nothing.

        It waits for the thread, at most two seconds if `on_stall` does not return.
        """
        thread, self._thread = self._thread, None
        self._over = True
        if thread is None or self._pid != os.getpid():
            return  # a child of fork() has no such thread
        self._ring()
        if thread is not threading.current_thread():
            thread.join(JOIN_S_MAX)

    def __enter__(self) -> Self:
        """Begin to watch."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the watch."""
        self.stop()

    def _ring(self) -> None:
        """Wake the thread."""
        try:
            self._bell.release()
        except RuntimeError:
            pass  # it was rung already

    def _watch(self) -> None:
        """Look again and again until the watch is over, or the loop; in the watchdog's thread."""
        pause_s = 0.0
        try:
            while not self._over:
                due_ns = time.monotonic_ns() + int(pause_s * 1e9)
                self._bell.acquire(timeout=pause_s)
                loop = self._loop()
                if loop is None or loop.is_closed():
                    break
                pause_s = self._look(loop, max(0, time.monotonic_ns() - due_ns))
                del loop
            self._end_watch()
        except Exception:
            logger.exception("maypole's watchdog failed, and watches no longer")

    def _end_watch(self) -> None:
        loop, turn = self._loop(), self._turn
        if turn is not None:
            turn.ended_ns = turn.ended_ns or time.monotonic_ns()
            self._end(loop, turn)

    def _look(self, loop: _maypole.Loop, late_ns: int) -> float:
        """Look once; return the seconds until the next look."""
        number, lasted_ns, _, _ = loop._running_since()
        turn = self._turn
        if turn is not None and (turn.ended_ns or number != turn.number or not lasted_ns):
            self._end(loop, turn)
            turn = None
        if lasted_ns < self._threshold_ns // SUSPECT_SHARE:
            # A turn that began just now is then seen well before the threshold.
            return max(self.threshold_s / 2, PAUSE_S_MIN)
        seen = sighting.look(loop, late_ns)
        if seen is None or (turn is not None and seen.turn != turn.number):
            return PAUSE_S_MIN
        if turn is None:
            turn = self._turn = LongTurn(seen.turn, self._ring, self._context)
            _stamps.use(loop)
        turn.add(loop, seen)
        left_s: float = (self._threshold_ns - seen.turn_ns) / 1e9
        if left_s <= 0 and not turn.told:
            self._tell(loop, turn)
        pause_s = self.threshold_s / LOOKS_PER_THRESHOLD
        return max(pause_s if left_s <= 0 else min(pause_s, left_s), PAUSE_S_MIN)

    def _tell(self, loop: _maypole.Loop, turn: LongTurn) -> None:
        """The threshold is passed: say so now, whether the turn ends or not."""
        turn.told = True
        try:
            add_instrument(turn, cast("asyncio.AbstractEventLoop", loop))
        except RuntimeError:
            pass  # the loop was closed meanwhile
        stall = turn.stall(self.threshold_s)
        if self._log:
            logger.warning("The event loop is held, so far for %s\n%s", stall, stall.details())

    def _end(self, loop: _maypole.Loop | None, turn: LongTurn) -> None:
        """A long turn has ended, or the watch has: tell of it, if it was long enough."""
        self._turn = None
        if loop is not None:
            _stamps.leave(loop)
            if turn.told and not loop.is_closed():
                _remove(turn, loop)
        if not turn.told:
            return
        stall = turn.stall(self.threshold_s)
        self._count += 1
        self._worst = sorted([*self._worst, stall], key=lambda one: -one.duration_s)[:WORST_KEPT]
        if loop is not None:
            _note(loop, stall, turn.trace_number)
        if self._log:
            logger.warning("The event loop was held for %s", stall, extra={"stall": stall})
        if self._on_stall is not None:
            try:
                self._on_stall(stall)
            except Exception:
                logger.exception("on_stall of maypole's watchdog raised")


def _remove(turn: LongTurn, loop: _maypole.Loop) -> None:
    try:
        remove_instrument(turn, cast("asyncio.AbstractEventLoop", loop))
    except (KeyError, RuntimeError):
        pass  # the loop was closed meanwhile


_stamps = Switch(_maypole.Loop._watch_items)


VARIABLE = "MAYPOLE_STALL"
"""The environment variable with the threshold in seconds, for loops that no threshold was given for."""

_chosen: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Watchdog | None] = weakref.WeakKeyDictionary()


def chosen(loop: asyncio.AbstractEventLoop) -> Watchdog | None:
    """Return the watchdog that the program or its environment has chosen for a loop; None for none."""
    return _chosen.get(loop)


def is_decided(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether the program or its environment has said if the loop is watched, be it with a no."""
    return loop in _chosen


def watch(loop: asyncio.AbstractEventLoop, threshold_s: float, *, log: bool = True) -> Watchdog | None:
    """Watch a loop from now on until it is closed; 0 is no watch, whatever the environment says.

    Returns:
        The watchdog, which has begun; None for 0.

    Raises:
        ValueError: for a threshold that is no number of seconds, or a loop on the virtual clock.
    """
    _chosen[loop] = None
    if threshold_s == 0:
        return None
    found = _chosen[loop] = Watchdog(loop, checked_threshold(threshold_s, "stall"), log=log).start()
    return found


def attend(loop: asyncio.AbstractEventLoop) -> None:
    """Watch a loop because ``MAYPOLE_STALL`` is set; called at each of its runs. The virtual clock is left
    alone.
    """
    if is_decided(loop) or cast("_maypole.Loop", loop)._clock == "virtual":
        return
    _chosen[loop] = None
    text = os.environ.get(VARIABLE, "")
    try:
        if text not in OFF:
            _chosen[loop] = Watchdog(loop, checked_threshold(text, VARIABLE)).start()
    except ValueError as error:
        logger.error("%s; no watchdog runs", error)


def _note(loop: _maypole.Loop, stall: Stall, number: int) -> None:
    """Write a stall into the recording, if one runs."""
    if not loop._trace_is_on:
        return
    # The recording has a clock of its own.
    end_ns = loop._trace_now() - (time.monotonic_ns() - stall.began_ns - int(stall.duration_s * 1e9))
    begin_ns = max(0, end_ns - int(stall.duration_s * 1e9))
    stack = [(frame.file, frame.line, frame.function) for frame in stall.stack]
    loop._trace_note("stalls", begin_ns, end_ns, stall.kind, number, stack)


def checked_threshold(threshold_s: object, what: str = "the threshold") -> float:
    """Return a threshold in seconds.

    Raises:
        ValueError: for what is no number above zero; the message begins with `what`.
    """
    try:
        value = float(threshold_s)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = math.nan
    if not 0 < value < math.inf:
        raise ValueError(f"{what} must be a number of seconds above 0, not {threshold_s!r}")
    return value


def _checked_variables(variables: Iterable[ContextVar[Any]]) -> tuple[ContextVar[Any], ...]:
    variables = tuple(variables)
    for one in variables:
        if not isinstance(one, ContextVar):
            raise TypeError(f"a context variable was expected, got {type(one).__name__}")
    return variables
