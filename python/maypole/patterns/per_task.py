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

    __slots__ = ("_entered",)

    def __init__(self) -> None:
        self._entered: dict[object, list[T]] = {}

    def push(self, value: T) -> None:
        """Remember what this task enters."""
        here = _here()
        stack = self._entered.get(here)
        if stack is None:
            self._entered[here] = [value]
        else:
            stack.append(value)

    def pop(self) -> T:
        """Return what this task entered last, and forget it.

        Raises:
            RuntimeError: it has entered nothing: the block was left in another task than it was entered in.
        """
        here = _here()
        stack = self._entered.get(here)
        if stack is None:
            raise RuntimeError("left in another task than entered; acquire() gives what any task may end")
        value = stack.pop()
        if not stack:
            del self._entered[here]
        return value

    def __len__(self) -> int:
        """How many are entered, in all tasks together."""
        return sum(map(len, list(self._entered.values())))


def _here() -> object:
    try:
        return asyncio.current_task() or threading.get_ident()
    except RuntimeError:  # no loop runs
        return threading.get_ident()
