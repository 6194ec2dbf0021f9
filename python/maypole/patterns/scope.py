"""Tasks that live no longer than a block of code, so many at a time."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar, get_args

from maypole.patterns.errors import ScopeStuck
from maypole.patterns.events import Listener, described, log
from maypole.patterns.jobs import Job, JobSet, JobStats
from maypole.patterns.outcome import Err, Outcome
from maypole.patterns.tasks import keep, standing

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

T = TypeVar("T")

OnError = Literal["cancel", "collect"]


class TaskScope:
    """A task group with a limit, outcomes, and an end even when a task does not want to stop.

    Args:
        limit: how many jobs run at a time; None for no bound.
        max_pending: how many may wait for their turn, if there is a limit.
        on_error: ``"cancel"``: the first error cancels all others and is raised, as asyncio's TaskGroup does.
            ``"collect"``: errors are outcomes and disturb nobody.
        grace: seconds that cancelled jobs have for their cleanup; then the scope ends without them.
        name: for messages, stats and events.
        on_event: called with each `PatternEvent`: ``start``, ``end``, ``reject``, ``stuck``.

    Raises:
        BaseExceptionGroup: out of the ``async with``: the errors of jobs and block, with ``"cancel"``; and
            `ScopeStuck` in it, for jobs that did not stop within the grace.
        ValueError: for a limit below 1, a negative grace or an unknown policy.

    Cancel safety: cancelling the task that holds the scope cancels the jobs and waits for their cleanup.

    Source: https://docs.python.org/3/library/asyncio-task.html#task-groups

    >>> async def double(x):
    ...     await asyncio.sleep(0.001)
    ...     return 2 * x
    >>> async def main():
    ...     async with TaskScope(limit=2, on_error="collect") as scope:
    ...         for x in range(4):
    ...             scope.start(double(x))
    ...     return [outcome.unwrap() for outcome in scope.outcomes]
    >>> asyncio.run(main())
    [0, 2, 4, 6]
    """

    def __init__(
        self,
        *,
        limit: int | None = None,
        max_pending: int | None = 10_000,
        on_error: OnError = "cancel",
        grace: float = 10.0,
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        if on_error not in get_args(OnError):
            raise ValueError(f"on_error must be one of {', '.join(get_args(OnError))}; got {on_error!r}")
        if not grace >= 0:
            raise ValueError(f"grace must be 0 or more seconds, got {grace!r}")
        self._jobs = JobSet("scope", name, limit, max_pending, self._job_ended, on_event)
        self._collect = on_error == "collect"
        self._grace = grace
        self._started: list[Job[Any]] = []
        self._holder: asyncio.Task[Any] | None = None
        self._holder_cancelled = False
        self._leaving = False
        self._left = False
        self._patience: asyncio.Timeout | None = None
        self._aborted_at: float | None = None
        self._errors: list[BaseException] = []

    def start(self, work: Coroutine[Any, Any, T], *, name: str | None = None) -> Job[T]:
        """Run a coroutine beside the others, now or when it is its turn.

        Args:
            work: a coroutine; it is closed if it is refused.
            name: for the task.

        Raises:
            QueueFull: ``max_pending`` jobs wait already.
            ScopeClosed: the scope has ended or is being cancelled.
            RuntimeError: outside the ``async with``.
        """
        self._check_entered(work)
        return self._note(self._jobs.start(work, name, copy_context()))

    async def submit(
        self, work: Coroutine[Any, Any, T], *, name: str | None = None, timeout: float | None = None
    ) -> Job[T]:
        """Like `start`, but wait for a place instead of raising `QueueFull`.

        Raises:
            TimeoutError: no place came free in time.
            ScopeClosed, RuntimeError: as `start`.

        Cancel safety: a cancelled call has started nothing.
        """
        self._check_entered(work)
        return self._note(await self._jobs.submit(work, name, copy_context(), timeout))

    @property
    def outcomes(self) -> list[Outcome[Any] | None]:
        """How the jobs ended, in the order they were started; None for those that have not.

        Raises:
            RuntimeError: with ``on_error="cancel"``, where nothing is kept.
        """
        if not self._collect:
            raise RuntimeError('a scope keeps outcomes with on_error="collect" only')
        return [job.outcome for job in self._started]

    def cancel(self) -> None:
        """Ask all jobs to stop and take no more; the block itself goes on."""
        if self._aborted_at is not None:
            return  # a second cancellation would cut short the cleanup that the first one began
        self._aborted_at = asyncio.get_running_loop().time()
        if self._patience is not None:
            self._patience.reschedule(self._aborted_at + self._grace)
        self._jobs.close()
        self._jobs.cancel()

    def stats(self) -> JobStats:
        """Return how many jobs run, wait, and how the others ended."""
        return self._jobs.stats()

    def describe(self) -> dict[str, Any]:
        """Return the stats and the names of the running jobs as a dict."""
        return described("scope", self.stats()) | {"jobs": [job.name for job in self._jobs.running.values()]}

    async def __aenter__(self) -> Self:
        if self._holder is not None:
            raise RuntimeError(f"{self._jobs.called} has been entered already")
        self._holder = asyncio.current_task()
        if self._holder is None:
            raise RuntimeError(f"{self._jobs.called} needs a task that holds it")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leaving = True
        cancelled = error if isinstance(error, asyncio.CancelledError) else None
        if error is not None:
            self.cancel()
        while self._jobs.running or self._jobs.pending:
            try:
                await self._wait_patiently()
            except asyncio.CancelledError as from_outside:
                cancelled = from_outside
                self.cancel()
            except TimeoutError:
                self._give_up_on_stuck()
                break
        self._jobs.close()
        self._left = True
        self._raise(error, cancelled)

    async def _wait_patiently(self) -> None:
        """Wait for all jobs; `cancel` ends the patience even while this waits."""
        give_up_at = None if self._aborted_at is None else self._aborted_at + self._grace
        try:
            async with asyncio.timeout_at(give_up_at) as self._patience:
                await self._jobs.idle()
        finally:
            self._patience = None

    def _give_up_on_stuck(self) -> None:
        stuck = tuple(standing(keep(task)) for task in self._jobs.running)
        self._jobs.events.tell("stuck", asyncio.get_running_loop().time(), jobs=stuck)
        message = (
            f"{self._jobs.called}: {len(stuck)} jobs still run {self._grace:g} s after their cancellation"
        )
        self._errors.append(ScopeStuck(message, stuck))

    def _raise(self, error: BaseException | None, cancelled: BaseException | None) -> None:
        """Raise what has to be raised; the same order of precedence as in asyncio's TaskGroup."""
        holder, errors = self._holder, self._errors
        assert holder is not None
        self._errors = []
        for fatal in [error, *errors]:
            if isinstance(fatal, (KeyboardInterrupt, SystemExit)):
                raise fatal
        if self._holder_cancelled and holder.uncancel() == 0:
            cancelled = None
        if cancelled is not None and not errors:
            raise cancelled
        if not errors and (error is None or self._collect):
            return
        if error is not None and not isinstance(error, asyncio.CancelledError):
            errors.append(error)
        if not errors:
            return
        if holder.cancelling():
            # Cancelled from outside too: that must not get lost behind the errors.
            holder.uncancel()
            holder.cancel()
        raise BaseExceptionGroup(f"errors in {self._jobs.called}", errors) from None

    def _job_ended(self, job: Job[Any]) -> None:
        if not isinstance(job.outcome, Err):
            return
        error = job.outcome.error
        if self._collect and isinstance(error, Exception):
            return
        if self._left:
            log.error(
                "%s of %s failed after the scope had ended", job.name, self._jobs.called, exc_info=error
            )
            return
        self._errors.append(error)
        aborted = self._aborted_at is not None
        self.cancel()
        if not self._leaving and not aborted:
            assert self._holder is not None
            self._holder_cancelled = True
            self._holder.cancel()

    def _note(self, job: Job[T]) -> Job[T]:
        if self._collect:
            self._started.append(job)
        return job

    def _check_entered(self, work: Coroutine[Any, Any, Any]) -> None:
        if self._holder is None:
            work.close()
            raise RuntimeError(f"{self._jobs.called} has not been entered: use `async with`")

    def __repr__(self) -> str:
        return (
            f"<TaskScope {self._jobs.called}: {len(self._jobs.running)} run, {len(self._jobs.pending)} wait>"
        )
