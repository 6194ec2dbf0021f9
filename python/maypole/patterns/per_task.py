"""What each task has entered: so that one object serves ``async with`` in many tasks at once."""

from __future__ import annotations

from asyncio import Future, current_task
from threading import get_ident
from typing import Generic, TypeVar

T = TypeVar("T")


class PerTask(Generic[T]):
    """A stack for each task; outside a task, for each thread. What is entered is never the same object twice.

    >>> entered = PerTask()
    >>> entered.push("outer")
    >>> entered.push("inner")
    >>> entered.pop()
    'inner'
    """

    __slots__ = ("_last", "_lost", "_others")

    def __init__(self) -> None:
        self._last: dict[object, T] = {}
        self._others: dict[object, list[T]] = {}  # what a task entered before, and has not left
        self._lost: list[
            object
        ] = []  # kept: when it is collected its block is left, in whatever task runs then

    def push(self, value: T) -> None:
        """Remember what this task enters."""
        try:
            here: object = current_task() or get_ident()
        except RuntimeError:  # no loop runs
            here = get_ident()
        before = self._last.setdefault(here, value)
        if before is not value:
            self._others.setdefault(here, []).append(before)
            self._last[here] = value

    def pop(self) -> T:
        """Return what this task entered last, and forget it.

        Raises:
            RuntimeError: it has entered nothing: the block was left in another task than it was entered in.
        """
        try:
            here: object = current_task() or get_ident()
        except RuntimeError:  # no loop runs
            here = get_ident()
        value = self._last.pop(here, None)
        if value is None:
            raise RuntimeError("left in another task than entered; acquire() gives what any task may end")
        if self._others and here in self._others:
            self._uncover(here)
        return value

    def __len__(self) -> int:
        """How many are entered, in all tasks together."""
        return len(self._last) + sum(map(len, list(self._others.values())))

    def forget_lost(self) -> list[T]:
        """Return, and forget, what tasks entered whose loop is closed: they will never leave."""
        lost = [here for here in list(self._last) if isinstance(here, Future) and here.get_loop().is_closed()]
        self._lost += lost
        found = []
        for here in lost:
            found += [self._last.pop(here), *self._others.pop(here, [])]
        return found

    def _uncover(self, here: object) -> None:
        others = self._others[here]
        self._last[here] = others.pop()
        if not others:
            del self._others[here]
