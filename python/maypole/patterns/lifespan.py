"""The parts of a program, started one after the other and stopped the other way round, each in its time."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from maypole.patterns.deadline import no_deadline
from maypole.patterns.errors import DeadlineExceeded
from maypole.patterns.events import Listener, Listeners, log

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

T = TypeVar("T")

Ended = Literal["running", "stopped", "failed", "timed out", "cancelled"]
_Raised = tuple[type[BaseException] | None, BaseException | None, Any]


@dataclass(frozen=True, slots=True)
class StepReport:
    """How long one part took to start and to stop, and how it ended."""

    name: str
    started_s: float
    stopped_s: float
    ended: Ended
    error: BaseException | None = None


@dataclass(frozen=True, slots=True)
class LifespanStats:
    """All parts, in the order they were started."""

    name: str | None
    steps: tuple[StepReport, ...]


class _Step:
    """One part and how to stop it."""

    def __init__(
        self,
        name: str,
        stop: Callable[[_Raised], Awaitable[object]],
        stop_timeout: float | None,
        started_s: float,
    ) -> None:
        self.name = name
        self.stop = stop
        self.stop_timeout = stop_timeout
        self.started_s = started_s
        self.stopped_s = 0.0
        self.ended: Ended = "running"
        self.error: BaseException | None = None

    def report(self) -> StepReport:
        return StepReport(self.name, self.started_s, self.stopped_s, self.ended, self.error)


class Lifespan:
    """Starts the parts of a program and stops them in reverse order, whatever fails on the way.

    Args:
        start_timeout: seconds for each start; None for no bound.
        stop_timeout: seconds for each stop; None for no bound.
        name: for messages, stats and events.
        on_event: called with each `PatternEvent`: ``started``, ``stopped``.

    A part that fails to stop, or takes too long, keeps none of the others from being stopped. Parts are
    started and stopped in the task that holds the lifespan, as `contextlib.AsyncExitStack` does it. No
    `Deadline` holds while they are stopped.

    Raises:
        ExceptionGroup: out of the ``async with``: everything that failed to stop. If the block itself raised,
            that is raised, and what failed to stop is logged and noted on it.

    Cancel safety: a cancellation cuts the stop under way; the others still have their time. Then it is
    raised.

    >>> async def main():
    ...     log = []
    ...     async with Lifespan() as life:
    ...         for part in ("database", "cache", "server"):
    ...             life.add(part, lambda part=part: log.append(part))
    ...     return log
    >>> asyncio.run(main())
    ['server', 'cache', 'database']
    """

    def __init__(
        self,
        *,
        start_timeout: float | None = 30.0,
        stop_timeout: float | None = 10.0,
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        self.name = name
        self.called = f"lifespan {name!r}" if name else "lifespan"
        self._start_timeout = _checked(start_timeout)
        self._stop_timeout = _checked(stop_timeout)
        self.events = Listeners("lifespan", name, on_event)
        self._steps: list[_Step] = []
        self._entered = self._left = False

    async def enter(
        self,
        part: AbstractAsyncContextManager[T],
        *,
        name: str | None = None,
        start_timeout: float | None = None,
        stop_timeout: float | None = None,
    ) -> T:
        """Start a part by entering it, and leave it when the lifespan ends.

        Args:
            part: an async context manager.
            name: for the report; None takes the class's.
            start_timeout: seconds; None takes the lifespan's.
            stop_timeout: seconds; None takes the lifespan's.

        Raises:
            DeadlineExceeded: it took too long to start.
            RuntimeError: outside the ``async with``.
        """
        self._check_entered()
        name = name or type(part).__qualname__
        loop = asyncio.get_running_loop()
        began = loop.time()
        limit = self._start_timeout if start_timeout is None else _checked(start_timeout)
        patience = asyncio.timeout(limit)
        try:
            async with patience:
                value = await part.__aenter__()
        except TimeoutError as error:
            if not patience.expired():
                raise
            raise DeadlineExceeded(f"{self.called}: {name} did not start within {limit:g} s") from error

        async def leave(raised: _Raised) -> object:
            return await part.__aexit__(*raised)

        self._keep(name, leave, stop_timeout, loop.time() - began)
        return value

    def add(self, name: str, stop: Callable[[], object], *, stop_timeout: float | None = None) -> None:
        """Call a plain or async function when the lifespan ends: for a part that runs already.

        Raises:
            RuntimeError: outside the ``async with``.
        """
        self._check_entered()

        async def leave(raised: _Raised) -> object:
            result = stop()
            if inspect.isawaitable(result):
                await result
            return None

        self._keep(name, leave, stop_timeout, 0.0)

    def stats(self) -> LifespanStats:
        """Return how each part started and ended."""
        return LifespanStats(self.name, tuple(step.report() for step in self._steps))

    def describe(self) -> dict[str, Any]:
        """Return the name and state of each part as a dict."""
        steps = [{"name": step.name, "state": step.ended} for step in self._steps]
        return {"kind": "lifespan", "name": self.name, "steps": steps}

    async def __aenter__(self) -> Self:
        if self._entered:
            raise RuntimeError(f"{self.called} has been entered already")
        self._entered = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self._left = True
        raised: _Raised = (kind, error, trace)
        interrupted: asyncio.CancelledError | None = None
        with no_deadline():
            for step in reversed(self._steps):
                try:
                    if await self._stop(step, raised) and raised[0] is not None:
                        raised = (None, None, None)  # it has dealt with the error, as a context manager may
                except asyncio.CancelledError as cancelled:
                    interrupted = cancelled
        failed = [step for step in self._steps if step.error is not None and step.ended != "cancelled"]
        if interrupted is not None or raised[1] is not None:
            self._note_failures(failed, interrupted or raised[1])
            if interrupted is not None:
                raise interrupted
            return False
        errors = [step.error for step in failed if step.error is not None]
        if errors:
            raise BaseExceptionGroup(f"{self.called}: {len(errors)} parts failed to stop", errors)
        return error is not None

    async def _stop(self, step: _Step, raised: _Raised) -> bool:
        loop = asyncio.get_running_loop()
        began = loop.time()
        patience = asyncio.timeout(step.stop_timeout)
        try:
            async with patience:
                return bool(await step.stop(raised))
        except asyncio.CancelledError as error:
            step.ended, step.error = "cancelled", error
            raise
        except Exception as error:
            if error is raised[1]:
                pass  # it was shown the error of the block and raised it again
            elif patience.expired():
                late = DeadlineExceeded(
                    f"{self.called}: {step.name} did not stop within {step.stop_timeout:g} s"
                )
                late.__cause__ = error
                step.ended, step.error = "timed out", late
            else:
                error.add_note(f"{self.called}: while {step.name} was stopped")
                step.ended, step.error = "failed", error
            return False
        finally:
            step.stopped_s = loop.time() - began
            if step.ended == "running":
                step.ended = "stopped"
            self.events.tell("stopped", loop.time(), part=step.name, ended=step.ended, error=step.error)

    def _note_failures(self, failed: list[_Step], error: BaseException | None) -> None:
        for step in failed:
            log.error("%s: %s %s", self.called, step.name, step.ended, exc_info=step.error)
            if error is not None:
                error.add_note(f"{self.called}: {step.name} {step.ended}: {step.error!r}")

    def _keep(
        self,
        name: str,
        leave: Callable[[_Raised], Awaitable[object]],
        stop_timeout: float | None,
        started_s: float,
    ) -> None:
        limit = self._stop_timeout if stop_timeout is None else _checked(stop_timeout)
        self._steps.append(_Step(name, leave, limit, started_s))
        self.events.tell("started", asyncio.get_running_loop().time(), part=name, seconds=started_s)

    def _check_entered(self) -> None:
        if not self._entered or self._left:
            raise RuntimeError(f"{self.called}: parts are added inside its `async with`")

    def __repr__(self) -> str:
        return f"<Lifespan {self.called}: {', '.join(f'{step.name} {step.ended}' for step in self._steps)}>"


def _checked(timeout: float | None) -> float | None:
    if timeout is not None and not timeout > 0:
        raise ValueError(f"a timeout must be above 0 seconds, got {timeout!r}")
    return timeout
