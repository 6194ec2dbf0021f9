"""asyncio's own selector loop on a virtual clock, in plain Python.

It is the measure for maypole's native virtual loop: a test that passes on both has found no difference. It
depends on nothing native.

The rules, in the order in which the loop applies them when nothing is ready:

1. poll the descriptors without waiting, and run what came;
2. while jobs or other threads are outstanding, wait for them in real time;
3. jump to the earliest timer;
4. without a timer, wait for the descriptors; without descriptors raise `Deadlock`.

Each turn counts: `SPIN_TURNS` of them without the clock moving raise `Spin`.
"""

from __future__ import annotations

import asyncio
import math
import random
import selectors
from collections.abc import Callable
from time import monotonic  # the real clock, also while the time module is patched
from typing import TYPE_CHECKING, Any, Self, TypeVarTuple, Unpack

from maypole.virtual.hang_watch import HangWatch
from maypole.virtual.outstanding import STEP_S, WAIT_S_MAX, Outstanding, counted_executor
from maypole.virtual.stops import deadlock, spin
from maypole.virtual.time_module import START_S

if TYPE_CHECKING:
    from concurrent.futures import Executor
    from contextvars import Context

SPIN_TURNS = 20_000
"""So many turns without the clock moving are a spin."""

_Ts = TypeVarTuple("_Ts")
_Events = list[tuple[selectors.SelectorKey, int]]
_Poll = Callable[[float | None], _Events]


class VirtualSelectorLoop(asyncio.SelectorEventLoop):
    """`asyncio.SelectorEventLoop` whose time jumps when nothing is ready.

    Args:
        tie_seed: None runs timers with one deadline in the order in which they were set, and the descriptors
            of one poll as the poll gave them; a number permutes both, the same way for the same number.

    Raises:
        Deadlock, Spin, Hang: out of ``run_forever`` and what is built on it.
    """

    _scheduled: list[asyncio.TimerHandle]
    _selector: selectors.BaseSelector
    _stopping: bool
    _clock_resolution: float

    def __init__(self, *, tie_seed: int | None = None) -> None:
        self._now = START_S
        self._turns = 0
        self._moved_in_turn = 0
        self._moved_to = START_S
        self._timers_set = 0
        self._ties = random.Random(tie_seed) if tie_seed is not None else None
        self._outstanding = Outstanding()
        super().__init__(_VirtualSelector(self))

    def time(self) -> float:
        """Return the virtual time in seconds; it starts at 1000.0."""
        return self._now

    def _advance_time(self, seconds: float, /) -> None:
        # Timers passed over fire in the next turn.
        self._now += seconds

    def run_forever(self) -> None:
        """Run until `stop` is called, under the watch for code that never comes back to the loop."""
        with HangWatch(self, lambda: self._turns):
            super().run_forever()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[Unpack[_Ts]], Any], *args: *_Ts
    ) -> asyncio.Future[Any]:
        """Submit a job; the clock does not jump while it may still run."""
        future = super().run_in_executor(executor, func, *args)
        self._outstanding.track(future, counted_executor(self, executor))
        return future

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Arm a timer; equal deadlines keep their order, which the heap of asyncio does not promise."""
        if isinstance(when, (int, float)):
            self._timers_set += 1
            rank = self._timers_set if self._ties is None else self._ties.random()
            when = _Deadline(when, rank)
        return super().call_at(when, callback, *args, context=context)

    def begin_turn(self, timeout: float | None, poll: _Poll) -> _Events:
        """Decide how one turn waits; the selector asks this in place of waiting.

        Args:
            timeout: what asyncio would wait, in seconds; 0 when something is ready, None without a timer.
            poll: polls the descriptors in real time, for that many seconds or without limit for None.
        """
        self._turns += 1
        self._check_spin()
        events = poll(0)
        if not events and (timeout is None or timeout > 0):
            events = self._idle(poll)
        if self._ties is not None:
            self._ties.shuffle(events)
        return events

    def _check_spin(self) -> None:
        if self._now != self._moved_to:
            self._moved_to = self._now
            self._moved_in_turn = self._turns - 1
        elif self._turns - self._moved_in_turn >= SPIN_TURNS:
            self._moved_in_turn = self._turns
            raise spin(self, SPIN_TURNS)

    def _idle(self, poll: _Poll) -> _Events:
        """Nothing is ready: wait for what is outside, or let the time jump."""
        deadline = self._scheduled[0].when() if self._scheduled else math.inf
        events = self._wait_for_outside(poll, WAIT_S_MAX if deadline < math.inf else math.inf)
        if events or self._stopping:
            return events
        if deadline < math.inf:
            self._jump_to(float(deadline))
            return []
        selector_map = self._selector.get_map()
        if len(selector_map) > 1:  # more than the wake-up pipe
            return poll(None)
        raise deadlock(self)

    def _jump_to(self, deadline: float) -> None:
        self._now = max(self._now, deadline)
        # asyncio runs what is due before time() + resolution. A few months from the start a nanosecond is
        # less than the distance of two floats, and nothing would ever be due.
        self._clock_resolution = max(self._clock_resolution, math.ulp(self._now))

    def _wait_for_outside(self, poll: _Poll, wait_s_max: float) -> _Events:
        """Give jobs and threads real time to call the loop."""
        give_up = monotonic() + wait_s_max
        while self._outstanding.any() and monotonic() < give_up:
            events = poll(STEP_S)
            if events:
                return events
        # The last of them may have called just before it ended.
        return poll(0)


class _Deadline(float):
    """A time at which equal ones are told apart, for the order in asyncio's heap."""

    __slots__ = ("rank",)

    rank: float

    def __new__(cls, when: float, rank: float) -> Self:
        self = super().__new__(cls, when)
        self.rank = rank
        return self

    def __lt__(self, other: float) -> bool:
        if isinstance(other, _Deadline) and float.__eq__(self, other):
            return self.rank < other.rank
        return float.__lt__(self, other)


class _VirtualSelector(selectors.DefaultSelector):
    """Asks the loop how to wait, in the one place where asyncio waits."""

    def __init__(self, loop: VirtualSelectorLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> _Events:
        """Poll as the virtual clock wants it."""
        return self._loop.begin_turn(timeout, super().select)
