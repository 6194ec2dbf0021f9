"""What a tree of tasks is made of; see `maypole.trace.tree`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from maypole.stacks import shortest

__all__ = ["Circle", "Place", "TaskNode", "Tree"]


@dataclass(frozen=True, slots=True)
class Place:
    """A line of code; `own` says that it is the program's own, no library's."""

    file: str
    line: int
    function: str
    source: str
    own: bool

    def __str__(self) -> str:
        """Say where it is, and what stands there."""
        where = f"{shortest(self.file)}:{self.line} in {self.function}"
        return f"{where}: {self.source}" if self.source else where


@dataclass(frozen=True, slots=True)
class TaskNode:
    """One task that is not done.

    `id` numbers the tasks of one tree from 1. `state` is ``running``, ``ready`` or ``waiting``; `kind` is
    what it waits for, in the words of the trace format, and `operation` the call, such as ``Queue.get``.
    `waits_for` are the tasks that must go on first, one of them if `one_is_enough`; `held` says that they
    hold the lock or semaphore it wants. `stack` is where it stands, outermost first. `created_at` is the
    line that made it and `age_s` the seconds since, both None where nothing has noted them. `parent` is the
    task under which it is shown: one that waits for it, else the one that made it. `has_timeout` says that
    a timeout will end the wait. `note` tells why something could not be read.
    """

    id: int
    name: str
    coroutine: str
    state: str
    kind: str
    operation: str
    waits_for: tuple[int, ...]
    one_is_enough: bool
    held: bool
    stack: tuple[Place, ...]
    created_at: Place | None
    age_s: float | None
    parent: int | None
    has_timeout: bool
    note: str


@dataclass(frozen=True, slots=True)
class Circle:
    """Tasks that wait for each other in a circle; `text` names them, `has_timeout` that one will give up."""

    tasks: tuple[int, ...]
    text: str
    has_timeout: bool


@dataclass(frozen=True, slots=True)
class Tree:
    """The tasks of one loop that are not done, in the order of their names."""

    loop: str
    running: bool
    tasks: tuple[TaskNode, ...]
    deadlocks: tuple[Circle, ...]

    def children(self, parent: int | None) -> tuple[TaskNode, ...]:
        """Return the tasks shown under one, or at the top for None."""
        return tuple(task for task in self.tasks if task.parent == parent)

    def task(self, name: str) -> TaskNode:
        """Return the first task of that name.

        Raises:
            KeyError: if there is none.
        """
        for task in self.tasks:
            if task.name == name:
                return task
        raise KeyError(name)

    def as_dict(self) -> dict[str, Any]:
        """Return the same as plain dictionaries and lists, for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        """Draw the tree as text."""
        from maypole.trace.tasks.text import text_of  # it knows this module

        return text_of(self)
