"""A pipeline that runs: its tasks, its errors, its report, and an end that leaves nothing behind."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import AsyncExitStack
from contextvars import copy_context
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from maypole.patterns.channels import channel
from maypole.patterns.errors import ChannelClosed, ScopeStuck, WorkCancelled
from maypole.patterns.events import Listener, log
from maypole.patterns.jobs import Job, JobSet
from maypole.patterns.outcome import Cancelled, Err
from maypole.patterns.stages import Failure, Numbered, Stage, StageSpec, StageStats, feed

if TYPE_CHECKING:
    from types import TracebackType

    from maypole.patterns.channels import Receiver

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An item that a stage skipped, and why."""

    item: Any
    error: Exception
    stage: str


@dataclass(frozen=True, slots=True)
class PipelineReport:
    """What a pipeline has done so far.

    Attributes:
        elapsed_s: seconds since it began, by the loop's clock.
        given: items that came out at its end.
        dead_letters: the skipped items, the latest ones only if there are very many.
        skipped: how many there were in all.
    """

    name: str | None
    elapsed_s: float
    given: int
    stages: tuple[StageStats, ...]
    dead_letters: tuple[DeadLetter, ...]
    skipped: int

    @property
    def bottleneck(self) -> StageStats | None:
        """The stage whose workers were busy for the greatest part of the time; None if no stage was."""
        busiest = max(self.stages, key=lambda stage: stage.busy_s / stage.concurrency, default=None)
        return busiest if busiest is not None and busiest.busy_s > 0 else None


class Stream(Generic[T]):
    """What `maypole.patterns.pipeline.Pipeline.stream` returns: iterate over it inside ``async with``.

    Leaving the block early stops every worker and closes the source before the block ends.

    Raises:
        BaseExceptionGroup: from the iteration, or from the end of the block: the errors of all stages, each
            with a note that names stage and item; `ScopeStuck` for workers that did not stop.
    """

    def __init__(
        self,
        items: Any,
        specs: tuple[StageSpec, ...],
        *,
        name: str | None,
        buffer: int,
        grace: float,
        max_dead_letters: int,
        on_event: Listener | None,
    ) -> None:
        self._items = items
        self._specs = specs
        self._name = name
        self._buffer = buffer
        self._grace = grace
        self._jobs = JobSet("pipeline", name, None, None, self._job_ended, on_event)
        self._errors: list[BaseException] = []
        self._dead: deque[DeadLetter] = deque(maxlen=max_dead_letters)
        self._skipped = 0
        self._given = 0
        self._stopped = False
        self._stages: list[Stage] = []
        self._end: Receiver[Numbered] | None = None
        self._places = AsyncExitStack()
        self._began: float | None = None
        self._ended: float | None = None

    def report(self) -> PipelineReport:
        """Return what has been done so far."""
        now = self._ended if self._ended is not None else asyncio.get_running_loop().time()
        return PipelineReport(
            name=self._name,
            elapsed_s=0.0 if self._began is None else now - self._began,
            given=self._given,
            stages=tuple(stage.stats() for stage in self._stages),
            dead_letters=tuple(self._dead),
            skipped=self._skipped,
        )

    async def __aenter__(self) -> Self:
        if self._began is not None:
            raise RuntimeError(f"{self._jobs.called}: a stream runs once; ask the pipeline for another one")
        self._began = asyncio.get_running_loop().time()
        try:
            for spec in self._specs:
                if spec.on is not None:
                    await self._places.enter_async_context(spec.on)
            self._start()
        except BaseException:
            await self._places.aclose()
            raise
        return self

    def _start(self) -> None:
        send, recv = channel[Numbered](self._buffer)
        self._spawn(feed(self._items, send), "source")
        for spec in self._specs:
            intake = recv
            send, recv = channel[Numbered](spec.buffer)
            stage = Stage(spec, intake, send, self._told)
            self._stages.append(stage)
            for worker in range(spec.concurrency):
                self._spawn(stage.work(), f"{spec.name}-{worker}")
        self._end = recv

    def _spawn(self, work: Any, name: str) -> None:
        self._jobs.start(work, f"{self._jobs.called} {name}", copy_context())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        if self._end is None:
            raise RuntimeError(f"{self._jobs.called}: iterate inside `async with pipeline.stream() as items`")
        try:
            _, item = await self._end.recv()
        except ChannelClosed:
            if not self._errors:
                raise StopAsyncIteration from None
        else:
            self._given += 1
            result: T = item
            return result
        await self._stop()
        self._raise_errors()
        raise StopAsyncIteration

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._stop()
        finally:
            self._ended = asyncio.get_running_loop().time()
            await self._places.aclose()
        if error is None:
            self._raise_errors()
        elif self._errors:
            # The block fails for a reason of its own; what failed beside it must not get lost.
            group = BaseExceptionGroup(f"errors in {self._jobs.called}", self._errors)
            log.error("%s failed, too", self._jobs.called, exc_info=group)

    async def _stop(self) -> None:
        """Cancel what still runs and wait until it has ended."""
        if self._stopped:
            return
        self._stopped = True
        self._jobs.close()
        self._jobs.cancel()
        interrupted, stuck = await self._jobs.settled(self._grace)
        if stuck:
            message = f"{self._jobs.called}: {len(stuck)} tasks still run after {self._grace:g} s"
            self._errors.append(ScopeStuck(message, stuck))
        if self._end is not None:
            self._end.close()
        if interrupted is not None:
            raise interrupted

    def _raise_errors(self) -> None:
        if self._errors:
            errors, self._errors = self._errors, []
            raise BaseExceptionGroup(f"errors in {self._jobs.called}", errors)

    def _job_ended(self, job: Job[Any]) -> None:
        if isinstance(job.outcome, Err):
            self._errors.append(job.outcome.error)
        elif isinstance(job.outcome, Cancelled) and not self._jobs.closed:
            self._errors.append(WorkCancelled(f"{job.name} was cancelled from outside the pipeline"))
        if self._errors and not self._jobs.closed:
            self._jobs.close()
            self._jobs.cancel()
            if self._end is not None:
                self._end.shutdown(immediate=True)

    def _told(self, what: str, failure: Failure) -> None:
        if what == "skip":
            self._skipped += 1
            self._dead.append(DeadLetter(failure.item, failure.error, failure.stage))
        events = self._jobs.events
        if events:
            now = asyncio.get_running_loop().time()
            events.tell(what, now, stage=failure.stage, item=failure.item, error=failure.error)

    def __repr__(self) -> str:
        return f"<Stream of {self._jobs.called}: {self._given} given, {len(self._jobs.running)} tasks run>"
