"""What asyncio has no word for: a count that comes down to zero, an event that carries a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from maypole.patterns.events import Listeners, described, loop_time
from maypole.patterns.waiters import Waiters

if TYPE_CHECKING:
    from maypole.patterns.events import Listener

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LatchStats:
    """The state of a `Latch`.

    Attributes:
        name: its name.
        count: how much is left to count down.
        waiting: how many tasks wait.
    """

    name: str | None
    count: int
    waiting: int


class Latch:
    """Opens for good when it was counted down to zero: wait until so many things have happened.

    Args:
        count: how many.
        max_waiting: how many tasks may wait; None for no bound.
        name: for messages, stats and events.
        on_event: called with each `PatternEvent`: ``wait``, ``grant``, ``reject``, ``open``.

    Tasks that finish belong into a `TaskScope`; this is for what is no task: connections that are up, shards
    that have reported.

    Raises:
        ValueError: the count is negative.

    >>> import asyncio
    >>> async def main():
    ...     ready = Latch(2)
    ...     asyncio.get_running_loop().call_later(0.01, ready.count_down, 2)
    ...     await ready.wait()
    ...     return ready.count
    >>> asyncio.run(main())
    0
    """

    def __init__(
        self,
        count: int,
        *,
        max_waiting: int | None = None,
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        if count < 0:
            raise ValueError(f"count must be 0 or more, got {count}")
        self.name = name
        self.events = Listeners("latch", name, on_event)
        self._count = count
        called = f"latch {name!r}" if name else "latch"
        self._line: Waiters[None] = Waiters(_forget, name=called, max_waiting=max_waiting)

    @property
    def count(self) -> int:
        """How much is left to count down."""
        return self._count

    def count_down(self, n: int = 1) -> None:
        """Count down by ``n``; below zero nothing happens. In the loop's thread.

        Raises:
            ValueError: ``n`` is less than 1.
        """
        if n < 1:
            raise ValueError(f"n must be 1 or more, got {n}")
        if self._count == 0:
            return
        self._count = max(0, self._count - n)
        if self._count == 0:
            self.events.tell("open", loop_time(), waiting=len(self._line))
            while self._line.hand(None):
                pass

    async def wait(self, timeout: float | None = None) -> None:
        """Wait until the count is zero.

        Args:
            timeout: seconds; the `Deadline` that holds here counts too.

        Raises:
            TimeoutError: it was not in time.
            QueueFull: ``max_waiting`` tasks wait already.

        Cancel safety: a cancelled task leaves no trace.
        """
        if self._count:
            await self._line.wait(timeout, self.events)

    def stats(self) -> LatchStats:
        """Return the count, and how many wait."""
        return LatchStats(self.name, self._count, len(self._line))

    def describe(self) -> dict[str, Any]:
        """Return the stats as a dict."""
        return described("latch", self.stats())

    def __repr__(self) -> str:
        called = f" {self.name}" if self.name else ""
        return f"<Latch{called} {self._count} left, {len(self._line)} waiting>"


@dataclass(frozen=True, slots=True)
class ValueEventStats:
    """The state of a `ValueEvent`.

    Attributes:
        name: its name.
        is_set: whether it has a value.
        sets: how often it was given one.
        waiting: how many tasks wait.
    """

    name: str | None
    is_set: bool
    sets: int
    waiting: int


class ValueEvent(Generic[T]):
    """An event that carries a value and can be cleared: wait until there is one, and get it.

    Args:
        max_waiting: how many tasks may wait; None for no bound.
        name: for messages, stats and events.
        on_event: called with each `PatternEvent`: ``wait``, ``grant``, ``reject``, ``set``, ``clear``.

    Who waits when it is set gets that value, also if it is cleared or set again before the task runs; so
    unlike with a future and a flag nothing is missed. Use a channel where every value counts.

    >>> import asyncio
    >>> async def main():
    ...     leader = ValueEvent()
    ...     asyncio.get_running_loop().call_later(0.01, leader.set, "node 3")
    ...     return await leader.wait()
    >>> asyncio.run(main())
    'node 3'
    """

    def __init__(
        self,
        *,
        max_waiting: int | None = None,
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        self.name = name
        self.events = Listeners("value_event", name, on_event)
        self._value: T | None = None
        self._is_set = False
        self._sets = 0
        called = f"value event {name!r}" if name else "value event"
        self._line: Waiters[T] = Waiters(_forget, name=called, max_waiting=max_waiting)

    def set(self, value: T) -> None:
        """Give it a value, in place of one that it has; all who wait get it. In the loop's thread."""
        self._value = value
        self._is_set = True
        self._sets += 1
        self.events.tell("set", loop_time(), waiting=len(self._line))
        while self._line.hand(value):
            pass

    def clear(self) -> None:
        """Take the value away: who comes now waits for the next one."""
        if self._is_set:
            self._value = None
            self._is_set = False
            self.events.tell("clear", loop_time())

    def is_set(self) -> bool:
        """Whether it has a value."""
        return self._is_set

    async def wait(self, timeout: float | None = None) -> T:
        """Return the value; wait until there is one.

        Args:
            timeout: seconds; the `Deadline` that holds here counts too.

        Raises:
            TimeoutError: there was none in time.
            QueueFull: ``max_waiting`` tasks wait already.

        Cancel safety: a cancelled task leaves no trace.
        """
        if self._is_set:
            return cast("T", self._value)
        return await self._line.wait(timeout, self.events)

    def stats(self) -> ValueEventStats:
        """Return whether it has a value, and how many wait."""
        return ValueEventStats(self.name, self._is_set, self._sets, len(self._line))

    def describe(self) -> dict[str, Any]:
        """Return the stats as a dict."""
        return described("value_event", self.stats())

    def __repr__(self) -> str:
        called = f" {self.name}" if self.name else ""
        state = f"set to {self._value!r}" if self._is_set else "not set"
        return f"<ValueEvent{called} {state}, {len(self._line)} waiting>"


def _forget(_: object) -> None:
    """What was handed to a cancelled task needs no other taker: all have got it."""
