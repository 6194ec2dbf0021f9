"""What several threads may switch on and off at one loop: one lock for all, and counts of who wants it on."""

from __future__ import annotations

import os
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from maypole import _maypole


class _Switching:
    """The lock. A child of fork() begins with a new one: the thread that held it is not there."""

    def __init__(self) -> None:
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()


switching = _Switching()
"""Held while it is changed what a loop tells whom; nothing is waited for meanwhile."""


class Switch:
    """Something that a loop does while at least one user wants it."""

    def __init__(self, turn: Callable[[_maypole.Loop, bool], None]) -> None:
        self._turn = turn
        self._users: weakref.WeakKeyDictionary[_maypole.Loop, int] = weakref.WeakKeyDictionary()

    def use(self, loop: _maypole.Loop) -> None:
        """Want it."""
        with switching:
            self._users[loop] = self._users.get(loop, 0) + 1
            self._turn(loop, True)

    def leave(self, loop: _maypole.Loop) -> None:
        """Want it no longer."""
        with switching:
            left = self._users[loop] = max(0, self._users.get(loop, 0) - 1)
            if not left:
                self._turn(loop, False)
