"""Native tasks among asyncio's own, for `asyncio.all_tasks()`.

Up to Python 3.13 asyncio keeps scheduled tasks in a `WeakSet`, whose `add` is Python code and costs more than
the rest of making a task. The native list of pending tasks costs nothing; it is put beside asyncio's set when
a maypole loop with native tasks is made first. Importing maypole alone changes nothing.
"""

from __future__ import annotations

import itertools
import weakref
from typing import TYPE_CHECKING, Any

from maypole import _maypole, versions

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator


class ScheduledTasks(weakref.WeakSet["asyncio.Task[Any]"]):
    """asyncio's set of scheduled tasks, and the native tasks with it.

    What asyncio adds and discards goes into its own set, which its C code writes to directly.
    """

    def __init__(self, scheduled: weakref.WeakSet[asyncio.Task[Any]]) -> None:
        super().__init__()
        self._scheduled = scheduled

    def __iter__(self) -> Iterator[asyncio.Task[Any]]:
        """Iterate over both kinds of tasks."""
        return itertools.chain(self._scheduled, _maypole._pending_tasks())

    def __len__(self) -> int:
        """Return how many tasks there are of both kinds."""
        return len(self._scheduled) + len(_maypole._pending_tasks())

    def __contains__(self, task: object) -> bool:
        """Say whether a task is scheduled."""
        return task in self._scheduled or any(task is native for native in _maypole._pending_tasks())

    def add(self, task: asyncio.Task[Any]) -> None:
        """Add a task of asyncio's own."""
        self._scheduled.add(task)

    def discard(self, task: asyncio.Task[Any]) -> None:
        """Forget a task of asyncio's own; a native one leaves by itself."""
        self._scheduled.discard(task)


def show_native_tasks() -> None:
    """Make `asyncio.all_tasks()` list native tasks too; a second call changes nothing."""
    scheduled = versions.scheduled_tasks()
    if scheduled is not None and not isinstance(scheduled, ScheduledTasks):
        versions.set_scheduled_tasks(ScheduledTasks(scheduled))
