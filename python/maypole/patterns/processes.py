"""Pipeline stages in child processes, where a process that dies loses no item."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar

from maypole.patterns.arguments import seconds_or_none
from maypole.patterns.deadline import finally_within
from maypole.patterns.errors import WorkerDied
from maypole.patterns.events import Listener, Listeners, described, loop_time
from maypole.patterns.waiters import Waiters

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

T = TypeVar("T")
R = TypeVar("R")

Context = Literal["spawn", "forkserver", "fork"]


@dataclass(frozen=True, slots=True)
class ProcessesStats:
    """The processes of a run.

    Attributes:
        name: what they are called.
        workers: how many there are.
        busy: how many have an item.
        waiting: how many items wait for one.
        deaths: how many have died while they had an item.
    """

    name: str | None
    workers: int
    busy: int
    waiting: int
    deaths: int


class _Worker:
    """One child process, with an executor of its own: when it dies, it is known which item it had."""

    def __init__(self, context: Context) -> None:
        self.executor = ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(context))
        self.pid: int | None = None

    async def run(self, fn: Callable[[Any], Any], item: Any) -> Any:
        loop = asyncio.get_running_loop()
        if self.pid is None:
            self.pid = await loop.run_in_executor(self.executor, os.getpid)
        return await loop.run_in_executor(self.executor, fn, item)

    def kill(self) -> None:
        """End the process even in the middle of an item."""
        if self.pid is not None:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended by itself


class Processes:
    """Child processes of its own for each run.

    Args:
        workers: how many; None as many as there are processors.
        context: how they are started: ``"spawn"`` (safe, slow), ``"forkserver"`` or ``"fork"``.
        max_deaths: how many processes may die on one item before the item is given up. An item whose process
            died is run again, so its function must bear being run twice.
        grace: seconds that leaving a run waits for processes to end.
        name: for stats and events.
        on_event: called with each `PatternEvent`: ``worker_died``.

    Functions, items and results go through pickle: functions must be importable by their name. An item whose
    caller is cancelled is not interrupted; leaving the run kills what is still busy.

    Attributes:
        deaths: how many processes have died while they had an item.
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        context: Context = "spawn",
        max_deaths: int = 3,
        grace: float = 10.0,
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        if workers is not None and workers < 1:
            raise ValueError(f"workers must be 1 or more, got {workers}")
        if max_deaths < 1:
            raise ValueError(f"max_deaths must be 1 or more, got {max_deaths}")
        if context not in multiprocessing.get_all_start_methods():
            known = ", ".join(multiprocessing.get_all_start_methods())
            raise ValueError(f"context must be one of {known}; got {context!r}")
        self._count = workers or os.cpu_count() or 1
        self._context = context
        self._max_deaths = max_deaths
        seconds_or_none("grace", grace, zero=True)
        self._grace = grace
        self.name = name
        self.events = Listeners("processes", name, on_event)
        self._free: list[_Worker] = []
        self._all: set[_Worker] = set()
        self._line: Waiters[_Worker] = Waiters(self._put_back, name="processes")
        self._working: set[asyncio.Future[Any]] = set()
        self._open = False
        self.deaths = 0

    def submit(self, fn: Callable[[T], R], item: T, /) -> Awaitable[R]:
        """Run ``fn(item)`` in one of the processes.

        Raises:
            WorkerDied: when awaited: ``max_deaths`` processes died on this item.
            RuntimeError: outside the ``async with``.
        """
        if not self._open:
            raise RuntimeError("the processes run inside `async with` only")
        return self._run(fn, item)

    async def _run(self, fn: Callable[[T], R], item: T) -> R:
        died = 0
        while True:
            worker = self._free.pop() if self._free and not self._line else await self._line.wait()
            working = asyncio.ensure_future(worker.run(fn, item))
            self._working.add(working)
            working.add_done_callback(partial(self._done, worker))
            try:
                # A process cannot be interrupted: when the caller leaves, it is busy until it is done.
                result: R = await asyncio.shield(working)
                return result
            except BrokenProcessPool as error:
                died += 1
                if died >= self._max_deaths:
                    name = getattr(fn, "__qualname__", repr(fn))
                    raise WorkerDied(f"{died} processes died while they ran {name} on this item") from error

    async def __aenter__(self) -> Self:
        if self._open:
            raise RuntimeError("these processes serve another run now")
        self._open = True
        for _ in range(self._count):
            self._hire()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._open = False
        workers, self._all = self._all, set()
        idle, self._free = self._free, []
        for worker in workers:
            if worker not in idle:
                worker.kill()
        await finally_within(self._shut_down(workers), self._grace)

    async def _shut_down(self, workers: set[_Worker]) -> None:
        await asyncio.to_thread(_shut_down, workers)
        if self._working:
            await asyncio.wait(self._working)

    def _hire(self) -> None:
        worker = _Worker(self._context)
        self._all.add(worker)
        self._offer(worker)

    def _offer(self, worker: _Worker) -> None:
        if self._open and not self._line.hand(worker):
            self._free.append(worker)

    def _put_back(self, worker: _Worker) -> None:
        self._offer(worker)

    def _done(self, worker: _Worker, done: asyncio.Future[Any]) -> None:
        """The process is free again, or dead and replaced."""
        self._working.discard(done)
        died = not done.cancelled() and isinstance(done.exception(), BrokenProcessPool)
        if not self._open:
            return
        if not died:
            self._offer(worker)
            return
        self.deaths += 1
        self.events.tell("worker_died", loop_time(), pid=worker.pid, deaths=self.deaths)
        self._all.discard(worker)
        worker.executor.shutdown(wait=False)
        self._hire()

    def stats(self) -> ProcessesStats:
        """Return how many there are, work and have died, and how many items wait."""
        return ProcessesStats(
            self.name, len(self._all), len(self._all) - len(self._free), len(self._line), self.deaths
        )

    def describe(self) -> dict[str, Any]:
        """Return the stats, and the processes' ids, as a dict."""
        return described("processes", self.stats()) | {"pids": [worker.pid for worker in self._all]}

    def __repr__(self) -> str:
        return f"<Processes {len(self._all)} of {self._count}, {len(self._free)} free, {self.deaths} died>"


def _shut_down(workers: set[_Worker]) -> None:
    for worker in workers:
        worker.executor.shutdown(cancel_futures=True)
