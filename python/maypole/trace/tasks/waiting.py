"""What a task waits for, read off its coroutine and its future.

Nothing is recorded for it: a suspended coroutine says what it awaits (`cr_await`), and the future that its
task waits for knows its callbacks. What a coroutine has entered with ``async with`` lies on its frame's
stack, which the garbage collector sees; so a lock that is held by a block has a known holder.

Invariant: nothing here calls code of the program: no `repr`, no property that is not asyncio's.
"""

from __future__ import annotations

import asyncio
import gc
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodDescriptorType, MethodType
from typing import TYPE_CHECKING, Any

from maypole.stacks import awaited, code_rank

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType

    Task = asyncio.Task[Any]

# The operations of asyncio and of `maypole.natives` that have a kind of their own, by the beginning of
# their name.
_KINDS = (
    ("sleep", "sleep"),
    ("__sleep0", "turn"),
    ("Lock.", "lock"),
    ("Semaphore.", "semaphore"),
    ("BoundedSemaphore.", "semaphore"),
    ("Event.", "event"),
    ("Condition.", "event"),
    ("Barrier.", "event"),
    ("Queue.", "queue"),
    ("StreamReader.", "io"),
    ("StreamWriter.", "io"),
    ("FlowControlMixin.", "io"),
    ("BaseSelectorEventLoop.", "io"),
    ("BaseEventLoop.create_", "io"),
    ("BaseEventLoop.getaddrinfo", "executor"),
    ("ResolverMixin.", "io"),
    ("Process.", "io"),
    ("to_thread", "executor"),
    ("_wait", "gather"),
    ("wait", "gather"),
    ("TaskGroup.", "gather"),
    ("_AsCompletedIterator.", "gather"),
    ("as_completed", "gather"),
)
_OVER_A_QUEUE = ("_AsCompletedIterator.", "as_completed")  # they wait in a queue of their own
_TAKEN = {"lock": ("Lock",), "semaphore": ("Semaphore", "BoundedSemaphore")}


@dataclass(frozen=True, slots=True)
class Wait:
    """What one task waits for.

    `kind` is one of the kinds of the trace format; `operation` is what was called, such as ``Queue.get``.
    `tasks` are the tasks that must end before it goes on, one of them if `one_is_enough`. `in_line_for` is
    the lock or semaphore that it wants; `entered` is every context manager that it is inside of;
    `has_timeout` says that a timeout will end the wait.
    """

    kind: str
    operation: str
    tasks: tuple[Task, ...]
    one_is_enough: bool
    in_line_for: object | None
    entered: tuple[object, ...]
    has_timeout: bool


NOTHING = Wait("unknown", "", (), False, None, (), False)
"""The wait of a task of which nothing is known."""


def chain_of(task: Task) -> list[tuple[object, FrameType | None]]:
    """Return what a suspended task awaits, each with its frame if it has one, outermost first."""
    return list(awaited(task.get_coro()))


def wait_of(task: Task, chain: list[tuple[object, FrameType | None]]) -> Wait:
    """Say what a task waits for, given the chain of what it awaits."""
    entered = [manager for awaitable, frame in chain if frame for manager in _entered(awaitable)]
    future = getattr(task, "_fut_waiter", None)
    name, frame = _operation(chain)
    kind, tasks = _kind_of_future(future)
    one_is_enough = False
    if kind == "future":
        kind = next((kind for start, kind in _KINDS if name.startswith(start)), "future")
        tasks, one_is_enough = _tasks_of_frame(name, frame)
        if kind == "gather" and len(tasks) == 1:
            kind = "task"
    if future is None and kind != "turn":
        kind = "unknown"
    wanted = _wanted(kind, chain[-1][0] if chain else None, frame)
    has_timeout = any(map(_will_expire, entered)) or _has_timeout_argument(name, frame)
    return Wait(kind, name.removeprefix("_"), tasks, one_is_enough, wanted, tuple(entered), has_timeout)


def _operation(chain: list[tuple[object, FrameType | None]]) -> tuple[str, FrameType | None]:
    """Name the call that waits: the innermost one that has a kind, below the program's own frames."""
    best: tuple[str, FrameType | None] = ("", None)
    for awaitable, frame in reversed(chain):
        if frame is not None and code_rank(frame.f_code) > 0:
            break
        name = frame.f_code.co_qualname if frame is not None else _native_name(awaitable)
        if name.startswith(_OVER_A_QUEUE):
            return name, frame
        if name and not _has_kind(best[0]):
            best = (name, frame)
    return best


def _has_kind(name: str) -> bool:
    return any(name.startswith(start) for start, _ in _KINDS)


def _native_name(awaitable: object) -> str:
    """Name a native operation as a coroutine is named; nothing else has a name."""
    kind = type(awaitable)
    if kind.__module__ == "maypole._maypole" and kind.__name__ == "Operation":
        return str(getattr(awaitable, "__qualname__", ""))
    return ""


def _kind_of_future(future: Any) -> tuple[str, tuple[Task, ...]]:
    """Say what a future stands for, and which tasks it needs."""
    if isinstance(future, asyncio.Task):
        return "task", _pending([future])
    if type(future).__name__ == "_GatheringFuture":
        return "gather", _tasks_behind(future._children)
    for callback in _callbacks(future):
        name = getattr(callback, "__qualname__", "")
        if name == "_chain_future.<locals>._call_check_cancel":
            return "executor", ()
        if name == "shield.<locals>._outer_done_callback":
            return _kind_of_future(_closure(callback, "inner"))
    return "future", ()


def _tasks_behind(futures: Iterable[Any]) -> tuple[Task, ...]:
    """Name the tasks that futures stand for: themselves, those that they shield, those that they gather."""
    found: dict[int, Task] = {}
    for future in futures:
        if not future.done():
            found.update((id(task), task) for task in _kind_of_future(future)[1])
    return tuple(found.values())


def _pending(tasks: Iterable[Task]) -> tuple[Task, ...]:
    return tuple(task for task in tasks if not task.done())


def _callbacks(future: Any) -> Iterator[FunctionType]:
    for callback, _ in getattr(future, "_callbacks", None) or ():
        if isinstance(callback, FunctionType):
            yield callback


def _closure(function: FunctionType, name: str) -> Any:
    """Return what a function's enclosing scope calls by that name; None without one."""
    if name not in function.__code__.co_freevars or function.__closure__ is None:
        return None
    try:
        return function.__closure__[function.__code__.co_freevars.index(name)].cell_contents
    except ValueError:  # the name has no value any more
        return None


def _tasks_of_frame(name: str, frame: FrameType | None) -> tuple[tuple[Task, ...], bool]:
    """Read the tasks that a function of asyncio waits for from its variables, and whether one is enough."""
    if frame is None:
        return (), False
    values = frame.f_locals
    if name == "_wait":
        one = values.get("return_when") != asyncio.ALL_COMPLETED
        return _tasks_behind(values.get("fs") or ()), one
    if name.startswith("TaskGroup."):
        return _pending(getattr(values.get("self"), "_tasks", ())), False
    if name == "wait_for" and "fut" in values:
        return _tasks_behind([values["fut"]]), False
    if name.startswith("_AsCompletedIterator."):
        return _tasks_behind(getattr(values.get("self"), "_todo", ())), True
    return (), False


def _wanted(kind: str, innermost: object, frame: FrameType | None) -> object | None:
    """Find the lock or semaphore that a task stands in line for."""
    names = _TAKEN.get(kind)
    if names is None:
        return None
    candidates = [frame.f_locals.get("self")] if frame is not None else gc.get_referents(innermost)
    return next(
        (one for one in candidates if any(base.__name__ in names for base in type(one).__mro__)), None
    )


def _entered(coroutine: object) -> Iterator[object]:
    """Yield the context managers whose ``async with`` block a suspended coroutine is inside of.

    The interpreter keeps the bound ``__aexit__`` on the frame's stack, from Python 3.14 on the function and
    the manager behind it.
    """
    referents = gc.get_referents(coroutine)
    for position, referent in enumerate(referents):
        if isinstance(referent, MethodType | BuiltinFunctionType):
            if getattr(referent, "__name__", "") == "__aexit__":
                yield referent.__self__
        elif (
            isinstance(referent, FunctionType | MethodDescriptorType)
            and referent.__name__ == "__aexit__"
            and position + 1 < len(referents)
        ):
            yield referents[position + 1]


def _will_expire(manager: object) -> bool:
    return isinstance(manager, asyncio.Timeout) and manager.when() is not None


def _has_timeout_argument(name: str, frame: FrameType | None) -> bool:
    return name in ("_wait", "wait_for") and frame is not None and frame.f_locals.get("timeout") is not None
