"""The errors that end a run on the virtual clock, and how they find the line to blame.

A stop is a `BaseException`, as `KeyboardInterrupt` is: a program that catches `Exception` or cancels its
tasks cannot swallow it. Invariant: a stop carries every task that was pending when it was made.
"""

from __future__ import annotations

import asyncio
import inspect
import linecache
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maypole.stacks import awaiting_frames, code_rank, in_order_of_numbers, innermost_user_frame, shown

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import FrameType

SHOWN_MAX = 8
"""How many tasks a message names; the exception carries all of them."""


@dataclass(frozen=True, slots=True)
class TaskWait:
    """One pending task and the line at which it waits.

    `file`, `line` and `function` are the innermost place in the user's own code (or, without any, in a
    library); `source` is that line's text; `awaits` names what was called there, such as ``Event.wait``;
    `ready` says that the task waits for nothing and only for its turn.
    """

    task: str
    file: str
    line: int
    function: str
    source: str
    awaits: str
    ready: bool

    def __str__(self) -> str:
        """Say it in one line: task, place, text."""
        text = f"task {self.task!r} at {self.file}:{self.line} in {self.function}"
        if self.source:
            text += f": {self.source}"
        if self.awaits:
            text += f"  ({self.awaits})"
        return text


class VirtualStop(BaseException):
    """A run on the virtual clock cannot go on.

    `tasks` holds a `TaskWait` for every pending task; `virtual_time` is the loop's time in seconds.
    """

    def __init__(self, message: str, tasks: Iterable[TaskWait] = (), virtual_time: float = 0.0) -> None:
        super().__init__(message)
        self.tasks = tuple(tasks)
        self.virtual_time = virtual_time


class Deadlock(VirtualStop):
    """Nothing is left that could wake the program: no timer, no descriptor, no job elsewhere."""


class Spin(VirtualStop):
    """The loop turned very often while its clock stood still: the program asks again and again."""


class Hang(VirtualStop):
    """A callback or task kept the loop from its next turn; `file` and `line` are where it was stopped."""

    def __init__(
        self,
        message: str,
        tasks: Iterable[TaskWait] = (),
        virtual_time: float = 0.0,
        file: str = "",
        line: int = 0,
    ) -> None:
        super().__init__(message, tasks, virtual_time)
        self.file = file
        self.line = line


def deadlock(loop: asyncio.AbstractEventLoop) -> Deadlock:
    """Build the `Deadlock` of a loop with nothing ready, nothing due and nothing outstanding."""
    tasks = pending_tasks(loop)
    message = "nothing is left that could wake the program: no timer, no descriptor, no job"
    return Deadlock(_with_list(message, tasks), tasks, loop.time())


def spin(loop: asyncio.AbstractEventLoop, turns: int = 20_000) -> Spin:
    """Build the `Spin` of a loop that made `turns` turns while its clock stood still."""
    tasks = pending_tasks(loop)
    busy = [task for task in tasks if task.ready]
    message = f"{turns:,} turns of the loop, and its clock did not move: let the loop wake you (await)"
    if busy:
        return Spin(_with_list(message, busy), tasks, loop.time())
    return Spin(
        message + "\n  a callback schedules itself again and again" + _ready_callback(loop),
        tasks,
        loop.time(),
    )


def hang(loop: asyncio.AbstractEventLoop, frame: FrameType, waited: str) -> Hang:
    """Build the `Hang` of a loop whose turn did not end; `frame` is the user's innermost one."""
    task = asyncio.current_task(loop)
    file, line = shown(frame.f_code.co_filename), frame.f_lineno
    who = f"task {task.get_name()!r}" if task is not None else "a callback"
    message = (
        f"{waited} since the loop's last turn: {who} is stuck at {file}:{line} in {frame.f_code.co_qualname}"
    )
    source = linecache.getline(frame.f_code.co_filename, line).strip()
    return Hang(f"{message}: {source}" if source else message, pending_tasks(loop), loop.time(), file, line)


def pending_tasks(loop: asyncio.AbstractEventLoop) -> list[TaskWait]:
    """Return where each task of the loop that is not done waits, in the order of the tasks' names."""
    waits = [_task_wait(task) for task in asyncio.all_tasks(loop)]
    return sorted(waits, key=lambda wait: in_order_of_numbers(wait.task))


def _task_wait(task: asyncio.Task[Any]) -> TaskWait:
    frames = list(awaiting_frames(task.get_coro()))
    frame = innermost_user_frame(frames) or (frames[0] if frames else None)
    waiter = getattr(task, "_fut_waiter", None)
    if frame is None:
        return TaskWait(task.get_name(), "<no Python frame>", 0, str(task.get_coro()), "", "", waiter is None)
    inner = frames[frames.index(frame) + 1 :]
    awaits = inner[0].f_code.co_qualname if inner else _waiter_name(waiter)
    file, line = frame.f_code.co_filename, frame.f_lineno
    return TaskWait(
        task=task.get_name(),
        file=shown(file),
        line=line,
        function=frame.f_code.co_qualname,
        source=linecache.getline(file, line).strip(),
        awaits=awaits,
        ready=waiter is None,
    )


def _waiter_name(waiter: object) -> str:
    if isinstance(waiter, asyncio.Task):
        return f"task {waiter.get_name()!r}"
    # An operation of `maypole.natives` is named as a coroutine is: Queue.get, not its class.
    name = getattr(waiter, "__qualname__", "") or type(waiter).__name__
    return name if waiter is not None else ""


def _ready_callback(loop: asyncio.AbstractEventLoop) -> str:
    for handle in getattr(loop, "_ready", ()):
        code = getattr(
            inspect.unwrap(getattr(handle, "_callback", None) or _ready_callback), "__code__", None
        )
        if code is not None and code_rank(code):
            return f": {code.co_qualname} at {shown(code.co_filename)}:{code.co_firstlineno}"
    return ""


def _with_list(message: str, tasks: list[TaskWait]) -> str:
    if not tasks:
        return message + "\n  no task is pending"
    lines = [f"\n  {task}" for task in tasks[:SHOWN_MAX]]
    if len(tasks) > SHOWN_MAX:
        lines.append(f"\n  and {len(tasks) - SHOWN_MAX} more")
    return message + "".join(lines)
