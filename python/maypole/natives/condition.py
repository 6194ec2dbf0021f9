"""`Condition`: asyncio's own, on a native lock."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from maypole._maypole import Lock

if TYPE_CHECKING:
    from asyncio import Lock as AnyLock
else:
    AnyLock = Lock


class Condition(asyncio.Condition):
    """A condition variable: `asyncio.Condition`, whose lock is a `maypole.Lock` unless another is given.

    Args:
        lock: the lock to hold while waiting and notifying; a new one by default.

    Cancel safety: a cancelled `wait` holds the lock again when it raises.

    Source: https://docs.python.org/3/library/asyncio-sync.html#asyncio.Condition

    Example:
        >>> import asyncio, maypole
        >>> async def main():
        ...     condition = maypole.Condition()
        ...     async def wait():
        ...         async with condition:
        ...             return await condition.wait()
        ...     waiting = asyncio.create_task(wait())
        ...     await maypole.sleep(0)
        ...     async with condition:
        ...         condition.notify()
        ...     return await waiting
        >>> maypole.run(main())
        True
    """

    def __init__(self, lock: AnyLock | None = None) -> None:
        super().__init__(cast("AnyLock", Lock()) if lock is None else lock)
