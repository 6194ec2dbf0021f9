"""Restarting what fails, with pauses that grow, and giving up when it fails too often."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, get_args

from maypole.patterns.arguments import exceptions, function
from maypole.patterns.errors import TooManyRestarts, WorkCancelled
from maypole.patterns.events import Listener, Listeners
from maypole.patterns.tasks import being_cancelled

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

Restart = Literal["on_failure", "always", "never"]


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that grow: ``initial``, ``initial * factor``, … up to ``maximum`` seconds.

    Attributes:
        jitter: each pause is longer or shorter at random by up to this part, so that not all come at once.

    >>> [Backoff(initial=1, jitter=0).pause(failures) for failures in (1, 2, 3, 9)]
    [1.0, 2.0, 4.0, 30.0]
    """

    initial: float = 0.1
    factor: float = 2.0
    maximum: float = 30.0
    jitter: float = 0.1

    def __post_init__(self) -> None:
        if not (self.initial >= 0 and self.factor >= 1 and self.maximum >= 0 and 0 <= self.jitter <= 1):
            raise ValueError(f"needs initial >= 0, factor >= 1, maximum >= 0, 0 <= jitter <= 1; got {self}")

    def pause(self, failures: int) -> float:
        """Return the seconds to wait after so many failures in a row, 1 or more."""
        # A large exponent overflows; the bound is reached long before.
        pause = self.initial * self.factor ** min(failures - 1, 64)
        return min(self.maximum, pause) * (1 + self.jitter * random.uniform(-1, 1))


@dataclass(frozen=True, slots=True)
class SupervisorStats:
    """What became of the supervised function.

    Attributes:
        runs: how often it was begun.
        recent_restarts: restarts within the last ``within`` seconds.
    """

    name: str | None
    state: Literal["new", "running", "pausing", "ended", "gave up"]
    runs: int
    failures: int
    recent_restarts: int
    last_error: BaseException | None


class Supervisor(Generic[T]):
    """Runs a function and restarts it; `supervise` says how."""

    def __init__(
        self,
        fn: Callable[[], Awaitable[T]],
        *,
        restart: Restart = "on_failure",
        backoff: Backoff | None = None,
        max_restarts: int = 5,
        within: float = 60.0,
        failures: tuple[type[Exception], ...] = (Exception,),
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        if restart not in get_args(Restart):
            raise ValueError(f"restart must be one of {', '.join(get_args(Restart))}; got {restart!r}")
        if max_restarts < 0 or not within > 0:
            raise ValueError(f"needs max_restarts >= 0 and within > 0, got {max_restarts} and {within!r}")
        self._fn = function("fn", fn)
        self._restart = restart
        self._backoff = backoff if backoff is not None else Backoff()
        self._max_restarts = max_restarts
        self._within = within
        self._failing = exceptions("failures", failures)
        self.name = name if name is not None else getattr(fn, "__qualname__", None)
        self.events = Listeners("supervisor", self.name, on_event)
        self._restarts: deque[float] = deque()
        self._state: Literal["new", "running", "pausing", "ended", "gave up"] = "new"
        self._runs = self._failures = self._in_a_row = 0
        self._last_error: BaseException | None = None

    async def run(self) -> T:
        """Run the function until it returns, or for ever; see `supervise`."""
        time = asyncio.get_running_loop().time
        while True:
            began = time()
            self._runs += 1
            self._state = "running"
            self.events.tell("start", began, run=self._runs)
            error: Exception | None = None
            try:
                result = await self._fn()
            except self._failing as failure:
                error = failure
            except asyncio.CancelledError as cancelled:
                if being_cancelled():
                    self._state = "ended"
                    raise
                error = WorkCancelled(f"{self.name}: the function was cancelled from inside")
                error.__cause__ = cancelled
            except BaseException:
                self._state = "ended"
                raise
            if error is None and self._restart != "always":
                self._state = "ended"
                return result
            await self._pause_before_restart(error, lasted=time() - began)

    async def _pause_before_restart(self, error: Exception | None, lasted: float) -> None:
        """Wait before the next run, or give up."""
        now = asyncio.get_running_loop().time()
        if error is not None:
            self._failures += 1
            self._last_error = error
        # A run that lasted has shown that the earlier trouble was over.
        self._in_a_row = 1 if lasted > self._within else self._in_a_row + 1
        self._forget_old(now)
        if error is not None and self._restart == "never":
            self._state = "ended"
            raise error
        if len(self._restarts) >= self._max_restarts:
            self._state = "gave up"
            self.events.tell("give_up", now, error=error)
            raise TooManyRestarts(
                f"{self.name}: would need restart {self._max_restarts + 1} within {self._within:g} s"
            ) from error
        self._restarts.append(now)
        pause = self._backoff.pause(self._in_a_row) if error is not None else 0.0
        self.events.tell("restart", now, error=error, pause=pause)
        self._state = "pausing"
        await asyncio.sleep(pause)

    def stats(self) -> SupervisorStats:
        """Return what became of the function so far."""
        return SupervisorStats(
            name=self.name,
            state=self._state,
            runs=self._runs,
            failures=self._failures,
            recent_restarts=len(self._restarts),
            last_error=self._last_error,
        )

    def describe(self) -> dict[str, Any]:
        """Return the stats as a dict."""
        # asdict would copy the error, and not every exception can be copied.
        stats = self.stats()
        described_error = None if stats.last_error is None else repr(stats.last_error)
        fields = ("name", "state", "runs", "failures", "recent_restarts")
        return {"kind": "supervisor", "last_error": described_error} | {
            field: getattr(stats, field) for field in fields
        }

    def _forget_old(self, now: float) -> None:
        while self._restarts and now - self._restarts[0] >= self._within:
            self._restarts.popleft()

    def __repr__(self) -> str:
        return f"<Supervisor of {self.name}: {self._state}, {self._runs} runs, {self._failures} failures>"


async def supervise(
    fn: Callable[[], Awaitable[T]],
    *,
    restart: Restart = "on_failure",
    backoff: Backoff | None = None,
    max_restarts: int = 5,
    within: float = 60.0,
    failures: tuple[type[Exception], ...] = (Exception,),
    name: str | None = None,
    on_event: Listener | None = None,
) -> T:
    """Run a function and restart it when it fails.

    Args:
        fn: an async function without arguments; called anew for each run.
        restart: ``"on_failure"``: return what it returns, restart it when it raises. ``"always"``: restart it
            in either case. ``"never"``: run it once.
        backoff: the pauses before restarts after a failure. It begins again from its first pause when a run
            lasted for longer than ``within``.
        max_restarts: how many restarts are allowed in ``within`` seconds.
        failures: exceptions that count as failures; others are raised at once.
        name: for messages, stats and events; None takes the function's.
        on_event: called with each `PatternEvent`: ``start``, ``restart``, ``give_up``.

    Raises:
        TooManyRestarts: it failed too often; its cause is the last error.
        ValueError: for numbers that make no sense.

    Cancel safety: cancelling cancels the run under way and restarts nothing.

    Source: the restart intensity of Erlang/OTP supervisors,
    https://www.erlang.org/doc/system/sup_princ.html

    >>> tries = []
    >>> async def connect():
    ...     tries.append(1)
    ...     if len(tries) < 3:
    ...         raise ConnectionError
    ...     return "connected"
    >>> asyncio.run(supervise(connect, backoff=Backoff(initial=0.001)))
    'connected'
    """
    supervisor = Supervisor(
        fn,
        restart=restart,
        backoff=backoff,
        max_restarts=max_restarts,
        within=within,
        failures=failures,
        name=name,
        on_event=on_event,
    )
    return await supervisor.run()
