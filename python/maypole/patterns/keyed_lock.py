"""A lock for each key, there only while somebody holds it or waits for it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from maypole.patterns.arguments import whole_or_none
from maypole.patterns.events import Listeners, described
from maypole.patterns.waiters import Waiters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Hashable

    from maypole.patterns.events import Listener

K = TypeVar("K", bound="Hashable")


@dataclass(frozen=True, slots=True)
class KeyedLockStats:
    """How many keys are in use.

    Attributes:
        held: keys that somebody holds.
        waiting: tasks in line, for all keys.
        acquired: how often a lock was taken.
        contended: how often somebody had to stand in line for it.
    """

    name: str | None
    held: int
    waiting: int
    acquired: int
    contended: int


class _Entry:
    """The lock of one key."""

    __slots__ = ("line", "owner")

    def __init__(self, line: Waiters[None]) -> None:
        self.line = line
        self.owner: asyncio.Task[Any] | None = None  # None: its next owner has not run yet


class KeyedLock(Generic[K]):
    """Locks by key: ``async with locks.hold(key)``.

    Args:
        max_waiting: how many tasks may wait for one key.
        name: for messages, stats and events.
        on_event: called with each `PatternEvent`: ``wait``, ``grant`` (after a wait), ``reject``.

    A key costs nothing while nobody uses it. Tasks are served in the order they came. Holding several keys
    at a time (``locks.hold(a, b)``) takes them in the same order everywhere, so that two tasks cannot wait
    for each other.

    >>> async def main():
    ...     locks = KeyedLock()
    ...     async with locks.hold("account 1", "account 2"):
    ...         return locks.try_acquire("account 1"), locks.stats().held
    >>> asyncio.run(main())
    (False, 2)
    """

    def __init__(
        self,
        *,
        max_waiting: int | None = 10_000,
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        self.name = name
        self.called = f"keyed lock {name!r}" if name else "keyed lock"
        self.events = Listeners("keyed_lock", name, on_event)
        self._max_waiting = whole_or_none("max_waiting", max_waiting, least=0)
        self._entries: dict[K, _Entry] = {}
        self._acquired = self._contended = 0

    def try_acquire(self, key: K) -> bool:
        """Take the lock of a key if nobody holds it."""
        if key in self._entries:
            return False
        self._entries[key] = self._new_entry(key)
        self._acquired += 1
        return True

    async def acquire(self, key: K, timeout: float | None = None) -> None:
        """Take the lock of a key, waiting for it.

        Args:
            timeout: seconds.

        Raises:
            TimeoutError: it did not come free in time.
            QueueFull: ``max_waiting`` tasks wait for this key already.
            RuntimeError: this task holds the lock; it would wait for itself.

        Cancel safety: a cancelled task leaves the line; a lock that was just handed to it goes to the next.
        """
        if self.try_acquire(key):
            return
        entry = self._entries[key]
        me = asyncio.current_task()
        if entry.owner is me and me is not None:
            raise RuntimeError(f"{self.called}: this task holds {key!r} already, and would wait for itself")
        self._contended += 1
        await entry.line.wait(timeout, self.events, key=key)
        entry.owner = me
        self._acquired += 1

    def release(self, key: K) -> None:
        """Give the lock of a key to the next in line.

        Raises:
            RuntimeError: this task does not hold it.
        """
        entry = self._entries.get(key)
        if entry is None or entry.owner is not asyncio.current_task():
            raise RuntimeError(f"{self.called}: this task does not hold {key!r}")
        self._pass_on(key, entry)

    @asynccontextmanager
    async def hold(self, *keys: K, timeout: float | None = None) -> AsyncIterator[None]:
        """Hold the locks of all these keys in a block.

        Args:
            timeout: seconds for each of them.

        Raises:
            TimeoutError, QueueFull, RuntimeError: as `acquire`; what was taken before is given back.
        """
        async with AsyncExitStack() as stack:
            for key in sorted(set(keys), key=_rank):
                await self.acquire(key, timeout)
                stack.callback(self.release, key)
            yield

    def locked(self, key: K) -> bool:
        """Whether somebody holds the lock of a key."""
        return key in self._entries

    def stats(self) -> KeyedLockStats:
        """Return how many keys are in use."""
        return KeyedLockStats(
            name=self.name,
            held=len(self._entries),
            waiting=sum(len(entry.line) for entry in self._entries.values()),
            acquired=self._acquired,
            contended=self._contended,
        )

    def describe(self) -> dict[str, Any]:
        """Return the stats, and who holds which key, as a dict."""
        owners = {
            key: "" if entry.owner is None else entry.owner.get_name() for key, entry in self._entries.items()
        }
        return described("keyed_lock", self.stats()) | {"owners": owners}

    def _new_entry(self, key: K) -> _Entry:
        def give_back(_: None) -> None:
            self._pass_on(key, entry)

        called = f"{self.called}, key {key!r}"
        entry = _Entry(Waiters(give_back, name=called, max_waiting=self._max_waiting))
        entry.owner = asyncio.current_task()
        return entry

    def _pass_on(self, key: K, entry: _Entry) -> None:
        entry.owner = None
        if not entry.line.hand(None):
            del self._entries[key]

    def __repr__(self) -> str:
        stats = self.stats()
        return f"<KeyedLock {self.called}: {stats.held} held, {stats.waiting} wait>"


def _rank(key: object) -> tuple[str, str]:
    return type(key).__qualname__, repr(key)
