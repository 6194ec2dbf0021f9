"""What still runs outside the loop: executor jobs and other threads.

The virtual clock must not jump while one of them may still call the loop. Such work happens in real time, so
the loop waits for it in real time: in steps of 20 ms, and before a jump at most 2 s without progress.

Invariant: a job counts from its submission until its future is done *in the loop's thread*; so there is no
moment at which a finished job is no longer counted and its result not yet seen.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import thread as pool_threads
from typing import TYPE_CHECKING, Any

from maypole.attendants import AttendantThread

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from concurrent.futures import Executor

STEP_S = 0.020
"""How long the loop waits in real time before it looks again."""

WAIT_S_MAX = 2.0
"""How long the clock is held back from its next jump when nothing outside makes progress."""


class Outstanding:
    """Counts the work outside one loop.

    The threads that live when this is made are the loop's surroundings and do not count, unless the loop runs
    in another thread than the main one: then the main thread is somebody who may call it.
    """

    def __init__(self) -> None:
        self._surroundings = {thread.ident for thread in threading.enumerate()}
        self._jobs: Counter[Executor | None] = Counter()
        self._asleep: set[int] = set()

    def job_started(self, executor: Executor | None = None) -> None:
        """Count one more job, on that executor if it is known."""
        self._jobs[executor] += 1

    def job_ended(self, executor: Executor | None = None) -> None:
        """Count one job less."""
        self._jobs[executor] -= 1
        if not self._jobs[executor]:
            del self._jobs[executor]

    def track(self, future: asyncio.Future[Any], executor: Executor | None = None) -> None:
        """Count a job of ``run_in_executor`` until its future is done.

        A cancelled future is done: nobody waits for its job any more, though the thread may go on with it.
        """
        self.job_started(executor)
        future.add_done_callback(lambda _: self.job_ended(executor))

    def thread_asleep(self, ident: int) -> None:
        """Note that a thread waits for the virtual clock itself; the loop must not wait for it."""
        self._asleep.add(ident)

    def thread_awake(self, ident: int) -> None:
        """Note that the thread goes on."""
        self._asleep.discard(ident)

    def any(self) -> bool:
        """Say whether something outside may still call the loop. Call it in the loop's thread."""
        return any(self._may_progress(executor) for executor in self._jobs) or self._busy_thread()

    def _may_progress(self, executor: Executor | None) -> bool:
        """Whether a job of this executor runs: not if each of its threads sleeps until the clock moves."""
        if not isinstance(executor, ThreadPoolExecutor):
            return True
        asleep = sum(thread.ident in self._asleep for thread in executor._threads)
        return asleep < min(self._jobs[executor], executor._max_workers)

    def _busy_thread(self) -> bool:
        here = threading.get_ident()
        ignored = self._surroundings | self._asleep | {here}
        main = threading.main_thread()
        if main.ident != here and main.is_alive():
            ignored.discard(main.ident)
        others = [thread for thread in threading.enumerate() if thread.ident not in ignored]
        return any(not _is_idle(thread) for thread in others)


def counted_executor(loop: asyncio.AbstractEventLoop, executor: Executor | None) -> Executor | None:
    """Return the executor that ``run_in_executor(executor, …)`` really used: None stands for the loop's
    own."""
    return executor if executor is not None else getattr(loop, "_default_executor", None)


def _is_idle(thread: threading.Thread) -> bool:
    """Whether the thread belongs to a pool and has nothing to do."""
    queue = pool_threads._threads_queues.get(thread)
    if queue is not None:
        # A worker without work is blocked inside its own loop function, on an empty queue.
        frame = sys._current_frames().get(thread.ident or 0)
        return frame is not None and frame.f_code is _POOL_WORKER.__code__ and queue.empty()
    pending = getattr(thread, "pending_work_items", None)  # the thread that serves a process pool
    if pending is not None:
        return not pending
    return thread.name == "QueueFeederThread" or isinstance(thread, (AttendantThread, threading._DummyThread))


_POOL_WORKER: Callable[..., object] = pool_threads._worker
