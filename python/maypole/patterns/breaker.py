"""Whether to call at all: a circuit breaker stops calling what fails, and finds out when it works again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import wraps
from inspect import isawaitable, iscoroutinefunction
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from maypole._maypole import Breaker, Ready
from maypole.patterns.arguments import exceptions, function_or_none, whole, whole_or_none
from maypole.patterns.errors import CircuitOpen, Rejected
from maypole.patterns.events import Listeners, described, log
from maypole.patterns.per_task import PerTask
from maypole.patterns.permit import BreakerSnapshot, BreakerState, Permit
from maypole.patterns.turn import now

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from maypole.patterns.events import Listener

P = ParamSpec("P")
T = TypeVar("T")

_READY = Ready()


@dataclass(frozen=True, slots=True)
class Count:
    """Judge by the last so many calls."""

    calls: int


@dataclass(frozen=True, slots=True)
class Time:
    """Judge by the calls of the last so many seconds, in ten steps."""

    seconds: float


class CircuitBreaker:
    """Lets calls through while they succeed; refuses them for a while when too many fail; then probes.

    Args:
        name: what is called, for messages, stats and events.
        window: by which calls to judge: `Count` or `Time`.
        min_calls: no rate is judged below so many calls in the window.
        failure_rate: opens when failures reach this share of the calls; None never.
        consecutive: opens after so many failures in a row; None never.
        slow_call: seconds from which a call is slow, whether it has ended or not; None times no call.
        slow_rate: opens when slow calls reach this share.
        open_for: seconds that it is open the first time.
        open_max: seconds that it is open at most, jitter apart.
        backoff: by what the open time grows each time that the probes fail.
        jitter: up to which share the open time is lengthened at random, so that many processes do not probe
            at once.
        probes: how many calls are let through half-open, to decide.
        max_concurrent_probes: how many of them at once.
        half_open_timeout: seconds after which half-open ends; a probe that has not answered has failed.
        failures: exceptions that count as failures; others count as answers.
        ignore: exceptions that count as nothing.
        is_failure: called with each result of `call` and of decorated functions, and with each exception that
            ``failures`` names: whether it is a failure. If it raises, that is one.
        on_event: called with each `PatternEvent`: ``transition`` (``from``, ``to``, ``reason``), ``probe``,
            ``reject``.

    A cancelled call, `KeyboardInterrupt`, what ``ignore`` names and any `Rejected` (a refusal by a pattern of
    this process, not by the remote) give the permit back uncounted. Put a timeout inside of the breaker:
    outside it is a cancellation.

    The result of a call that began in an older state changes nothing. ``acquire`` is safe from any thread.

    Raises:
        TypeError, ValueError: settings that make no sense.

    Source: Nygard, Release It!, chapter 5.

    >>> async def main():
    ...     breaker = CircuitBreaker("mail", consecutive=2)
    ...     for _ in range(2):
    ...         try:
    ...             async with breaker:
    ...                 raise OSError("no route")
    ...         except OSError:
    ...             pass
    ...     try:
    ...         async with breaker:
    ...             print("never reached")
    ...     except CircuitOpen as open:
    ...         return breaker.state, repr(open.last_error)
    >>> asyncio.run(main())
    ('open', "OSError('no route')")
    """

    def __init__(
        self,
        name: str,
        *,
        window: Count | Time = Count(100),
        min_calls: int = 20,
        failure_rate: float | None = 0.5,
        consecutive: int | None = None,
        slow_call: float | None = None,
        slow_rate: float = 0.5,
        open_for: float = 5.0,
        open_max: float = 60.0,
        backoff: float = 2.0,
        jitter: float = 0.1,
        probes: int = 3,
        max_concurrent_probes: int = 1,
        half_open_timeout: float = 30.0,
        failures: tuple[type[BaseException], ...] = (Exception,),
        ignore: tuple[type[BaseException], ...] = (),
        is_failure: Callable[[Any], bool] | None = None,
        on_event: Listener | None = None,
    ) -> None:
        sized: dict[str, Any] = {}
        if isinstance(window, Count):
            sized["window_calls"] = whole("the calls of a window", window.calls, least=1)
        elif isinstance(window, Time):
            sized["window_seconds"] = window.seconds
        else:
            raise TypeError(f"window must be Count(calls) or Time(seconds), got {window!r}")
        self._core = Breaker(
            seed=random.getrandbits(64),
            min_calls=whole("min_calls", min_calls, least=1),
            failure_rate=failure_rate,
            consecutive=whole_or_none("consecutive", consecutive, least=1),
            slow_call=slow_call,
            slow_rate=slow_rate,
            open_for=open_for,
            open_max=open_max,
            backoff=backoff,
            jitter=jitter,
            probes=whole("probes", probes, least=1),
            max_concurrent_probes=whole("max_concurrent_probes", max_concurrent_probes, least=1),
            half_open_timeout=half_open_timeout,
            **sized,
        )
        self.name = name
        self.last_error: BaseException | None = None
        self.events = Listeners("breaker", name, on_event)
        self._failures = exceptions("failures", failures)
        self._ignore = exceptions("ignore", ignore)
        self._is_failure = function_or_none("is_failure", is_failure)
        self._permits: PerTask[Permit] = PerTask()
        self._times_calls = slow_call is not None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_loop: asyncio.AbstractEventLoop | None = None

    @property
    def state(self) -> BreakerState:
        """The state now. An open breaker whose time is over stays open until a call comes."""
        self._core.tick(now())
        self._tell_changes()
        return self._core.state

    @property
    def busy(self) -> bool:
        """Whether somebody is inside of an ``async with``."""
        return len(self._permits) > 0

    @property
    def resting(self) -> bool:
        """Whether it could be made anew without anybody noticing: closed, and no call in the window."""
        return not self.busy and self.state == "closed" and self._core.window()[0] == 0

    def acquire(self) -> Permit:
        """Ask to make a call; never waits, and needs no loop. Safe from any thread.

        Raises:
            CircuitOpen: the call must not be made now.
        """
        permit = self._permit()
        if permit is None:
            raise self._refusal()
        return permit

    def try_acquire(self) -> Permit | None:
        """Ask to make a call: a `Permit`, or None when it must not be made now."""
        permit = self._permit()
        if permit is None and self.events:
            self._refusal()  # tells it
        return permit

    def _permit(self) -> Permit | None:
        lease = self._core.admit(now())
        if self._core.changed:
            self._tell_changes()
        if lease is None:
            return None
        if self.events and self._core.state == "half_open":
            self.events.tell("probe", now())
        if self._times_calls:
            self._watch()
        return Permit(self, lease)

    async def admit(self) -> Permit:
        """Ask to make a call, as `acquire` does; a breaker that shares its state asks the store first.

        Raises:
            CircuitOpen: the call must not be made now.
        """
        return self.acquire()

    async def __aenter__(self) -> Permit:
        """Ask to make a call; what happens in the block is its result, unless the permit is ended in it."""
        lease = self._core.enter()
        permit = self.acquire() if lease is None else Permit(self, lease)
        self._permits.push(permit)
        return permit

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Awaitable[None]:
        """End the call."""
        permit = self._permits.pop()
        if error is not None:
            self._end(permit, error)
        elif not permit._lease.succeed():
            permit.success()
        return _READY

    def __enter__(self) -> Permit:
        """As ``async with``, for code that does not await."""
        permit = self.acquire()
        self._permits.push(permit)
        return permit

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the call."""
        self._end(self._permits.pop(), error)

    async def call(self, fn: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a coroutine function through the breaker; its result is judged too.

        Raises:
            CircuitOpen: the call must not be made now.
        """
        return await self.call_with(await self.admit(), fn, *args, **kwargs)

    async def call_with(
        self, permit: Permit, fn: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a coroutine function under a permit that was acquired before, and end it by the result."""
        with permit:
            result = await fn(*args, **kwargs)
            self._judge(permit, result)
            return result

    def call_sync(self, fn: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a plain function through the breaker; its result is judged too.

        Raises:
            CircuitOpen: the call must not be made now.
            TypeError: the function returned an awaitable.
        """
        with self.acquire() as permit:
            result = fn(*args, **kwargs)
            if isawaitable(result):
                permit.cancel()
                if isinstance(result, Coroutine):  # also what maypole.sleep returns
                    result.close()
                raise TypeError(f"{fn!r} returned an awaitable: use call()")
            self._judge(permit, result)
            return result

    def __call__(self, fn: Callable[P, T]) -> Callable[P, T]:
        """Decorate a function or a coroutine function: each call goes through the breaker."""
        if iscoroutinefunction(fn):

            @wraps(fn)
            async def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
                return await self.call(fn, *args, **kwargs)

            return guarded  # type: ignore[return-value]

        @wraps(fn)
        def guarded_sync(*args: P.args, **kwargs: P.kwargs) -> T:
            return self.call_sync(fn, *args, **kwargs)

        return guarded_sync

    def force_open(self) -> None:
        """Let nobody through until somebody says otherwise."""
        self._core.force_open(now())
        self._tell_changes()

    def force_close(self) -> None:
        """Close, with an empty window."""
        self._core.force_close(now())
        self._tell_changes()

    def disable(self) -> None:
        """Let everybody through and judge nothing."""
        self._core.disable(now())
        self._tell_changes()

    def metrics_only(self) -> None:
        """Let everybody through, count, and never open."""
        self._core.metrics_only(now())
        self._tell_changes()

    def reset(self) -> None:
        """Begin anew: closed, and nothing known."""
        self._core.reset(now())
        self.last_error = None
        self._tell_changes()

    def stats(self) -> BreakerSnapshot:
        """Return the state, what is in the window, and what was ever decided."""
        state = self.state
        calls, failures, slow = self._core.window()
        return BreakerSnapshot(
            self.name,
            state,
            self._core.retry_after,
            calls,
            failures,
            slow,
            failures / max(calls, 1),
            slow / max(calls, 1),
            *self._core.calls(),
        )

    snapshot = stats

    def describe(self) -> dict[str, Any]:
        """Return the stats and the last error as a dict."""
        last_error = None if self.last_error is None else repr(self.last_error)
        return described("breaker", self.stats()) | {"last_error": last_error}

    def __repr__(self) -> str:
        calls, failures, _ = self._core.window()
        return f"<CircuitBreaker {self.name} {self._core.state}, {failures} of {calls} failed>"

    def _end(self, permit: Permit, error: BaseException | None) -> None:
        if error is None:
            permit.success()
        elif isinstance(error, (*self._ignore, Rejected)):
            permit.cancel()
        elif not isinstance(error, (Exception, *self._failures)):
            permit.cancel()  # a cancellation, or the end of the program
        elif isinstance(error, self._failures):
            self._judge(permit, error)
        else:
            permit.success()  # the remote has answered, if only with an error

    def _judge(self, permit: Permit, outcome: Any) -> None:
        failed = isinstance(outcome, BaseException)
        if self._is_failure is not None:
            try:
                failed = bool(self._is_failure(outcome))
            except Exception as error:
                log.exception("is_failure of breaker %r failed on %r", self.name, outcome)
                permit.failure(error)
                return
        if failed:
            permit.failure(outcome if isinstance(outcome, BaseException) else None)
        else:
            permit.success()

    def _refusal(self) -> CircuitOpen:
        state, retry_after = self._core.blocked()
        why = {"half_open": "its probes are under way", "forced_open": "somebody has opened it"}.get(state)
        if why is None:
            why = f"a probe may pass in {retry_after or 0.0:.3g} s"
        self._tell_refusal(state, retry_after)
        return CircuitOpen(
            f"breaker {self.name!r} is {state.replace('_', '-')}: {why}",
            name=self.name,
            retry_after=retry_after,
            state=state,
            last_error=self.last_error,
        )

    def _tell_refusal(self, state: BreakerState, retry_after: float | None) -> None:
        self.events.tell("reject", now(), state=state, retry_after=retry_after)

    def _tell_changes(self) -> None:
        for before, after, reason, at in self._core.take_transitions():
            self.events.tell("transition", at, **{"from": before, "to": after, "reason": reason})
            self._changed(after, reason)

    def _changed(self, after: BreakerState, reason: str) -> None:
        """For a breaker that shares its state: it is another one now."""

    def _watch(self) -> None:
        """See to it that a call which hangs is found without anybody asking."""
        loop = asyncio._get_running_loop()
        if loop is None:
            return
        if self._timer is None or (self._timer_loop is not loop and not self._timer_alive()):
            self._arm(loop)

    def _timer_alive(self) -> bool:
        return self._timer_loop is not None and self._timer_loop.is_running()

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        due = self._core.due()
        self._timer_loop = loop
        self._timer = None if due is None else loop.call_at(due, self._tick, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._core.tick(loop.time())
        self._tell_changes()
        self._arm(loop)
