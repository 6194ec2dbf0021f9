"""Coroutines that run beside each other, so many at a time: what scopes and background work share."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from maypole.patterns.errors import QueueFull, ScopeClosed
from maypole.patterns.events import Listener, Listeners, loop_time
from maypole.patterns.outcome import Cancelled, Err, Ok, Outcome, outcome_of
from maypole.patterns.tasks import cancel_all, keep, settle, standing
from maypole.patterns.waiters import Waiters

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator
    from contextvars import Context

T = TypeVar("T")


class Job(Generic[T]):
    """One coroutine that was given to a scope. ``await job`` gives its result or raises its error.

    Attributes:
        name: the name of its task.
        outcome: how it ended; None until then.
        task: the task it runs in; None until it is its turn.
    """

    __slots__ = ("_context", "_done", "_jobs", "_work", "awaited", "name", "outcome", "task")

    def __init__(self, jobs: JobSet, work: Coroutine[Any, Any, T], name: str, context: Context) -> None:
        self._jobs = jobs
        self._work = work
        self._context = context
        self._done: asyncio.Event | None = None
        self.name = name
        self.outcome: Outcome[T] | None = None
        self.task: asyncio.Task[T] | None = None
        self.awaited = False

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.outcome is not None

    def cancel(self) -> bool:
        """Ask it to stop; one that has not begun never begins. False if it has ended already."""
        if self.outcome is not None:
            return False
        if self.task is not None:
            return self.task.cancel()
        self._jobs.give_up(self)
        return True

    async def wait(self) -> Outcome[T]:
        """Wait until it has ended and return how, without raising its error.

        Cancel safety: cancelling the caller leaves the job alone.
        """
        self.awaited = True
        if self.outcome is None:
            if self._done is None:
                self._done = asyncio.Event()
            await self._done.wait()
        assert self.outcome is not None
        return self.outcome

    def __await__(self) -> Generator[Any, None, T]:
        outcome = yield from self.wait().__await__()
        return outcome.unwrap()

    def begin(self, loop: asyncio.AbstractEventLoop) -> asyncio.Task[T]:
        """Make the task; the set it belongs to calls this."""
        self.task = loop.create_task(self._work, name=self.name, context=self._context)
        return self.task

    def end(self, outcome: Outcome[T]) -> None:
        """Note how it ended; the set it belongs to calls this."""
        self.outcome = outcome
        if self.task is None:
            self._work.close()
        if self._done is not None:
            self._done.set()

    def __repr__(self) -> str:
        state = "waits" if self.task is None else "runs"
        return f"<Job {self.name!r} {state if self.outcome is None else self.outcome}>"


@dataclass(frozen=True, slots=True)
class JobStats:
    """How many jobs there are and how they ended.

    Attributes:
        running: jobs that have a task.
        pending: jobs that wait for a place among the running.
        waiting: callers of ``submit`` that wait for a place among the pending.
    """

    name: str | None
    limit: int | None
    running: int
    running_max: int
    pending: int
    waiting: int
    started: int
    succeeded: int
    failed: int
    cancelled: int
    rejected: int


class JobSet:
    """Runs jobs, at most ``limit`` at a time, the others in the order they came.

    Args:
        kind: the pattern it serves, for events.
        limit: how many run at a time; None for no bound.
        max_pending: how many may wait for their turn.
        on_end: called in the loop with each job that has ended.
    """

    def __init__(
        self,
        kind: str,
        name: str | None,
        limit: int | None,
        max_pending: int | None,
        on_end: Callable[[Job[Any]], None],
        on_event: Listener | None,
    ) -> None:
        if limit is not None and limit < 1:
            raise ValueError(f"limit must be 1 or more, or None for no bound; got {limit}")
        if max_pending is not None and max_pending < 0:
            raise ValueError(f"max_pending must be 0 or more, or None for no bound; got {max_pending}")
        self.called = f"{kind} {name!r}" if name else kind
        self.name = name
        self.limit = limit
        self.max_pending = max_pending
        self.events = Listeners(kind, name, on_event)
        self.running: dict[asyncio.Task[Any], Job[Any]] = {}
        self.pending: OrderedDict[Job[Any], None] = OrderedDict()
        self.closed = False
        self._on_end = on_end
        # Those in line are handed a promise of a place, which they redeem when they run.
        self._line: Waiters[None] = Waiters(self._place_unused, name=self.called, max_waiting=10_000)
        self._promised = 0
        self._beginning = 0
        self._idle: asyncio.Event | None = None
        self._running_max = self._started = self._rejected = 0
        self._ended_as = {Ok: 0, Err: 0, Cancelled: 0}

    def start(self, work: Coroutine[Any, Any, T], name: str | None, context: Context) -> Job[T]:
        """Take a job on, now or never.

        Raises:
            QueueFull: no place is free.
            ScopeClosed: nothing more is taken.
        """
        self._check_open(work)
        if self._line or self._promised or not self._has_room():
            self._rejected += 1
            self.events.tell("reject", loop_time(), pending=len(self.pending))
            work.close()
            raise QueueFull(f"{self.called}: {len(self.pending)} jobs are pending already", name=self.name)
        return self._take_on(work, name, context)

    async def submit(
        self, work: Coroutine[Any, Any, T], name: str | None, context: Context, timeout: float | None
    ) -> Job[T]:
        """Take a job on when there is a place for it, in the order of the callers."""
        self._check_open(work)
        try:
            if self._line or self._promised or not self._has_room():
                place = self._line.stand()
                self._call_line()
                await self._line.handed(place, timeout)
                self._promised -= 1
        except BaseException:
            work.close()
            raise
        self._check_open(work)
        return self._take_on(work, name, context)

    def give_up(self, job: Job[Any]) -> None:
        """End a job that has not begun."""
        del self.pending[job]
        self._note_end(job, Cancelled("it had not begun"))
        self._call_line()

    def cancel(self) -> None:
        """End all that have not begun and ask the others to stop."""
        for job in list(self.pending):
            self.give_up(job)
        cancel_all(list(self.running))

    def close(self) -> None:
        """Take nothing more on; those who wait for a place are told."""
        self.closed = True
        self._line.fail_all(lambda: ScopeClosed(f"{self.called} is closed"))

    async def idle(self) -> None:
        """Wait until nothing runs and nothing is pending."""
        while self.running or self.pending:
            if self._idle is None:
                self._idle = asyncio.Event()
            await self._idle.wait()

    async def settled(self, timeout: float) -> tuple[asyncio.CancelledError | None, tuple[str, ...]]:
        """Wait until the running jobs have ended or the time is over, whatever happens to the caller.

        Returns:
            The cancellation that came meanwhile, and one line for each job that still runs.
        """
        tasks = list(self.running)
        interrupted = await settle(tasks, timeout)
        for task in tasks:
            if task.done():
                self._task_done(task)  # its own callback may come a moment later
        stuck = tuple(standing(keep(task)) for task in tasks if not task.done())
        if stuck:
            self.events.tell("stuck", loop_time(), jobs=stuck)
        return interrupted, stuck

    def stats(self) -> JobStats:
        """Return the counts."""
        return JobStats(
            name=self.name,
            limit=self.limit,
            running=len(self.running),
            running_max=self._running_max,
            pending=len(self.pending),
            waiting=len(self._line),
            started=self._started,
            succeeded=self._ended_as[Ok],
            failed=self._ended_as[Err],
            cancelled=self._ended_as[Cancelled],
            rejected=self._rejected,
        )

    def _check_open(self, work: Coroutine[Any, Any, Any]) -> None:
        if self.closed:
            work.close()
            raise ScopeClosed(f"{self.called} is closed and takes no more jobs")

    def _has_room(self) -> bool:
        return self._may_begin() or self.max_pending is None or len(self.pending) < self.max_pending

    def _may_begin(self) -> bool:
        return self.limit is None or len(self.running) + self._beginning < self.limit

    def _take_on(self, work: Coroutine[Any, Any, T], name: str | None, context: Context) -> Job[T]:
        name = name or str(getattr(work, "__qualname__", type(work).__name__))
        job = Job(self, work, name, context)
        self.pending[job] = None
        self._begin_next()
        return job

    def _begin_next(self) -> None:
        while self.pending and self._may_begin():
            job, _ = self.pending.popitem(last=False)
            self._beginning += 1  # an eager task runs, and may start others, before it is in the set
            task = job.begin(asyncio.get_running_loop())
            self._beginning -= 1
            self.running[task] = job
            self._started += 1
            self._running_max = max(self._running_max, len(self.running))
            if self.events:
                self.events.tell("start", loop_time(), job=job.name)
            task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[Any]) -> None:
        job = self.running.pop(task, None)
        if job is None:
            return
        self._note_end(job, outcome_of(task))
        self._begin_next()
        self._call_line()

    def _note_end(self, job: Job[Any], outcome: Outcome[Any]) -> None:
        job.end(outcome)
        self._ended_as[type(outcome)] += 1
        if self.events:
            self.events.tell("end", loop_time(), job=job.name, outcome=outcome)
        self._on_end(job)
        if self._idle is not None and not self.running and not self.pending:
            self._idle.set()
            self._idle = None

    def _places(self) -> float:
        """How many more jobs could be taken on."""
        if self.limit is None or self.max_pending is None:
            return float("inf")
        return self.limit + self.max_pending - len(self.running) - len(self.pending)

    def _call_line(self) -> None:
        while self._line and self._promised < self._places() and self._line.hand(None):
            self._promised += 1

    def _place_unused(self, _: None) -> None:
        self._promised -= 1
        self._call_line()
