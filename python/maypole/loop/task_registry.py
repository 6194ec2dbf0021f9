"""Native tasks among asyncio's own, for `asyncio.all_tasks()` and, from Python 3.14 on, for call graphs.

asyncio keeps the tasks that are not of its own C type in a `WeakSet`, whose `add` is Python code and costs
more than the rest of making a task. The native list of pending tasks costs nothing; asyncio's set lists it
too from when a maypole loop with native tasks is made first. Importing maypole alone changes nothing.
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
    """asyncio's set of scheduled tasks, and the native tasks with it; the set itself becomes one of these."""

    def __iter__(self) -> Iterator[asyncio.Task[Any]]:
        """Iterate over both kinds of tasks."""
        return itertools.chain(super().__iter__(), _maypole._pending_tasks())

    def __len__(self) -> int:
        """Return how many tasks there are of both kinds."""
        return super().__len__() + len(_maypole._pending_tasks())

    def __contains__(self, task: object) -> bool:
        """Say whether a task is scheduled."""
        return super().__contains__(task) or any(task is native for native in _maypole._pending_tasks())


def show_native_tasks() -> None:
    """Make asyncio's functions that look at tasks see native ones too; a second call changes nothing.

    Raises:
        RuntimeError: if this release of Python keeps its tasks in another way.
    """
    scheduled = versions.scheduled_tasks()
    if not isinstance(scheduled, ScheduledTasks):
        scheduled.__class__ = ScheduledTasks
        versions.replace_awaited_by(
            _maypole._future_add_to_awaited_by, _maypole._future_discard_from_awaited_by
        )
