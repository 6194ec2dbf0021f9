"""The recording of one loop: the native half sees the loop, this adds what only Python sees.

Invariant: after `end` the loop, the garbage collector's callbacks and everything else are as before, unless
somebody else has changed them meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from maypole import marks
from maypole.trace import watchdog

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor

STALL_S = 0.05
"""A turn of this length is looked into while it lasts, unless the program has chosen a threshold itself."""

CAPACITY = 1_000_000
"""How many events a recording keeps unless it is told otherwise; each takes 40 bytes once it is there."""


class LoopRecording:
    """Records a loop of maypole from now on.

    Args:
        loop: the loop; it may run, in this thread or another one.
        capacity: how many events are kept; when there are more, the oldest are dropped and counted.

    Raises:
        RuntimeError: if the loop is being recorded already, or no thread can be started.
        ValueError: for a capacity that is no number above 0.
    """

    def __init__(self, loop: Any, capacity: int = CAPACITY) -> None:
        self.loop = loop
        loop._trace_begin(capacity)
        # On the loop's own clock: time stands still and jumps on the virtual one.
        self.began_ns = time.monotonic_ns() if loop._clock == "monotonic" else int(loop.time() * 1e9)
        self._over = False
        self._pause_began_ns = 0
        self._watchdog = _watchdog_for(loop)
        gc.callbacks.append(self._see_collector)
        self._original_run = vars(loop).get("run_in_executor")
        self._run = self._timed_run_in_executor  # one object, to be known again
        loop.run_in_executor = self._run
        self._take_no_marks = marks.take(self)

    def end(self) -> bytes:
        """Stop, and return the document without its "program"; also when the loop is closed or stuck.

        Raises:
            RuntimeError: if it has ended already.
        """
        if self._over:
            raise RuntimeError("the recording has ended already")
        self._take_no_marks()
        if self._watchdog is not None:
            self._watchdog.stop()  # it writes down the stall that it sees
        self._over = True
        with contextlib.suppress(ValueError):  # somebody has taken it out
            gc.callbacks.remove(self._see_collector)
        if vars(self.loop).get("run_in_executor") is self._run:
            if self._original_run is None:
                del self.loop.run_in_executor
            else:
                self.loop.run_in_executor = self._original_run
        document: bytes = self.loop._trace_end()
        return document

    def mark(self, source: str, text: str) -> None:
        """Note what a library or the program writes down, with the task that runs, if one does.

        From another thread it is noted in one of the next turns, with the time of now and without a task.
        """
        now_ns = self._now_ns()
        about = ("marks", now_ns, now_ns, f"{source}\0{text}", 0)
        if asyncio._get_running_loop() is self.loop:
            self._note(*about)
        else:
            with contextlib.suppress(RuntimeError):  # the loop is closed: its recording is as good as over
                self.loop.call_soon_threadsafe(self._note, *about)

    def _now_ns(self) -> int:
        """Nanoseconds since the recording began; the last ones once it is over."""
        try:
            now_ns: int = self.loop._trace_now()
        except RuntimeError:  # it has just ended, in another thread
            return time.monotonic_ns() - self.began_ns
        return now_ns

    def _note(self, group: str, begin_ns: int, end_ns: int, text: str, number: int) -> None:
        if not self._over:
            self.loop._trace_note(group, begin_ns, end_ns, text, number, None)

    def _see_collector(self, phase: str, info: dict[str, int]) -> None:
        """Note a pause of the garbage collector; it stops all threads, whichever it runs in."""
        if phase == "start":
            self._pause_began_ns = self._now_ns()
        elif self._pause_began_ns:
            self._note("gc", self._pause_began_ns, self._now_ns(), "", info.get("generation", 0))

    def _timed_run_in_executor(
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Hand a job in as the loop does, and note when it was handed in, began and ended.

        A job of another kind of executor, such as one in a process, begins when it is handed in, as far as it
        can be seen from here.
        """
        run = self._original_run or functools.partial(type(self.loop).run_in_executor, self.loop)
        submitted_ns = self._now_ns()
        name = f"{_name_of(func)}\0{self.loop._trace_number(asyncio.current_task(self.loop))}"
        if executor is None or isinstance(executor, ThreadPoolExecutor):
            if self.loop.get_debug():
                self.loop._check_callback(func, "run_in_executor")
            future: asyncio.Future[Any] = run(executor, _Timed(self, submitted_ns, name, func), *args)
            self.loop._trace_executor(future)
            return future
        future = run(executor, func, *args)
        self.loop._trace_executor(future)
        future.add_done_callback(
            lambda _: self._note("executor", submitted_ns, self._now_ns(), name, submitted_ns)
        )
        return future


def _watchdog_for(loop: Any) -> watchdog.Watchdog | None:
    """Begin to look into long turns, for their lines in the recording; unless somebody does so already.

    It goes on without lines where no thread can be started, as in exit functions from Python 3.12 on.
    """
    if loop._clock != "monotonic" or watchdog.chosen(loop) is not None:
        return None
    try:
        return watchdog.Watchdog(loop, STALL_S, log=False).start()
    except RuntimeError:
        return None


class _Timed:
    """A job that notes when it runs."""

    def __init__(self, recording: LoopRecording, submitted_ns: int, name: str, func: Any) -> None:
        self._recording = recording
        self._submitted_ns = submitted_ns
        self._name = name
        self._func = func

    def __call__(self, *args: Any) -> Any:
        recording = self._recording
        began_ns = recording._now_ns()
        try:
            return self._func(*args)
        finally:
            recording._note("executor", self._submitted_ns, recording._now_ns(), self._name, began_ns)


def _name_of(func: Any) -> str:
    """Name a job; `asyncio.to_thread` wraps it in a partial of `Context.run`."""
    for _ in range(8):
        if not isinstance(func, functools.partial):
            break
        inside = func.args[0] if func.args and getattr(func.func, "__name__", "") == "run" else func.func
        func = inside
    name = getattr(func, "__qualname__", None)
    return name if isinstance(name, str) else type(func).__qualname__
