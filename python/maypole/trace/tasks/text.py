"""A tree of tasks as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maypole.trace.tasks.nodes import TaskNode, Tree

UNKNOWN = (
    "Where and when tasks were made is not known: asyncio's debug mode, a recording or the agent notes it"
)


def text_of(tree: Tree) -> str:
    """Draw the tree, the deadlocks below it."""
    count = len(tree.tasks)
    head = f"{tree.loop}, {'running' if tree.running else 'not running'}: "
    lines = [head + ("no task" if not count else "1 task" if count == 1 else f"{count} tasks")]
    for number, root in enumerate(tops := tree.children(None)):
        lines += _branch(tree, root, "", last=number == len(tops) - 1)
    lines += [circle.text for circle in tree.deadlocks]
    if count and all(task.created_at is None and task.age_s is None for task in tree.tasks):
        lines.append(UNKNOWN)
    return "\n".join(lines)


def _branch(tree: Tree, node: TaskNode, indent: str, *, last: bool) -> Iterator[str]:
    below = indent + ("   " if last else "│  ")
    children = tree.children(node.id)
    yield f"{indent}{'└─ ' if last else '├─ '}{node.name} {node.coroutine}, {_doing(tree, node)}"
    margin = below + ("│  " if children else "   ")
    for place in node.stack:
        yield f"{margin}at {place}"
    if node.created_at is not None:
        yield f"{margin}made at {node.created_at}"
    if node.note:
        yield f"{margin}{node.note}"
    for number, child in enumerate(children):
        yield from _branch(tree, child, below, last=number == len(children) - 1)


def _doing(tree: Tree, node: TaskNode) -> str:
    """Say what a task does: "waiting in Queue.get (queue), 3.1 s old"."""
    text = node.state
    if node.state == "waiting":
        text += f" in {node.operation}" if node.operation else ""
        text += f" ({node.kind})" if node.kind != "unknown" else ""
        names = [tree.tasks[number - 1].name for number in node.waits_for]
        if names:
            text += " held by " if node.held else " for "
            text += (" or " if node.one_is_enough else " and ").join(names)
        text += ", with a timeout" if node.has_timeout else ""
    if node.age_s is not None:
        text += f", {node.age_s:.1f} s old"
    return text
