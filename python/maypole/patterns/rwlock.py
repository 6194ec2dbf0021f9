"""A lock that many may read under, or one may write under."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from maypole.patterns.events import Listeners, described
from maypole.patterns.waiters import Waiters

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from maypole.patterns.events import Listener

Side = Literal["read", "write"]


@dataclass(frozen=True, slots=True)
class RWLockStats:
    """Who holds the lock.

    Attributes:
        reading: how many hold the read side; each time counts that a task took it.
        contended: how often somebody had to stand in line.
    """

    name: str | None
    reading: int
    writing: bool
    waiting: int
    acquired: int
    contended: int


class RWLock:
    """Readers share it, a writer has it alone: ``async with lock.read()``, ``async with lock.write()``.

    Args:
        max_waiting: how many tasks may wait.
        name: for messages, stats and events.
        on_event: called with each `PatternEvent`: ``wait``, ``grant`` (after a wait), ``reject``.

    Tasks are served in the order they came. A reader that comes after a waiting writer waits behind it, so
    that readers cannot keep a writer out; and it is served before a writer that came later, so that writers
    cannot keep readers out. A task may take the read side several times.

    >>> async def main():
    ...     lock = RWLock()
    ...     async with lock.read():
    ...         return lock.try_acquire_read(), lock.try_acquire_write()
    >>> asyncio.run(main())
    (True, False)
    """

    def __init__(
        self,
        *,
        max_waiting: int | None = 10_000,
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        self.name = name
        self.called = f"rwlock {name!r}" if name else "rwlock"
        self.events = Listeners("rwlock", name, on_event)
        # What is handed over is the side. The counts change then, and not only when the task runs.
        self._line: Waiters[Side] = Waiters(self._give_back, name=self.called, max_waiting=max_waiting)
        self._reading = 0
        self._writing = False
        self._readers: Counter[asyncio.Task[Any] | None] = Counter()
        self._writer: asyncio.Task[Any] | None = None
        self._acquired = self._contended = 0

    def try_acquire_read(self) -> bool:
        """Take the read side if that needs no waiting."""
        me = asyncio.current_task()
        if self._writing or (self._line and me not in self._readers):
            return False
        self._grant("read")
        self._took("read")
        return True

    def try_acquire_write(self) -> bool:
        """Take the write side if that needs no waiting."""
        if self._writing or self._reading or self._line:
            return False
        self._grant("write")
        self._took("write")
        return True

    async def acquire_read(self, timeout: float | None = None) -> None:
        """Take the read side, waiting for the writers that came before.

        Args:
            timeout: seconds.

        Raises:
            TimeoutError: its turn did not come in time.
            QueueFull: ``max_waiting`` tasks wait already.
            RuntimeError: this task holds the write side; it would wait for itself.

        Cancel safety: a cancelled task leaves the line, and those behind it move up.
        """
        if not self.try_acquire_read():
            self._refuse_waiting_for_oneself()
            await self._wait("read", timeout)

    async def acquire_write(self, timeout: float | None = None) -> None:
        """Take the write side, waiting for all that came before.

        The arguments and errors are those of `acquire_read`; holding the read side is refused too.
        """
        if not self.try_acquire_write():
            self._refuse_waiting_for_oneself()
            if asyncio.current_task() in self._readers:
                raise RuntimeError(f"{self.called}: this task reads, and would wait for itself to write")
            await self._wait("write", timeout)

    def release_read(self) -> None:
        """Give the read side back.

        Raises:
            RuntimeError: this task does not hold it.
        """
        me = asyncio.current_task()
        if self._readers[me] <= 0:
            del self._readers[me]
            raise RuntimeError(f"{self.called}: this task does not hold the read side")
        self._readers[me] -= 1
        if not self._readers[me]:
            del self._readers[me]
        self._give_back("read")

    def release_write(self) -> None:
        """Give the write side back.

        Raises:
            RuntimeError: this task does not hold it.
        """
        self._check_writing()
        self._writer = None
        self._give_back("write")

    def downgrade(self) -> None:
        """Turn the write side into the read side, without letting another writer in between.

        Raises:
            RuntimeError: this task does not hold the write side.
        """
        self._check_writing()
        self._writer = None
        self._writing = False
        self._grant("read")
        self._readers[asyncio.current_task()] += 1
        self._serve()

    @asynccontextmanager
    async def read(self, timeout: float | None = None) -> AsyncIterator[None]:
        """Hold the read side in a block."""
        await self.acquire_read(timeout)
        try:
            yield
        finally:
            self.release_read()

    @asynccontextmanager
    async def write(self, timeout: float | None = None) -> AsyncIterator[None]:
        """Hold the write side in a block; after `downgrade` the rest of it holds the read side."""
        await self.acquire_write(timeout)
        try:
            yield
        finally:
            if self._writer is asyncio.current_task():
                self.release_write()
            else:
                self.release_read()

    def stats(self) -> RWLockStats:
        """Return who holds the lock."""
        return RWLockStats(
            name=self.name,
            reading=self._reading,
            writing=self._writing,
            waiting=len(self._line),
            acquired=self._acquired,
            contended=self._contended,
        )

    def describe(self) -> dict[str, Any]:
        """Return the stats and the names of the holders as a dict."""
        holders = [*self._readers, self._writer]
        names = [task.get_name() for task in holders if task is not None]
        return described("rwlock", self.stats()) | {"holders": names}

    async def _wait(self, side: Side, timeout: float | None) -> None:
        self._contended += 1
        try:
            await self._line.wait(timeout, self.events, tag=side, side=side)
        except BaseException:
            self._serve()  # a writer that left may have kept readers waiting
            raise
        self._took(side)

    def _serve(self) -> None:
        """Serve as many from the head of the line as may go in together."""
        while not self._writing and (side := self._line.next_tag()) is not None:
            if side == "write":
                if not self._reading and self._line.hand("write"):
                    self._grant("write")
                return
            if self._line.hand("read"):
                self._grant("read")

    def _grant(self, side: Side) -> None:
        if side == "read":
            self._reading += 1
        else:
            self._writing = True

    def _took(self, side: Side) -> None:
        self._acquired += 1
        if side == "read":
            self._readers[asyncio.current_task()] += 1
        else:
            self._writer = asyncio.current_task()

    def _give_back(self, side: Side) -> None:
        if side == "read":
            self._reading -= 1
        else:
            self._writing = False
        self._serve()

    def _check_writing(self) -> None:
        if not self._writing or self._writer is not asyncio.current_task():
            raise RuntimeError(f"{self.called}: this task does not hold the write side")

    def _refuse_waiting_for_oneself(self) -> None:
        me = asyncio.current_task()
        if me is not None and self._writer is me:
            raise RuntimeError(f"{self.called}: this task writes already, and would wait for itself")

    def __repr__(self) -> str:
        state = "written" if self._writing else f"read by {self._reading}"
        return f"<RWLock {self.called}: {state}, {len(self._line)} wait>"
