"""Work that outlives the call which starts it, and that is ended in order when the program ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar

from maypole.patterns.arguments import function_or_none
from maypole.patterns.deadline import without_deadline
from maypole.patterns.events import Listener, described, log
from maypole.patterns.jobs import Job, JobSet, JobStats
from maypole.patterns.outcome import Err
from maypole.patterns.tasks import cancel_all

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

T = TypeVar("T")

OnJobError = Callable[[Job[Any], BaseException], object]


class Background:
    """Runs coroutines in the background: kept alive, limited, and stopped with time for their cleanup.

    Args:
        limit: how many jobs run at a time; None for no bound.
        max_pending: how many may wait for their turn.
        on_error: called with a job and its error. Without it errors are logged, unless somebody awaits the
            job.
        drain: seconds that `aclose` lets jobs go on before it cancels them.
        grace: seconds that `aclose` lets cancelled jobs clean up.
        name: for messages, stats and events.
        on_event: called with each `PatternEvent`: ``start``, ``end``, ``reject``, ``stuck``.

    A job runs in a copy of the context in which it was started, without its `Deadline`: the work goes on
    after the request which started it.

    >>> async def main():
    ...     done = []
    ...     async def remember(x):
    ...         done.append(x)
    ...     async with Background(limit=10, drain=1) as background:
    ...         background.start(remember("mail sent"))
    ...     return done
    >>> asyncio.run(main())
    ['mail sent']
    """

    def __init__(
        self,
        *,
        limit: int | None = 100,
        max_pending: int | None = 1000,
        on_error: OnJobError | None = None,
        drain: float = 0.0,
        grace: float = 10.0,
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        if not drain >= 0 or not grace >= 0:
            raise ValueError(f"drain and grace must be 0 or more seconds, got {drain!r} and {grace!r}")
        self._jobs = JobSet("background", name, limit, max_pending, self._job_ended, on_event)
        self._on_error = function_or_none("on_error", on_error)
        self._drain = drain
        self._grace = grace

    def start(self, work: Coroutine[Any, Any, T], *, name: str | None = None) -> Job[T]:
        """Run a coroutine in the background, now or when it is its turn.

        Args:
            work: a coroutine; it is closed if it is refused.
            name: for the task.

        Raises:
            QueueFull: ``max_pending`` jobs wait already.
            ScopeClosed: after `aclose` has begun.
        """
        return self._jobs.start(work, name, without_deadline())

    async def submit(
        self, work: Coroutine[Any, Any, T], *, name: str | None = None, timeout: float | None = None
    ) -> Job[T]:
        """Like `start`, but wait for a place instead of raising `QueueFull`.

        Raises:
            TimeoutError: no place came free in time.
            ScopeClosed: as `start`.

        Cancel safety: a cancelled call has started nothing.
        """
        return await self._jobs.submit(work, name, without_deadline(), timeout)

    async def join(self) -> None:
        """Wait until nothing runs and nothing is pending."""
        await self._jobs.idle()

    async def aclose(self, *, drain: float | None = None, grace: float | None = None) -> tuple[str, ...]:
        """Take nothing more, let jobs finish, cancel those that have not, let them clean up.

        Args:
            drain: seconds until running and pending jobs are cancelled; None as given to the constructor.
            grace: seconds after that for their cleanup.

        Returns:
            One line for each task that did not stop: its name and where it stands.

        Cancel safety: cancelling this call ends the draining; the cleanup still has its grace.
        """
        self._jobs.close()
        interrupted = await self._drained(self._drain if drain is None else drain)
        self._jobs.cancel()
        again, stuck = await self._jobs.settled(self._grace if grace is None else grace)
        if stuck:
            log.error("%s: %d jobs did not stop:\n  %s", self._jobs.called, len(stuck), "\n  ".join(stuck))
        if (interrupted := again or interrupted) is not None:
            raise interrupted
        return stuck

    def cancel(self) -> None:
        """Ask all jobs to stop now; later ones are still taken on."""
        for job in list(self._jobs.pending):
            job.cancel()
        cancel_all(list(self._jobs.running))

    def stats(self) -> JobStats:
        """Return how many jobs run, wait, and how the others ended."""
        return self._jobs.stats()

    def describe(self) -> dict[str, Any]:
        """Return the stats and the names of the running jobs as a dict."""
        return described("background", self.stats()) | {
            "jobs": [job.name for job in self._jobs.running.values()]
        }

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _drained(self, seconds: float) -> asyncio.CancelledError | None:
        if seconds <= 0:
            return None
        try:
            async with asyncio.timeout(seconds):
                await self._jobs.idle()
        except TimeoutError:
            pass
        except asyncio.CancelledError as error:
            return error
        return None

    def _job_ended(self, job: Job[Any]) -> None:
        if not isinstance(job.outcome, Err):
            return
        error = job.outcome.error
        if self._on_error is not None:
            try:
                self._on_error(job, error)
            except Exception:
                log.exception("on_error of %s failed on %s", self._jobs.called, job.name)
        elif not job.awaited:
            log.error("%s of %s failed", job.name, self._jobs.called, exc_info=error)

    def __repr__(self) -> str:
        return (
            f"<Background {self._jobs.called}: {len(self._jobs.running)} run, {len(self._jobs.pending)} wait>"
        )
