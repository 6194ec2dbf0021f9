"""A resource out of a pool, for a while."""

from __future__ import annotations

import sys
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Generator
    from types import CodeType, TracebackType

R = TypeVar("R")


class Item(Generic[R]):
    """A resource and what the pool knows about it.

    Attributes:
        loop: the loop it was made on.
        dies_at: when it is too old to be given out, in seconds of that loop's time.
        max_idle: for how long it may lie idle.
        idle_since: when it came back.
        taken_at: when it was lent last.
        holder: the name of the task it was lent to.
        taken_in: the code that took it, and the line.
        leak_timer: reports a lease that lasts too long.
    """

    __slots__ = (
        "dies_at",
        "holder",
        "idle_since",
        "leak_timer",
        "loop",
        "max_idle",
        "resource",
        "taken_at",
        "taken_in",
    )

    def __init__(self, resource: R, loop: asyncio.AbstractEventLoop, dies_at: float, max_idle: float) -> None:
        self.resource = resource
        self.loop = loop
        self.dies_at = dies_at
        self.max_idle = max_idle
        self.idle_since = self.taken_at = loop.time()
        self.holder = ""
        self.taken_in: tuple[CodeType, int] | None = None
        self.leak_timer: asyncio.TimerHandle | None = None

    @property
    def idle_until(self) -> float:
        """When it has been idle for too long."""
        return self.idle_since + self.max_idle

    @property
    def site(self) -> str:
        """File, line and function that took it."""
        if self.taken_in is None:
            return "nowhere"
        code, line = self.taken_in
        return f"{PurePath(code.co_filename).name}:{line} in {code.co_name}"


class Lender(Protocol[R]):
    """What a lease needs of its pool."""

    async def take(self, timeout: float | None) -> Item[R]:
        """Wait for an item."""
        ...

    def take_back(self, item: Item[R], bad: bool) -> None:
        """Take an item back; its lease is over."""
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
    """

    __slots__ = ("_item", "_lender", "_timeout")

    def __init__(self, lender: Lender[R], timeout: float | None, item: Item[R] | None = None) -> None:
        self._lender = lender
        self._timeout = timeout
        self._item = item

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
        if item is not None:
            self._lender.take_back(item, bad)

    async def _begin(self) -> Lease[R]:
        if self._item is not None:
            raise RuntimeError("this lease holds a resource already")
        self._item = await self._lender.take(self._timeout)
        return self

    def __await__(self) -> Generator[Any, None, Lease[R]]:
        return self._begin().__await__()

    async def __aenter__(self) -> R:
        await self._begin()
        return self.resource

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


def calling_code(own: frozenset[str]) -> tuple[CodeType, int]:
    """Return the code, and its line, that called into the pool.

    Args:
        own: the files whose frames are passed over.
    """
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename in own:
        frame = frame.f_back
    return frame.f_code, frame.f_lineno
