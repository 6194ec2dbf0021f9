"""How fast: a rate limit that waits in line, first come, first served."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutinefunction
from math import inf
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from maypole._maypole import Limiter, Ready, Rule
from maypole.patterns.arguments import whole_or_none
from maypole.patterns.deadline import within
from maypole.patterns.errors import RateLimited
from maypole.patterns.events import Listeners, described, loop_time
from maypole.patterns.rates import count_and_period
from maypole.patterns.reservation import Reservation
from maypole.patterns.statistics import WaitStats
from maypole.patterns.turn import Turn, now

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from types import TracebackType

    from maypole.patterns.events import Listener

P = ParamSpec("P")
T = TypeVar("T")

_READY = Ready()
# A loop may round the time of a timer to its own steps (uvloop: 1 ms), and call a little early.
_LOOP_STEP = 0.001
# A line that moves faster shares wake-ups: the next comes so much after the last, and serves all who are due.
_WAKE_STEP = 0.0005
# No timer is set further ahead: some loops refuse a very late one.
_TIMER_MAX = 86_400.0


@dataclass(frozen=True, slots=True)
class RateLimitStats:
    """What a `RateLimit` has done, and what it would do now.

    Attributes:
        name: the name of the limit.
        granted: how many calls were let through; those that gave it back are not counted.
        rejected: how many were refused: a ``try_acquire`` that said no, a full line, a wait that is too long.
        cancelled: how many were cancelled while they waited, or gave back what they were granted.
        waiting: how many wait now.
        available: how many units could be granted now if nobody waited.
        next_grant: seconds until the first in line is let through, or a newcomer when nobody waits.
        paused_for: seconds that a pause still lasts.
        wait: how long those waited who were let through after a wait.
    """

    name: str | None
    granted: int
    rejected: int
    cancelled: int
    waiting: int
    available: float
    next_grant: float
    paused_for: float
    wait: WaitStats


class RateLimit:
    """Lets through at most ``rate`` units per ``per`` seconds, and ``burst`` of them at once.

    Args:
        rate: units per period, or a text with its period: ``"100/s"``, ``"5000/min"``, ``"10/5s"``.
        per: the period in seconds, for a rate that is a number.
        burst: how many units may come at once after a quiet time. It is 1 unless you say otherwise: evenly
            spread. In any time ``t`` at most ``burst + rate * t`` units are let through; a server that counts
            per window sees up to ``burst`` more than the rate in its window. Use `RateLimit.window` for such.
        initial: how many of the burst are there at the beginning; None for all.
        max_waiting: how many tasks may wait in line; None for no bound.
        name: for messages, stats and events.
        on_event: called with each `PatternEvent`: ``wait``, ``grant`` (after a wait), ``reject``, ``pause``,
            ``rate``.

    Tasks wait in the order in which they came, whatever their weights, and nobody overtakes them. One timer
    serves them all. ``try_acquire`` is safe from any thread; tasks of several loops may wait in one line.
    A limit can be made before a loop runs, and used by one loop after another.

    Raises:
        ValueError: a rate, burst or initial that makes no sense.

    Source: the generic cell rate algorithm, ITU-T I.371.

    >>> async def main():
    ...     limit = RateLimit("100/s", burst=2)
    ...     begin = asyncio.get_running_loop().time()
    ...     for _ in range(4):
    ...         async with limit:
    ...             pass
    ...     return asyncio.get_running_loop().time() - begin
    >>> from maypole.testing import run_virtual
    >>> round(run_virtual(main(), loop="asyncio"), 6)
    0.02
    """

    __slots__ = (
        "__weakref__",
        "_core",
        "_fired_at",
        "_timer",
        "_timer_loop",
        "_timer_when",
        "events",
        "name",
    )

    def __init__(
        self,
        rate: float | str,
        *,
        per: float = 1.0,
        burst: float = 1,
        initial: float | None = None,
        max_waiting: int | None = 10_000,
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        count, period = count_and_period(rate, per)
        self._begin([Rule.bucket(count / period, burst, initial)], max_waiting, name, on_event)

    def _begin(
        self, rules: list[Rule], max_waiting: int | None, name: str | None, on_event: Listener | None
    ) -> None:
        whole_or_none("max_waiting", max_waiting, least=0)
        self.name = name
        self.events = Listeners("rate_limit", name, on_event)
        self._core: Limiter[Turn] = Limiter(rules, max_waiting)
        self._timer: asyncio.TimerHandle | None = None
        self._timer_loop: asyncio.AbstractEventLoop | None = None
        self._timer_when = 0.0
        self._fired_at = -inf

    @classmethod
    def window(
        cls,
        limit: int,
        *,
        per: float,
        max_waiting: int | None = 10_000,
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> Self:
        """Return a limit of so many units in any window of ``per`` seconds.

        For servers that count per window: they never see more than ``limit`` in a window of theirs, wherever
        it begins. Remembers each grant of one window. Weights are whole numbers.

        Args:
            limit: how many units; a whole number up to 1,000,000.
            per: the length of the window in seconds.
            max_waiting, name, on_event: as for `RateLimit`.

        >>> RateLimit.window(300, per=60).stats().available
        300.0
        """
        self = cls.__new__(cls)
        self._begin([Rule.window(limit, per)], max_waiting, name, on_event)
        return self

    @classmethod
    def all(
        cls,
        *limits: RateLimit | str,
        max_waiting: int | None = 10_000,
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> Self:
        """Return one limit under the rules of all: a unit is let through when every rule admits it.

        Args:
            limits: `RateLimit` objects or texts such as ``"10/s"``. They give their rules, not their state:
                the new limit begins full, has a line of its own, and does not share units with them.
            max_waiting, name, on_event: as for `RateLimit`.

        Raises:
            ValueError: no limit was given.

        >>> RateLimit.all(RateLimit("10/s", burst=5), RateLimit.window(300, per=60)).stats().available
        5.0
        """
        if not limits:
            raise ValueError("RateLimit.all needs at least one limit")
        rules: list[Rule] = []
        for limit in limits:
            for kind, first, second in (cls(limit) if isinstance(limit, str) else limit)._core.rules:
                rules.append(Rule.bucket(first, second) if kind == "bucket" else Rule.window(first, second))
        self = cls.__new__(cls)
        self._begin(rules, max_waiting, name, on_event)
        return self

    @property
    def busy(self) -> bool:
        """Whether somebody waits."""
        return self._core.waiting > 0

    @property
    def resting(self) -> bool:
        """Whether it could be made anew without anybody noticing: it is full, and not paused."""
        available, _, paused_for = self._core.outlook(now())
        return not self.busy and paused_for == 0 and available >= self._core.most

    def try_acquire(self, n: float = 1) -> bool:
        """Take ``n`` units now if nobody waits and they are there; safe from any thread.

        Raises:
            ValueError: ``n`` is not above 0, or more than the burst: it could never be granted.
        """
        at = now()
        if self._core.try_acquire(at, n):
            return True
        self.events.tell("reject", at, n=n, reason="not there")
        return False

    async def acquire(self, n: float = 1, *, timeout: float | None = None) -> None:
        """Wait for ``n`` units.

        Args:
            n: the weight.
            timeout: seconds; None waits as long as it takes. The `Deadline` that holds here counts too.

        Raises:
            RateLimited: at once, when the turn would come after the timeout or ``max_waiting`` tasks wait. It
                says in ``retry_after`` when it would have been.
            ValueError: ``n`` is not above 0, or more than the burst: it could never be granted.

        Cancel safety: a task that is cancelled while it waits takes nothing, also if its turn had just come.
        """
        loop = asyncio.get_running_loop()
        since = loop.time()
        if self._core.enter(since, n):
            return
        timeout = within(timeout)
        turn = Turn(loop, n, since)
        ticket = self._join(turn, timeout)
        if turn.granted_at is not None:
            return
        heard = bool(self.events)  # who has not heard of the wait hears of no grant
        if heard:
            self.events.tell("wait", since, n=n)
        timer = None if timeout is None else loop.call_later(timeout, self._too_late, turn, ticket, timeout)
        try:
            await turn.future
        except BaseException:
            self._left(turn, ticket)
            raise
        finally:
            if timer is not None:
                timer.cancel()
        if heard:
            self.events.tell("grant", loop.time(), n=n, waited=loop.time() - since)

    def __aenter__(self) -> Awaitable[None]:
        """Wait for one unit, as `acquire` does."""
        if self._core.enter(asyncio.get_running_loop().time()):
            return _READY
        return self.acquire()

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Awaitable[None]:
        """Nothing is given back: the unit is used."""
        return _READY

    def reserve(self, n: float = 1) -> Reservation:
        """Take a place in line for ``n`` units, to use them when their time comes.

        Raises:
            RateLimited: ``max_waiting`` tasks wait already.
            ValueError: as for `acquire`.
            RuntimeError: no loop runs.

        >>> async def main():
        ...     limit = RateLimit(10)
        ...     limit.reserve()
        ...     second = limit.reserve()
        ...     print(round(second.delay, 3))
        ...     await second
        >>> from maypole.testing import run_virtual
        >>> run_virtual(main(), loop="asyncio")
        0.1
        """
        self._core.check_weight(n)
        loop = asyncio.get_running_loop()
        turn = Turn(loop, n, loop.time())
        return Reservation(self, turn, self._join(turn, None))

    def pause(self, seconds: float) -> None:
        """Let nothing through for so many seconds: what a ``Retry-After`` asks for.

        Of all pauses the one that ends last counts; nothing but time lifts it. Who cannot be let through in
        time any more is refused at once. Safe from any thread.

        Raises:
            ValueError: seconds are negative or not finite.
        """
        at = now()
        self._core.pause(at, seconds)
        self.events.tell("pause", at, seconds=seconds)
        self._refuse_hopeless(at)

    def set_rate(self, rate: float | str, *, per: float = 1.0, burst: float | None = None) -> None:
        """Go on at another rate; units that are there stay, up to the burst.

        Those who wait, wait by the new rate; who cannot be let through in time any more is refused. Safe from
        any thread. On a limit made by `RateLimit.window` it sets the window.

        Args:
            rate, per: as for `RateLimit`.
            burst: None keeps the burst.

        Raises:
            ValueError: as for `RateLimit`; a limit of several rules.
        """
        count, period = count_and_period(rate, per)
        at = now()
        if self._core.rules[0][0] == "window":
            if burst is not None:
                raise ValueError("a window has no burst: leave out burst")
            self._core.set_window(count, period)
        else:
            self._core.set_rate(at, count / period, burst)
        self.events.tell("rate", at, rate=count, per=period)
        self._refuse_hopeless(at)

    def stats(self) -> RateLimitStats:
        """Return what was let through, refused and cancelled, and what is there now."""
        at = loop_time()
        available, next_grant, paused_for = self._core.outlook(None if at != at else at)
        granted, rejected, cancelled = self._core.tally()
        return RateLimitStats(
            self.name,
            granted,
            rejected,
            cancelled,
            self._core.waiting,
            available,
            next_grant,
            paused_for,
            WaitStats(*self._core.waits()),
        )

    def describe(self) -> dict[str, Any]:
        """Return the stats and the rules as a dict."""
        rules = [
            {"rate": first, "burst": second} if kind == "bucket" else {"limit": first, "window": second}
            for kind, first, second in self._core.rules
        ]
        return described("rate_limit", self.stats()) | {"rules": rules}

    def __call__(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """Decorate a coroutine function: each call waits for one unit.

        Raises:
            TypeError: not a coroutine function.
        """
        if not iscoroutinefunction(fn):
            raise TypeError(f"a rate limit decorates coroutine functions, got {fn!r}")

        @wraps(fn)
        async def limited(*args: P.args, **kwargs: P.kwargs) -> T:
            await self.acquire()
            return await fn(*args, **kwargs)

        return limited

    def __repr__(self) -> str:
        rules = " and ".join(
            f"{first:g}/s burst {second:g}" if kind == "bucket" else f"{first:g} in any {second:g} s"
            for kind, first, second in self._core.rules
        )
        return f"<RateLimit {self.name or ''} {rules}, {self._core.waiting} waiting>".replace("  ", " ")

    def _join(self, turn: Turn, timeout: float | None) -> int:
        ticket, why, delay = self._core.join(turn.since, turn.n, timeout, turn)
        if why is not None:
            raise self._refusal(turn, why, delay, timeout)
        turn.ticket = ticket
        if self._timer is None or self._timer_loop is not turn.loop or self._core.waiting == 1:
            self._serve()  # else this loop calls for those ahead, and they are served first
        return ticket

    def _refusal(self, turn: Turn, why: str, delay: float, timeout: float | None) -> RateLimited:
        called = f"rate limit {self.name!r}" if self.name else "rate limit"
        if why == "full":
            text = f"{called}: {self._core.waiting} are waiting already"
        else:
            text = f"{called}: {turn.n:g} would be let through in {delay:.3g} s, not within {timeout:.3g} s"
        self.events.tell("reject", turn.since, n=turn.n, reason=why, retry_after=delay)
        return RateLimited(text, name=self.name, retry_after=delay)

    def _left(self, turn: Turn, ticket: int) -> None:
        """The wait ended without the task going on: cancelled, refused, or its loop is gone."""
        if not self._core.leave(ticket, False):
            granted_at = turn.give_up()
            if granted_at is None:
                return  # refused: it is counted, and nobody's turn has changed
            self._core.give_back(turn.loop.time(), turn.n, granted_at)
        self._serve()

    def _too_late(self, turn: Turn, ticket: int, timeout: float) -> None:
        if self._core.leave(ticket, True):
            delay = self._core.delay(turn.loop.time(), turn.n)
            turn.refuse(self._refusal(turn, "late", delay, timeout))
            self._serve()

    def _refuse_hopeless(self, at: float) -> None:
        for turn, delay in self._core.refuse_hopeless(at):
            if turn.n > self._core.most:
                turn.refuse(
                    ValueError(f"{turn.n:g} units can never be granted: the burst is now {self._core.most:g}")
                )
            else:
                turn.refuse(self._refusal(turn, "late", delay, 0.0))
        self._serve()

    def _serve(self) -> None:
        """Let those go on whose turn it is, and see to it that a loop calls again for the next."""
        while True:
            at = now()
            granted, granted_at, due = self._core.serve(at)
            closed = [turn for turn in granted if not turn.grant(granted_at)]
            for turn in closed:
                self._core.give_back(at, turn.n, granted_at)
            if not closed:
                break
        if due is not None:
            self._call_again(at, due)
        elif self._timer is not None and self._timer_loop is asyncio._get_running_loop():
            self._timer.cancel()
            self._timer = None

    def _call_again(self, at: float, due: float) -> None:
        first = self._core.first()
        if first is None:
            return
        loop = first.loop
        if loop.is_closed() and self._core.leave(first.ticket, False):
            self._serve()  # it will never go on, and must not keep others back
            return
        armed = self._timer is not None and self._timer_loop is loop and not loop.is_closed()
        if self._timer_loop is loop:
            due = max(due, self._fired_at + _WAKE_STEP)
        if armed and self._timer_when <= due:
            return
        if asyncio._get_running_loop() is not loop:
            try:
                loop.call_soon_threadsafe(self._serve)
            except RuntimeError:  # its loop is closed: the first will never go on, and its task gives it up
                pass
            return
        if armed and self._timer is not None:
            self._timer.cancel()
        if self._timer_loop is not loop:
            self._fired_at = -inf  # by another clock
        self._timer_loop = loop
        self._timer_when = min(due, at + _TIMER_MAX)
        self._timer = loop.call_at(self._timer_when, self._fire)

    def _fire(self) -> None:
        armed_for = self._timer_when
        self._timer = None
        self._fired_at = asyncio.get_running_loop().time()
        self._serve()
        if self._timer is not None and self._timer_when <= armed_for:
            # The loop called before its own time: its clock has coarser steps than the rule.
            self._timer.cancel()
            self._timer_when = armed_for + _LOOP_STEP
            self._timer = asyncio.get_running_loop().call_at(self._timer_when, self._fire)
