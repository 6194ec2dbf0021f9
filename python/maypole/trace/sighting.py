"""One look at the thread of a loop, from another thread.

A frame that runs in another thread may go on at any moment in which the looking thread gives up the
interpreter lock. So only code objects and line numbers are taken out of frames, the frames are let go at
once, and the look counts only if the loop was in the same turn and the same item before and after it.
"""

from __future__ import annotations

import asyncio
import dis
import reprlib
import sys
import time
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, cast

from maypole import stacks
from maypole.trace.stall import Frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextvars import ContextVar

    from maypole import _maypole

TRIES = 3
DEPTH_MAX = 200
ANCESTORS_MAX = 16
TEXT_MAX = 200

Line = tuple[CodeType, int]


@dataclass(slots=True)
class Sighting:
    """What ran in a turn when it was looked at.

    `item_ns` is for how long this step or callback has run, 0 where that is not known. `late_ns` is by how
    much the look came later than it was meant to: for so long nobody gave the interpreter lock away. The
    innermost line of `stack` is the first; the stack is empty where the item has only just begun, or has no
    Python code.
    """

    turn: int
    seen_ns: int
    turn_ns: int
    item_ns: int
    late_ns: int
    task: asyncio.Task[Any] | None
    stack: tuple[Frame, ...]


def look(loop: _maypole.Loop, late_ns: int) -> Sighting | None:
    """Look at a loop that is in a turn.

    Args:
        loop: the loop, which runs in another thread.
        late_ns: by how much this comes later than it was meant to.

    Returns:
        What runs, or None where the turn ended, or went on too fast to be seen.
    """
    thread_id = loop._thread_id
    if thread_id is None:
        return None
    for _ in range(TRIES):
        turn, turn_ns, _, item_ns = loop._running_since()
        seen_ns = time.monotonic_ns()
        if not turn_ns:
            return None
        task = asyncio.current_task(cast("asyncio.AbstractEventLoop", loop))
        lines = _lines_of(thread_id)
        turn_then, _, _, item_then_ns = loop._running_since()
        task_then = asyncio.current_task(cast("asyncio.AbstractEventLoop", loop))
        if turn_then != turn:
            return None
        if task_then is task and item_then_ns >= item_ns:
            return Sighting(turn, seen_ns, turn_ns, item_ns, late_ns, task, _frames(lines))
    return None


def _lines_of(thread_id: int) -> list[Line]:
    """The code and line of each frame inside the loop that has done something, innermost first."""
    frame = sys._current_frames().get(thread_id)
    if frame is not None and not _is_loop(frame.f_code) and _is_at_entry(frame):
        frame = frame.f_back
    lines: list[Line] = []
    while frame is not None and not _is_loop(frame.f_code) and len(lines) < DEPTH_MAX:
        lines.append((frame.f_code, frame.f_lineno))
        frame = frame.f_back
    return lines


def _is_loop(code: CodeType) -> bool:
    return code.co_name == "run_forever" and stacks.code_rank(code) == 0


_RESUME = dis.opmap["RESUME"]


def _is_at_entry(frame: FrameType) -> bool:
    """Whether a frame has run nothing yet.

    The interpreter gives up its lock at the entry of a function: after a call into C that kept the lock, what
    is found there is only what came next.
    """
    return frame.f_lasti >= 0 and frame.f_code.co_code[frame.f_lasti] == _RESUME


def _frames(lines: Iterable[Line]) -> tuple[Frame, ...]:
    return tuple(
        Frame(code.co_filename, line or code.co_firstlineno, code.co_qualname) for code, line in lines
    )


def name_of(task: asyncio.Task[Any] | None) -> str | None:
    """The name of a task; None for a callback."""
    return None if task is None else _told(task.get_name)


def coroutine_of(task: asyncio.Task[Any] | None) -> str | None:
    """The qualified name of a task's coroutine function; None for a callback, or where there is none."""
    if task is None:
        return None
    return _told(lambda: task.get_coro().__qualname__)  # type: ignore[union-attr]


def parents_of(task: asyncio.Task[Any] | None) -> tuple[str, ...]:
    """The names of who made the task, and who made that, the nearest first, until one that has ended."""
    names: list[str] = []
    while task is not None and len(names) < ANCESTORS_MAX:
        task = getattr(task, "_parent", None)  # asyncio's own tasks do not know
        if task is not None:
            names.append(_told(task.get_name))
    return tuple(names)


def context_of(task: asyncio.Task[Any] | None, variables: Iterable[ContextVar[Any]]) -> dict[str, str]:
    """The values of these variables in a task's context, as text; those without a value are left out."""
    get_context: Callable[[], Any] | None = getattr(task, "get_context", None)  # C tasks have it from 3.12 on
    if get_context is None:
        return {}
    context = get_context()
    found = {}
    for variable in variables:
        if variable in context:
            value = context[variable]
            found[variable.name] = value if type(value) is str else _told(_text_of, value)
    return found


_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = TEXT_MAX


def _text_of(value: object) -> str:
    return _repr.repr(value)


def _told(ask: Callable[..., object], *args: object) -> str:
    """What the program's own code says of itself, cut to a readable length; it may raise anything."""
    try:
        text = str(ask(*args))
    except Exception as error:
        return f"<{type(error).__name__} when asked>"
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"
