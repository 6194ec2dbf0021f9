"""Where and when tasks were made, noted while somebody wants to know; and which were lost.

A loop notes nothing by itself: a call of Python for each new task is dear. While `track_tasks` holds, an
instrument looks for the line that makes the task. Of other tasks asyncio's debug mode knows the line.

Invariant: what is noted of a task is forgotten when it has ended; a loop that is noted no longer is as it
was.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
import weakref
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maypole.stacks import file_rank
from maypole.trace.instruments import Instrument, add_instrument, remove_instrument
from maypole.trace.tasks.lost import MESSAGE, LostTask, lost_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType

    Task = asyncio.Task[Any]

Site = tuple[str, int, str]
"""File, line, qualified name of the function."""

FRAMES_MAX = 64
"""How far up the stack the program's own line is looked for."""

LOST_MAX = 1_000
"""How many lost tasks are kept; the oldest are forgotten."""


@dataclass(frozen=True, slots=True)
class Birth:
    """What is known of the making of a task.

    `site` is the program's line that made it, `made_ns` the time on the clock of `time.monotonic_ns()`,
    `parent` the `id` of the task that ran then; None where it is not known.
    """

    site: Site | None
    made_ns: int | None
    parent: int | None

    @property
    def age_s(self) -> float | None:
        """Seconds since the task was made."""
        return None if self.made_ns is None else (time.monotonic_ns() - self.made_ns) / 1e9


class Births(Instrument):
    """Notes the births of one loop's tasks, and those that are destroyed while they are pending."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.users = 0
        self.lost: deque[LostTask] = deque(maxlen=LOST_MAX)
        self._noted: dict[int, tuple[CodeType | None, int, int, int | None]] = {}
        self._loop = weakref.ref(loop)
        self._prune_at = LOST_MAX
        self._told: Callable[[dict[str, Any]], None] | None = None

    def task_spawned(self, task: Task, /) -> None:
        """Note a new task."""
        # Nothing is made here but a tuple: this is paid for each task.
        if len(self._noted) >= self._prune_at:
            self._forget_the_dead()
        parent = asyncio.current_task(self._loop())
        code, line = _line(sys._getframe(1))
        self._noted[id(task)] = (code, line, time.monotonic_ns(), None if parent is None else id(parent))

    def task_exited(self, task: Task, /) -> None:
        """Forget a task that has ended."""
        self._noted.pop(id(task), None)

    def of(self, task: Task) -> Birth | None:
        """Return what was noted of a task."""
        noted = self._noted.get(id(task))
        if noted is None:
            return None
        code, line, made_ns, parent = noted
        site = None if code is None else (code.co_filename, line, code.co_qualname)
        return Birth(site, made_ns, parent)

    def begin(self, loop: Any) -> None:
        """Begin to note on a loop."""
        add_instrument(self, loop)
        loop.call_exception_handler = self._told = _with_births(weakref.ref(loop), self)

    def end(self, loop: Any) -> None:
        """Leave the loop as it was; what somebody else has put over it stays."""
        if not loop.is_closed():
            with contextlib.suppress(KeyError):  # a hook of ours has raised, and was reported
                remove_instrument(self, loop)
        if vars(loop).get("call_exception_handler") is self._told:
            del loop.call_exception_handler

    def _forget_the_dead(self) -> None:
        """Forget tasks that vanished without a word, as those do that asyncio itself gives up."""
        loop = self._loop()
        alive = set() if loop is None else {id(task) for task in asyncio.all_tasks(loop)}
        self._noted = {number: birth for number, birth in self._noted.items() if number in alive}
        self._prune_at = max(LOST_MAX, 2 * len(self._noted))


def _with_births(
    loop_ref: weakref.ref[asyncio.AbstractEventLoop], births: Births
) -> Callable[[dict[str, Any]], None]:
    """Make an exception handler's front that says of a lost task where and when it was made."""

    def call_exception_handler(context: dict[str, Any]) -> None:
        loop = loop_ref()
        if loop is None:
            return
        task = context.get("task")
        if context.get("message") == MESSAGE and isinstance(task, asyncio.Task):
            with contextlib.suppress(Exception):  # a class of the program may raise whatever it is asked
                lost = lost_task(task, births.of(task) or _of_debug_mode(task))
                births.task_exited(task)
                births.lost.append(lost)
                context = {**context, **lost.details()}
        type(loop).call_exception_handler(loop, context)

    return call_exception_handler


_by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Births] = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def track_tasks(loop: asyncio.AbstractEventLoop | None = None) -> Iterator[Births]:
    """Note where and when a loop's tasks are made, and which are lost; several may ask for it at once.

    `maypole.trace.tree` then knows the age of each task and the line that made it, and asyncio's message
    about a task that was destroyed while it was pending tells both.

    Args:
        loop: a loop of maypole, running or not; None for the running one.

    Yields:
        An object whose `lost` holds a `LostTask` for each task that was lost meanwhile.

    Raises:
        TypeError: for a loop that is not maypole's.
        RuntimeError: if it is closed, or none was given and none runs in this thread.

    Example:
        >>> import asyncio, maypole, maypole.trace
        >>> async def main():
        ...     with maypole.trace.track_tasks():
        ...         task = asyncio.create_task(asyncio.sleep(0), name="child")
        ...         return maypole.trace.tree().task("child").age_s < 60
        >>> maypole.run(main())
        True
    """
    if loop is None:
        loop = asyncio.get_running_loop()
    births = begin_noting(loop)
    try:
        yield births
    finally:
        end_noting(loop)


def begin_noting(loop: asyncio.AbstractEventLoop) -> Births:
    """Begin to note, until `end_noting` was called as often as this; see `track_tasks`."""
    births = _by_loop.get(loop)
    if births is None:
        births = Births(loop)
        births.begin(loop)
        _by_loop[loop] = births
    births.users += 1
    return births


def end_noting(loop: asyncio.AbstractEventLoop) -> None:
    """Say that one of those who asked for it needs it no longer."""
    births = _by_loop.get(loop)
    if births is not None:
        births.users -= 1
        if births.users == 0:
            del _by_loop[loop]
            births.end(loop)


def of(task: Task) -> Birth | None:
    """Return what is known of the making of a task: noted, or known to asyncio's debug mode."""
    births = _by_loop.get(task.get_loop())
    return (births.of(task) if births is not None else None) or _of_debug_mode(task)


def lost_tasks(loop: asyncio.AbstractEventLoop) -> list[LostTask]:
    """Return the tasks of a loop that were destroyed while they were pending, as far as it was noted."""
    births = _by_loop.get(loop)
    return list(births.lost) if births is not None else []


def _of_debug_mode(task: Task) -> Birth | None:
    for entry in reversed(getattr(task, "_source_traceback", None) or ()):
        if file_rank(entry.filename) == 2:
            return Birth((entry.filename, entry.lineno or 0, entry.name), None, None)
    return None


def _line(frame: FrameType | None) -> tuple[CodeType | None, int]:
    """Find the innermost line of the program's own, else of a library."""
    code, line = None, 0
    for _ in range(FRAMES_MAX):
        if frame is None:
            break
        rank = file_rank(frame.f_code.co_filename)
        if rank == 2 or (rank == 1 and code is None):
            code, line = frame.f_code, frame.f_lineno or 0
        if rank == 2:
            break
        frame = frame.f_back
    return code, line
