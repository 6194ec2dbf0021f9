"""A resource out of a pool, for a while."""

from __future__ import annotations

import sys
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Generator
    from types import TracebackType

R = TypeVar("R")


class Item(Generic[R]):
    """A resource and what the pool knows about it.

    Attributes:
        loop: the loop it was made on.
        dies_at: when it is too old to be given out, in seconds of that loop's time.
        idle_until: when it has been idle for too long.
        idle_since: when it came back.
    """

    __slots__ = ("dies_at", "idle_since", "idle_until", "loop", "resource")

    def __init__(self, resource: R, loop: asyncio.AbstractEventLoop, dies_at: float) -> None:
        self.resource = resource
        self.loop = loop
        self.dies_at = dies_at
        self.idle_since = self.idle_until = loop.time()


class Lender(Protocol[R]):
    """What a lease needs of its pool."""

    async def take(self, lease: Lease[R], timeout: float | None) -> Item[R]:
        """Wait for an item."""
        ...

    def take_back(self, lease: Lease[R], item: Item[R], bad: bool) -> None:
        """Take an item back; the lease is over."""
        ...

    def spoils(self, error: BaseException) -> bool:
        """Whether a block that ended so leaves its resource in an unknown state."""
        ...

    def lost(self, item: Item[R]) -> None:
        """Take back what a lease held that was thrown away; from any thread."""
        ...


class Lease(Generic[R]):
    """The right to use one resource: ``async with pool.acquire() as resource``.

    ``lease = await pool.acquire()`` gives the lease itself; then `release` or `discard` must be called.

    Attributes:
        taken_at: when the resource was given out, in seconds of the loop's time.
        site: file, line and function that took it.
        holder: the name of the task that took it.
    """

    __slots__ = ("__weakref__", "_item", "_lender", "_timeout", "holder", "leak_timer", "site", "taken_at")

    def __init__(self, lender: Lender[R], timeout: float | None, item: Item[R] | None = None) -> None:
        self._lender = lender
        self._timeout = timeout
        self._item = item
        self.taken_at = 0.0
        self.site = ""
        self.holder = ""
        self.leak_timer: asyncio.TimerHandle | None = None

    @property
    def resource(self) -> R:
        """What was given out.

        Raises:
            RuntimeError: before it was, and after the end of the lease.
        """
        if self._item is None:
            raise RuntimeError("this lease holds nothing: it has not begun, or it is over")
        return self._item.resource

    def release(self) -> None:
        """Give the resource back; nothing happens the second time."""
        self._end(bad=False)

    def discard(self) -> None:
        """Give the resource back as broken: it is closed and replaced."""
        self._end(bad=True)

    def _end(self, bad: bool) -> None:
        item, self._item = self._item, None
        if item is None:
            return
        if self.leak_timer is not None:
            self.leak_timer.cancel()
            self.leak_timer = None
        self._lender.take_back(self, item, bad)

    async def _begin(self) -> Lease[R]:
        if self._item is not None:
            raise RuntimeError("this lease holds a resource already")
        self._item = await self._lender.take(self, self._timeout)
        return self

    def __await__(self) -> Generator[Any, None, Lease[R]]:
        return self._begin().__await__()

    async def __aenter__(self) -> R:
        return (await self._begin()).resource

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end(bad=error is not None and self._lender.spoils(error))

    def __del__(self) -> None:
        item = self._item
        if item is not None:
            self._item = None
            self._lender.lost(item)

    def __repr__(self) -> str:
        return f"<Lease of {self.resource!r}>" if self._item is not None else "<Lease of nothing>"


def calling_site() -> str:
    """Return file, line and function of the first caller outside this package's pool."""
    frame = sys._getframe(1)
    here = ("lease.py", "pool.py")  # the parts of a pool that a call passes through
    while frame.f_back is not None and PurePath(frame.f_code.co_filename).name in here:
        frame = frame.f_back
    code = frame.f_code
    return f"{PurePath(code.co_filename).name}:{frame.f_lineno} in {code.co_name}"
