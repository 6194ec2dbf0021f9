"""What each task has entered: so that one object serves ``async with`` in many tasks at once."""

from __future__ import annotations

import asyncio
import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class PerTask(Generic[T]):
    """A stack for each task; outside a task, for each thread.

    >>> entered = PerTask()
    >>> entered.push("outer")
    >>> entered.push("inner")
    >>> entered.pop()
    'inner'
    """

    __slots__ = ("_last", "_others")

    def __init__(self) -> None:
        self._last: dict[object, T] = {}
        self._others: dict[object, list[T]] = {}  # what a task entered before, and has not left

    def push(self, value: T) -> None:
        """Remember what this task enters."""
        here = _here()
        if here in self._last:
            self._others.setdefault(here, []).append(self._last[here])
        self._last[here] = value

    def pop(self) -> T:
        """Return what this task entered last, and forget it.

        Raises:
            RuntimeError: it has entered nothing: the block was left in another task than it was entered in.
        """
        here = _here()
        try:
            value = self._last.pop(here)
        except KeyError:
            text = "left in another task than entered; acquire() gives what any task may end"
            raise RuntimeError(text) from None
        if here in self._others:
            self._uncover(here)
        return value

    def __len__(self) -> int:
        """How many are entered, in all tasks together."""
        return len(self._last) + sum(map(len, list(self._others.values())))

    def _uncover(self, here: object) -> None:
        others = self._others[here]
        self._last[here] = others.pop()
        if not others:
            del self._others[here]


def _here() -> object:
    try:
        return asyncio.current_task() or threading.get_ident()
    except RuntimeError:  # no loop runs
        return threading.get_ident()
