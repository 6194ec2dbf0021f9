"""Doing something again and again, on the beat, without drift."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from maypole.patterns.arguments import function
from maypole.patterns.errors import QueueFull
from maypole.patterns.events import Listener, Listeners, described, log
from maypole.patterns.scope import TaskScope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

Overlap = Literal["skip", "queue", "parallel"]
Missed = Literal["skip", "burst"]
OnRunError = Literal["raise", "log"]


@dataclass(frozen=True, slots=True)
class PeriodicStats:
    """How it went so far.

    Attributes:
        ticks: beats that have come.
        runs: how often the function was begun.
        skipped: beats on which it was not, because of earlier runs.
        missed: beats that passed while the loop was blocked, and were left out.
        late_s_max: the greatest delay between a beat and the moment at which the loop came to it.
    """

    name: str | None
    ticks: int
    runs: int
    running: int
    queued: int
    skipped: int
    missed: int
    failed: int
    late_s_max: float


class Periodic:
    """Calls a function on the beat until it is stopped; `every` says how."""

    def __init__(
        self,
        fn: Callable[[], Awaitable[object]],
        seconds: float,
        *,
        first: float = 0.0,
        jitter: float = 0.0,
        overlap: Overlap = "skip",
        missed: Missed = "skip",
        max_queued: int = 10,
        limit: int = 10,
        on_error: OnRunError = "raise",
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        if not seconds > 0 or not first >= 0 or not 0 <= jitter < seconds:
            got = f"{seconds!r}, {first!r}, {jitter!r}"
            raise ValueError(f"needs seconds > 0, first >= 0, 0 <= jitter < seconds; got {got}")
        for value, kind, called in (
            (overlap, Overlap, "overlap"),
            (missed, Missed, "missed"),
            (on_error, OnRunError, "on_error"),
        ):
            if value not in get_args(kind):
                raise ValueError(f"{called} must be one of {', '.join(get_args(kind))}; got {value!r}")
        if max_queued < 1 or limit < 1:
            raise ValueError(f"max_queued and limit must be 1 or more, got {max_queued} and {limit}")
        self._fn = function("fn", fn)
        self._seconds = seconds
        self._first = first
        self._jitter = jitter
        self._burst = missed == "burst"
        self._log_errors = on_error == "log"
        self.name = name if name is not None else getattr(fn, "__qualname__", None)
        self.events = Listeners("periodic", self.name, on_event)
        self._limit = limit if overlap == "parallel" else 1
        self._max_queued = max_queued if overlap == "queue" else 0
        self._scope: TaskScope | None = None
        self._stopped: asyncio.Event | None = None
        self._ticks = self._runs = self._skipped = self._missed = self._failed = 0
        self._late_s_max = 0.0

    async def run(self) -> None:
        """Run until `stop` is called; see `every`."""
        if self._scope is not None:
            raise RuntimeError(f"periodic {self.name!r} runs already")
        self._stopped = asyncio.Event()
        loop = asyncio.get_running_loop()
        began = loop.time() + self._first
        beat = 0  # beats are counted, not added up: nothing drifts
        name = f"every {self._seconds:g} s {self.name}"
        try:
            async with TaskScope(limit=self._limit, max_pending=self._max_queued, name=name) as self._scope:
                while True:
                    moment = began + beat * self._seconds + self._jitter * random.random()
                    if await self._stopped_before(moment):
                        break
                    beat += self._tick(loop.time() - moment, loop.time())
        finally:
            self._scope = None

    def stop(self) -> None:
        """Let no further beat come; runs under way, and queued ones, are finished."""
        if self._stopped is not None:
            self._stopped.set()

    def stats(self) -> PeriodicStats:
        """Return how it went so far."""
        jobs = None if self._scope is None else self._scope.stats()
        return PeriodicStats(
            name=self.name,
            ticks=self._ticks,
            runs=self._runs,
            running=0 if jobs is None else jobs.running,
            queued=0 if jobs is None else jobs.pending,
            skipped=self._skipped,
            missed=self._missed,
            failed=self._failed,
            late_s_max=self._late_s_max,
        )

    def describe(self) -> dict[str, Any]:
        """Return the stats as a dict."""
        return described("periodic", self.stats())

    async def _stopped_before(self, moment: float) -> bool:
        assert self._stopped is not None
        try:
            async with asyncio.timeout_at(moment):
                return await self._stopped.wait()
        except TimeoutError:
            return self._stopped.is_set()

    def _tick(self, late_s: float, now: float) -> int:
        """Begin what is due; return how many beats have come, the ones passed over included."""
        self._late_s_max = max(self._late_s_max, late_s)
        passed = max(0, int(late_s / self._seconds))
        self._ticks += 1 + passed
        for _ in range(1 + passed if self._burst else 1):
            self._begin(now)
        if not self._burst and passed:
            self._missed += passed
            self.events.tell("missed", now, beats=passed)
        return 1 + passed

    def _begin(self, now: float) -> None:
        assert self._scope is not None
        try:
            self._scope.start(self._run_once(), name=self.name)
        except QueueFull:
            self._skipped += 1
            self.events.tell("skip", now)

    async def _run_once(self) -> None:
        self._runs += 1
        try:
            await self._fn()
        except Exception as error:
            self._failed += 1
            self.events.tell("error", asyncio.get_running_loop().time(), error=error)
            if not self._log_errors:
                raise
            log.exception("periodic %s failed; it goes on", self.name)

    def __repr__(self) -> str:
        return f"<Periodic {self.name} every {self._seconds:g} s: {self._runs} runs, {self._skipped} skipped>"


async def every(
    fn: Callable[[], Awaitable[object]],
    seconds: float,
    *,
    first: float = 0.0,
    jitter: float = 0.0,
    overlap: Overlap = "skip",
    missed: Missed = "skip",
    max_queued: int = 10,
    limit: int = 10,
    on_error: OnRunError = "raise",
    name: str | None = None,
    on_event: Listener | None = None,
) -> None:
    """Call an async function every so many seconds, until cancelled.

    The beats are multiples of the period from the first one on: how long a run takes does not shift them.

    Args:
        fn: an async function without arguments.
        seconds: the period.
        first: seconds until the first beat.
        jitter: each call comes up to so many seconds after its beat, at random; the beats stay.
        overlap: what a beat does while an earlier run goes on: ``"skip"`` leaves it out, ``"queue"`` runs it
            afterwards, ``"parallel"`` runs it beside the others.
        missed: what to do about beats that passed while the loop was blocked: ``"skip"`` leaves them out,
            ``"burst"`` makes up for each, by the rules of ``overlap``.
        max_queued: how many beats may be queued; more are skipped.
        limit: how many runs may go on in parallel; more are skipped.
        on_error: ``"raise"`` ends it, ``"log"`` goes on.
        name: for messages, stats and events; None takes the function's.
        on_event: called with each `PatternEvent`: ``skip``, ``missed``, ``error``.

    Raises:
        ExceptionGroup: with ``on_error="raise"``, what the function raised.
        ValueError: for numbers or words that make no sense.

    Cancel safety: cancelling cancels the runs under way and waits for their cleanup.

    >>> async def main():
    ...     beats = []
    ...     async def beat():
    ...         beats.append(len(beats))
    ...     try:
    ...         async with asyncio.timeout(0.05):
    ...             await every(beat, 0.02)
    ...     except TimeoutError:
    ...         return beats
    >>> asyncio.run(main())
    [0, 1, 2]
    """
    periodic = Periodic(
        fn,
        seconds,
        first=first,
        jitter=jitter,
        overlap=overlap,
        missed=missed,
        max_queued=max_queued,
        limit=limit,
        on_error=on_error,
        name=name,
        on_event=on_event,
    )
    await periodic.run()
