"""How many at once, found while the program runs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from maypole._maypole import AdaptiveLimit, Ready
from maypole.patterns.arguments import exceptions, whole
from maypole.patterns.bulkhead import Bulkhead, BulkheadStats
from maypole.patterns.errors import LoadShed
from maypole.patterns.events import described
from maypole.patterns.loop_lag import LoopLag
from maypole.patterns.per_task import PerTask

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import TracebackType

    from maypole.patterns.events import Listener

Algorithm = Literal["aimd", "gradient", "vegas"]

_READY = Ready()


@dataclass(frozen=True, slots=True)
class AdaptiveStats:
    """What an `Adaptive` limit is, and why.

    Attributes:
        places: what every bulkhead says.
        mean: the mean time of a call in the last window, in seconds; 0 before the first.
        baseline: the time of a call without a queue, in seconds; None where the algorithm knows none.
    """

    places: BulkheadStats
    mean: float
    baseline: float | None


class Slot:
    """One call under an `Adaptive` limit."""

    __slots__ = ("_sampled", "started")

    def __init__(self, started: float) -> None:
        self.started = started
        self._sampled = True

    def drop(self) -> None:
        """Let this call say nothing about the limit: its answer came from a cache, or it was no real call."""
        self._sampled = False

    @property
    def dropped(self) -> bool:
        """Whether the call says nothing."""
        return not self._sampled


class Adaptive(Bulkhead):
    """A `Bulkhead` whose limit follows what the calls show.

    Args:
        target: the mean time of a call that ``"aimd"`` holds, in seconds; the others need none.
        min: the smallest limit.
        max: the largest.
        initial: the first.
        algorithm: ``"aimd"`` holds the mean time of a call at the target: one more each window, a tenth less
            when calls are slower or overloaded. ``"gradient"`` compares the time of a call with its time
            without a queue, which it measures again every ``probe_every`` seconds with three calls at a time;
            that costs a few per cent of the throughput. ``"vegas"`` keeps a small queue at the remote, by the
            best time seen; it gets used to an overload that lasts.
        window: seconds over which calls are gathered before the limit moves.
        min_samples: how many calls that takes at least.
        probe_every: seconds after which ``"gradient"`` measures, and ``"vegas"`` forgets, what a call takes.
        exclude_loop_lag: take the delay of this program's own ready queue out of the measured times, so that
            the remote is not blamed for it.
        overload: exceptions that mean too much: the limit shrinks. Other exceptions, and a cancellation, say
            nothing.
        max_waiting, timeout, name, on_event: as for `Bulkhead`.

    Only ``async with`` and the decorator measure; ``acquire`` and ``release`` take places and say nothing.

    Raises:
        ValueError: limits that are not in order, times that are not above 0, no target for ``"aimd"``.

    Source: Little's law for the target; Envoy's gradient controller; TCP Vegas.

    >>> async def main():
    ...     limit = Adaptive(target=0.1, initial=4)
    ...     async with limit as slot:
    ...         slot.drop()
    ...     return limit.limit
    >>> asyncio.run(main())
    4
    """

    _kind = "adaptive"

    def __init__(
        self,
        *,
        target: float | None = None,
        min: int = 1,
        max: int = 200,
        initial: int = 20,
        algorithm: Algorithm = "aimd",
        window: float = 1.0,
        min_samples: int = 10,
        probe_every: float = 60.0,
        exclude_loop_lag: bool = True,
        overload: tuple[type[BaseException], ...] = (TimeoutError, LoadShed),
        max_waiting: int | None = 0,
        timeout: float | None = None,
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        self._rule = AdaptiveLimit(
            algorithm,
            target=target,
            probe_every=probe_every,
            min=whole("min", min, least=1),
            max=whole("max", max, least=1),
            initial=whole("initial", initial, least=1),
            window=window,
            min_samples=whole("min_samples", min_samples, least=1),
        )
        super().__init__(initial, max_waiting=max_waiting, timeout=timeout, name=name, on_event=on_event)
        self.algorithm = algorithm
        self._max = max
        self._overload = exceptions("overload", overload)
        self._lag = LoopLag() if exclude_loop_lag else None
        self._slots: PerTask[Slot] = PerTask()
        self._waited_in: asyncio.AbstractEventLoop | None = None

    @property
    def limit(self) -> int:
        """How many places there are now; it finds itself, and cannot be set."""
        return self._core.limit

    @limit.setter
    def limit(self, limit: int) -> None:
        raise AttributeError("an adaptive limit finds itself: give min, max and initial")

    async def __aenter__(self) -> Slot:
        """Wait for one place, as `acquire` does; the time from here to the end of the block is measured."""
        loop = asyncio.get_running_loop()
        if not self._core.enter():
            if self._waited_in is not loop:
                self._waited_in = loop
                self._release_lost()
            await self.acquire()
        if self._lag is not None:
            self._lag.ask()
        slot = Slot(loop.time())
        self._slots.push(slot)
        return slot

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Awaitable[None]:
        """Give the place back, and take the time of the call."""
        if kind is GeneratorExit and asyncio._get_running_loop() is None:
            return _READY  # collected together with this limit, after its loop was closed
        slot = self._slots.pop()
        at = asyncio.get_running_loop().time()
        took = at - slot.started
        if self._lag is not None:
            took -= min(self._lag.delay, took)
        if slot.dropped or (kind is not None and not issubclass(kind, self._overload)):
            sample: Literal["time", "overload", "drop"] = "drop"
        else:
            sample = "time" if kind is None else "overload"
        moved = self._rule.sample(at, took, self._core.in_use, sample)
        waiting = self._core.release()
        if moved is not None:
            self._set_limit(moved, sample)
        if waiting:
            self._serve()
        return _READY

    def adaptive_stats(self) -> AdaptiveStats:
        """Return the stats of the places, and the times by which the limit moves."""
        return AdaptiveStats(self.stats(), self._rule.mean, self._rule.baseline)

    def describe(self) -> dict[str, Any]:
        """Return the stats and the times as a dict."""
        return described(self._kind, self.stats()) | {
            "algorithm": self.algorithm,
            "mean": self._rule.mean,
            "baseline": self._rule.baseline,
        }

    def _release_lost(self) -> None:
        """Give back the places of tasks that will never leave, because their loop was closed around them."""
        for _ in self._slots.forget_lost():
            if self._core.release():
                self._serve()

    def _most(self, group: int) -> int:
        """A weight above the limit of the moment waits until it can go in alone."""
        return self._max
