"""Who waits for whom: the tasks of a loop, where each of them stands, and what it waits for.

It is read off the tasks themselves, from any thread, also while the loop is stuck; nothing has to be recorded
for it. What only a record can know, age and the line that made a task, is there when something has noted it:
`maypole.trace.tasks.births`, or asyncio's debug mode.

Invariant: no code of the program runs for it. A task that cannot be looked at is shown with the reason.
"""

from __future__ import annotations

import asyncio
import linecache
import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from maypole.stacks import code_rank, in_order_of_numbers, shown
from maypole.trace.tasks import births
from maypole.trace.tasks.deadlock import circles
from maypole.trace.tasks.nodes import Circle, Place, TaskNode, Tree
from maypole.trace.tasks.waiting import NOTHING, Wait, chain_of, wait_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import CodeType, FrameType


__all__ = ["tree"]


def tree(loop: asyncio.AbstractEventLoop | None = None) -> Tree:
    """Show the tasks of a loop: where each stands, what it waits for, and who waits for whom.

    Args:
        loop: any asyncio loop, also one that runs in another thread or is stuck; None for the running one.

    Returns:
        The tree; ``print`` it, or read its `tasks` and `deadlocks`.

    Raises:
        RuntimeError: if no loop is given and none runs in this thread.

    A circle is told when no task of it can go on: tasks that await each other, also through ``gather``,
    ``shield``, ``wait`` and task groups, and tasks that want a lock which another one holds with ``async
    with``.

    Example:
        >>> import asyncio, maypole, maypole.trace
        >>> async def main():
        ...     child = asyncio.create_task(asyncio.sleep(1), name="child")
        ...     await asyncio.sleep(0)
        ...     found = maypole.trace.tree().task("child")
        ...     child.cancel()
        ...     return found.state, found.kind
        >>> maypole.run(main())
        ('waiting', 'sleep')
    """
    if loop is None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError("tree() needs a loop: none runs in this thread") from None
    tasks = sorted(asyncio.all_tasks(loop), key=lambda task: in_order_of_numbers(_name(task)))
    looked = [_look(loop, task) for task in tasks]
    numbers = {id(task): number for number, task in enumerate(tasks, 1)}
    nodes = [
        _node(task, look, number, numbers, looked)
        for number, (task, look) in enumerate(zip(tasks, looked, strict=True), 1)
    ]
    parents = _parents(nodes, tasks, numbers)
    shown_nodes = tuple(replace(node, parent=parents.get(node.id)) for node in nodes)
    ways = circles({node.id: (node.waits_for, node.one_is_enough) for node in nodes})
    return Tree(
        type(loop).__qualname__, loop.is_running(), shown_nodes, tuple(_circle(way, nodes) for way in ways)
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """What was read off one task."""

    state: str
    wait: Wait
    stack: tuple[Place, ...]
    note: str


def _look(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> _Look:
    """Read one task; what its own class or the moment makes impossible becomes a note."""
    try:
        chain = chain_of(task)
        if asyncio.current_task(loop) is task:
            stack = _running_stack(loop, task)
            return _Look("running", replace(NOTHING, kind=""), stack, "")
        wait = wait_of(task, chain)
        future = getattr(task, "_fut_waiter", None)
        state = "ready" if future is None or future.done() else "waiting"
        return _Look(state, wait, _places(_lines(chain)), "")
    except Exception as error:
        return _Look("waiting", NOTHING, (), f"cannot be looked at: {type(error).__name__}")


def _lines(chain: list[tuple[object, FrameType | None]]) -> Iterator[tuple[CodeType, int | None]]:
    return ((frame.f_code, frame.f_lineno) for _, frame in chain if frame is not None)


def _running_stack(loop: Any, task: asyncio.Task[Any]) -> tuple[Place, ...]:
    """Return where a task that runs now stands, whatever it calls; without what asks for it."""
    frame = sys._current_frames().get(getattr(loop, "_thread_id", None) or 0)
    outermost = getattr(task.get_coro(), "cr_frame", None)
    # Frames of another thread may end at any moment, and would end here: only lines are taken out of them.
    lines: list[tuple[CodeType, int | None]] = []
    while frame is not None:
        if lines or not frame.f_globals.get("__name__", "").startswith(__package__):
            lines.append((frame.f_code, frame.f_lineno))
        if frame is outermost:
            return _places(reversed(lines))
        frame = frame.f_back
    return _places([] if outermost is None else [(outermost.f_code, outermost.f_lineno)])


def _places(lines: Iterable[tuple[CodeType, int | None]]) -> tuple[Place, ...]:
    return tuple(
        place(code.co_filename, line, code.co_qualname, own=code_rank(code) == 2) for code, line in lines
    )


def place(file: str, line: int | None, function: str, own: bool) -> Place:
    """Make a place, with the text of its line."""
    return Place(shown(file), line or 0, function, linecache.getline(file, line or 0).strip(), own)


def _name(task: asyncio.Task[Any]) -> str:
    try:
        return str(task.get_name())
    except Exception as error:
        return f"<no name: {type(error).__name__}>"


def _coroutine_name(task: asyncio.Task[Any]) -> str:
    try:
        coroutine = task.get_coro()
        name = getattr(coroutine, "__qualname__", None)
        return name if isinstance(name, str) else type(coroutine).__qualname__
    except Exception as error:
        return f"<no name: {type(error).__name__}>"


def _node(
    task: asyncio.Task[Any], look: _Look, number: int, numbers: dict[int, int], looked: list[_Look]
) -> TaskNode:
    wait = look.wait
    wanted = wait.in_line_for
    holders = () if wanted is None else tuple(_holders(wanted, looked))
    awaited = tuple(sorted(numbers[id(one)] for one in wait.tasks if id(one) in numbers))
    birth = births.of(task)
    return TaskNode(
        id=number,
        name=_name(task),
        coroutine=_coroutine_name(task),
        state=look.state,
        kind=wait.kind,
        operation=wait.operation,
        waits_for=holders or awaited,
        one_is_enough=wait.one_is_enough or (wait.kind == "semaphore" and len(holders) > 1),
        held=bool(holders),
        stack=look.stack,
        created_at=None if birth is None or birth.site is None else place(*birth.site, own=True),
        age_s=None if birth is None else birth.age_s,
        parent=None,
        has_timeout=wait.has_timeout,
        note=look.note,
    )


def _holders(wanted: object, looked: list[_Look]) -> Iterable[int]:
    """Name the tasks inside an ``async with`` block of a lock or semaphore."""
    for number, look in enumerate(looked, 1):
        if look.wait.in_line_for is not wanted and any(one is wanted for one in look.wait.entered):
            yield number


def _circle(way: list[int], nodes: list[TaskNode]) -> Circle:
    names = [nodes[number - 1].name for number in (*way, way[0])]
    has_timeout = any(nodes[number - 1].has_timeout for number in way)
    text = "deadlock: " + " waits for ".join(names)
    return Circle(tuple(way), text + (", until a timeout ends it" if has_timeout else ""), has_timeout)


def _parents(
    nodes: list[TaskNode], tasks: list[asyncio.Task[Any]], numbers: dict[int, int]
) -> dict[int, int]:
    """Put each task under one that waits for it, else under the one that made it, never under itself."""
    parents: dict[int, int] = {}
    wanted = [(child, node.id) for node in nodes if not node.held for child in node.waits_for]
    for task in tasks:
        birth = births.of(task)
        if birth is not None and birth.parent in numbers:
            wanted.append((numbers[id(task)], numbers[birth.parent]))
    for child, parent in wanted:
        if child not in parents and not _is_above(child, parent, parents):
            parents[child] = parent
    return parents


def _is_above(upper: int, lower: int, parents: dict[int, int]) -> bool:
    """Say whether one task is another, or stands above it."""
    at: int | None = lower
    while at is not None:
        if at == upper:
            return True
        at = parents.get(at)
    return False
