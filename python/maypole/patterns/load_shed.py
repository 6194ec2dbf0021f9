"""Whether to take on more work: a server that is behind refuses at the door."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import wraps
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from maypole._maypole import Ready, Shedder
from maypole.patterns.errors import LoadShed
from maypole.patterns.events import Listeners, described
from maypole.patterns.loop_lag import LoopLag

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from types import TracebackType

    from maypole.patterns.events import Listener

P = ParamSpec("P")
T = TypeVar("T")

_READY = Ready()


@dataclass(frozen=True, slots=True)
class LoadShedderStats:
    """What a `LoadShedder` has done.

    Attributes:
        name: its name.
        shedding: whether it refuses now.
        delay: how long what was ready waited for its turn, measured last, in seconds.
        admitted: how many calls were let in.
        rejected: how many were refused.
    """

    name: str | None
    shedding: bool
    delay: float
    admitted: int
    rejected: int


class LoadShedder:
    """Refuses new work while the loop is too late with the work that it has.

    Args:
        target: the delay in seconds that what is ready may wait for its turn.
        interval: seconds that it must wait longer, without a break, before work is refused. It is let in
            again as soon as a delay is at the target; who falls back within 16 intervals has less patience.
        name: for messages, stats and events.
        on_event: called with each `PatternEvent`: ``shed`` and ``admit`` when the verdict changes,
            ``reject``.

    The delay is that of the running loop's ready queue, measured by a callback in that queue whenever
    somebody asks to be let in. Put it at the door, before anything is spent on a request; answer 503.

    The pattern is named as a doer, for ``LoadShed`` is the error.

    Raises:
        ValueError: target is not above 0, or interval is less than target.

    Source: CoDel, RFC 8289, for interval and target; Maurer, Fail at scale, ACM Queue 13 (2015), for
    requests.

    >>> async def main():
    ...     door = LoadShedder()
    ...     async with door:
    ...         return door.stats().admitted
    >>> asyncio.run(main())
    1
    """

    def __init__(
        self,
        *,
        target: float = 0.005,
        interval: float = 0.1,
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        self.name = name
        self.events = Listeners("load_shedder", name, on_event)
        self._core = Shedder(target, interval)
        self._lag = LoopLag(self._measured)
        self._shedding = False
        self._admitted = 0
        self._rejected = 0

    def try_acquire(self) -> bool:
        """Say whether to take on one more piece of work.

        Raises:
            RuntimeError: no loop runs.
        """
        self._lag.ask()
        if self._shedding:
            self._rejected += 1
            self.events.tell("reject", asyncio.get_running_loop().time(), delay=self._core.delay)
            return False
        self._admitted += 1
        return True

    async def acquire(self) -> None:
        """Take on one more piece of work; never waits.

        Raises:
            LoadShed: the loop is behind.
        """
        self._enter()

    def __aenter__(self) -> Awaitable[None]:
        """Take on one more piece of work, as `acquire` does."""
        self._enter()
        return _READY

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Awaitable[None]:
        """Nothing is held."""
        return _READY

    def stats(self) -> LoadShedderStats:
        """Return the verdict, the delay, and what was let in and refused."""
        return LoadShedderStats(self.name, self._shedding, self._core.delay, self._admitted, self._rejected)

    def describe(self) -> dict[str, Any]:
        """Return the stats as a dict."""
        return described("load_shedder", self.stats())

    def __call__(self, fn: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        """Decorate a coroutine function: calls are refused while the loop is behind.

        Raises:
            TypeError: not a coroutine function.
        """
        if not iscoroutinefunction(fn):
            raise TypeError(f"a load shedder decorates coroutine functions, got {fn!r}")

        @wraps(fn)
        async def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
            self._enter()
            return await fn(*args, **kwargs)

        return guarded

    def __repr__(self) -> str:
        called = f" {self.name}" if self.name else ""
        state = "shedding" if self._shedding else "admitting"
        return f"<LoadShedder{called} {state}, delay {self._core.delay * 1000:.3g} ms>"

    def _enter(self) -> None:
        if not self.try_acquire():
            called = f"load shedder {self.name!r}" if self.name else "load shedder"
            delay = self._core.delay
            raise LoadShed(f"{called}: the loop is {delay * 1000:.3g} ms behind", name=self.name)

    def _measured(self, at: float, delay: float) -> None:
        shedding = self._core.observe(at, delay)
        if shedding is not self._shedding:
            self._shedding = shedding
            self.events.tell("shed" if shedding else "admit", at, delay=delay)
