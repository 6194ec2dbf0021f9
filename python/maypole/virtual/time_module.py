"""The `time` module on virtual time, while a context is open.

Code that measures with ``time.perf_counter()`` around ``asyncio.run`` then sees what the program's waits add
up to, and ``time.sleep`` costs no time and still blocks. Names that a module took out before (``from time
import sleep``) are not reached, nor are ``datetime.now()`` and the other functions of `time` that read the
clock of the operating system.

Invariant: the clocks never go back, however many loops come one after another.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from maypole.virtual.outstanding import Outstanding

EPOCH_S = 1_577_836_800.0
"""``time.time()`` is this (2020-01-01T00:00:00Z) plus the virtual clock."""

START_S = 1000.0
"""Where a virtual clock starts: far enough from zero that nobody mistakes a time for a delay."""

_NS_PER_S = 1_000_000_000


class VirtualLoop(Protocol):
    """What the `time` module needs of a loop on the virtual clock."""

    @property
    def _outstanding(self) -> Outstanding | None:
        """What runs outside the loop; None if its clock is not virtual."""

    def time(self) -> float:
        """Return the virtual time in seconds."""

    def _advance_time(self, seconds: float, /) -> None:
        """Move the clock forward without running anything."""

    def is_running(self) -> bool:
        """Say whether the loop runs, in any thread."""

    def is_closed(self) -> bool:
        """Say whether the loop is closed."""

    def call_later(self, delay: float, callback: Callable[[], object], /) -> object:
        """Arm a timer; in the loop's thread."""

    def call_soon_threadsafe(self, callback: Callable[[], object], /) -> object:
        """Queue a callback from any thread; RuntimeError once the loop is closed."""


@dataclass(frozen=True)
class _Followed:
    """A loop, what runs outside it, and its time when it was first seen."""

    loop: VirtualLoop
    outstanding: Outstanding
    start_s: float

    def passed_s(self) -> float:
        """How much virtual time has passed on the loop since then."""
        return self.loop.time() - self.start_s


class TimeModule:
    """Makes the `time` module follow the loops it is told of; a context manager.

    Replaced are ``time``, ``monotonic``, ``perf_counter``, each with its ``_ns`` form, and ``sleep``.
    ``process_time`` and ``thread_time`` stay real: they count work, and waiting is none.

    ``time.sleep(s)`` in the loop's thread moves the clock by s; in another thread it waits until the running
    loop's clock has moved that far, so that threads which sleep at the same time share that time.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may ask for the time while the time is asked for
        self._elapsed_s = 0.0
        self._loops: list[_Followed] = []
        self._real: dict[str, Callable[..., object]] = {}

    def follow(self, loop: VirtualLoop) -> None:
        """Let the clocks move with this loop too. The time of loops that were closed meanwhile is kept.

        Raises:
            ValueError: if the loop's clock is not virtual.
        """
        if loop._outstanding is None:
            raise ValueError("the time module can follow a loop with a virtual clock only")
        with self._lock:
            for known in self._loops:
                if known.loop.is_closed():
                    self._elapsed_s += known.passed_s()
            self._loops = [known for known in self._loops if not known.loop.is_closed()]
            self._loops.append(_Followed(loop, loop._outstanding, loop.time()))

    def monotonic(self) -> float:
        """Return the virtual time in seconds since an arbitrary moment."""
        with self._lock:
            return START_S + self._elapsed_s + sum(known.passed_s() for known in self._loops)

    def time(self) -> float:
        """Return the virtual time in seconds since 1970."""
        return EPOCH_S + self.monotonic()

    def monotonic_ns(self) -> int:
        """Return the virtual time in nanoseconds since an arbitrary moment."""
        return round(self.monotonic() * _NS_PER_S)

    def time_ns(self) -> int:
        """Return the virtual time in nanoseconds since 1970."""
        return round(EPOCH_S) * _NS_PER_S + self.monotonic_ns()

    def sleep(self, seconds: float, /) -> None:
        """Let that much virtual time pass for the calling thread.

        Raises:
            ValueError, TypeError, OverflowError: as ``time.sleep`` does.
        """
        # The real function refuses what it cannot take, in its own words, and yields to others on zero.
        if not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf:
            _real_sleep(seconds)
            return
        running = [known for known in self._loops if known.loop.is_running()]
        here: object = asyncio._get_running_loop()
        for known in running:
            if known.loop is here:
                known.loop._advance_time(seconds)
                return
        if running:
            _sleep_until_loop_wakes(running[-1], seconds)
            return
        with self._lock:
            self._elapsed_s += seconds

    def __enter__(self) -> TimeModule:
        """Replace the clocks."""
        replaced: dict[str, Callable[..., object]] = {
            "time": self.time,
            "time_ns": self.time_ns,
            "monotonic": self.monotonic,
            "monotonic_ns": self.monotonic_ns,
            "perf_counter": self.monotonic,
            "perf_counter_ns": self.monotonic_ns,
            "sleep": self.sleep,
        }
        self._real = {name: getattr(time, name) for name in replaced}
        for name, clock in replaced.items():
            setattr(time, name, clock)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Put back what was there."""
        for name, clock in self._real.items():
            setattr(time, name, clock)


_real_sleep = time.sleep
_WAKE_CHECK_S = 0.02


def _sleep_until_loop_wakes(known: _Followed, seconds: float) -> None:
    """Block this thread until the loop's clock has moved; the loop knows that it need not wait for the
    thread."""
    woken = threading.Event()
    ident = threading.get_ident()
    loop, outstanding = known.loop, known.outstanding

    def wake() -> None:
        outstanding.thread_awake(ident)
        woken.set()

    def arm() -> None:
        outstanding.thread_asleep(ident)
        loop.call_later(seconds, wake)

    try:
        loop.call_soon_threadsafe(arm)
    except RuntimeError:
        return  # the loop was closed a moment ago: there is no clock left to wait for
    while not woken.wait(_WAKE_CHECK_S):
        if not loop.is_running():
            # The run ended before the clock got there; nobody would ever wake this thread.
            outstanding.thread_awake(ident)
            return
