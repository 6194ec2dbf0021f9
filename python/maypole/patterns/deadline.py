"""A total time for everything that happens inside a block, however deep."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, Self, TypeVar

from maypole.patterns.errors import DeadlineExceeded
from maypole.patterns.tasks import keep, settle

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterator
    from contextvars import Context
    from types import TracebackType

T = TypeVar("T")


class Deadline:
    """The moment by which a block of code must be through.

    Args:
        seconds: how long the block may take. Inside another deadline the earlier moment counts.
        name: what to call it in messages.

    Inside the block `Deadline.current` gives it, also in tasks that are started there, and every wait of a
    pattern (``acquire(timeout=...)``) takes the smaller of its own timeout and what remains.

    Raises:
        DeadlineExceeded: out of the ``async with``, when the time was over; it is a `TimeoutError` too.
        ValueError: for negative seconds.

    Cancel safety: a cancellation from outside stays a `asyncio.CancelledError`.

    >>> async def main():
    ...     async with Deadline(5):
    ...         async with Deadline(60) as inner:
    ...             return inner.remaining() <= 5
    >>> asyncio.run(main())
    True
    """

    __slots__ = ("_armed", "_at", "_loop", "_outer", "_seconds", "name")

    def __init__(self, seconds: float, *, name: str | None = None) -> None:
        if not seconds >= 0:
            raise ValueError(f"a deadline needs seconds >= 0, got {seconds!r}")
        self._seconds = seconds
        self.name = name
        self._loop: asyncio.AbstractEventLoop | None = None
        self._at = 0.0
        self._armed: asyncio.Timeout | None = None
        self._outer: Deadline | None = None

    @staticmethod
    def current() -> Deadline | None:
        """Return the deadline that holds here, or None."""
        deadline = _current.get()
        if deadline is None or deadline._loop is not asyncio.get_running_loop():
            return None  # a context can wander to the loop of another thread, whose clock is another one
        return deadline

    @property
    def at(self) -> float:
        """The moment, in seconds of ``loop.time()``; known inside the block."""
        self._entered()
        return self._at

    def remaining(self) -> float:
        """Return the seconds that are left, never less than 0."""
        return max(0.0, self._at - self._entered().time())

    @property
    def expired(self) -> bool:
        """Whether the moment has passed."""
        return self._entered().time() >= self._at

    def _entered(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("a deadline begins with `async with`; this one has not begun")
        return self._loop

    async def __aenter__(self) -> Self:
        if self._loop is not None:
            raise RuntimeError("a deadline serves one block only: make another one")
        loop = asyncio.get_running_loop()
        self._outer = Deadline.current()
        self._loop = loop
        self._at = loop.time() + self._seconds
        if self._outer is not None and self._outer._at <= self._at:
            self._at = self._outer._at  # the outer one fires, and its owner hears of it
        else:
            self._armed = asyncio.timeout_at(self._at)
            await self._armed.__aenter__()
        _current.set(self)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _current.set(self._outer)
        if self._armed is None:
            return
        try:
            await self._armed.__aexit__(kind, error, trace)
        except TimeoutError:
            called = f"deadline {self.name!r}" if self.name else "deadline"
            raise DeadlineExceeded(f"{called} of {self._seconds:g} s is over") from error

    def __repr__(self) -> str:
        if self._loop is None:
            return f"<Deadline {self.name or ''} {self._seconds:g} s, not begun>"
        return f"<Deadline {self.name or ''} {self._seconds:g} s, ends at {self._at:.3f}>"


_current: ContextVar[Deadline | None] = ContextVar("maypole_deadline", default=None)


def within(timeout: float | None) -> float | None:
    """Return the smaller of a timeout and what remains of the deadline here; in seconds, None is endless.

    >>> async def main():
    ...     async with Deadline(0.5):
    ...         return within(60) <= 0.5, within(0.25), within(None) <= 0.5
    >>> asyncio.run(main())
    (True, 0.25, True)
    """
    if _current.get() is None:
        return timeout  # most calls
    deadline = Deadline.current()
    if deadline is None:
        return timeout
    remaining = deadline.remaining()
    return remaining if timeout is None else min(timeout, remaining)


def without_deadline() -> Context:
    """Return a copy of this context in which no deadline holds: for work that serves others too."""
    context = copy_context()
    context.run(_current.set, None)
    return context


@contextmanager
def no_deadline() -> Iterator[None]:
    """Let no deadline hold in a block; a timer that an outer one has set still fires."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


async def finally_within(cleanup: Coroutine[Any, Any, T], timeout: float) -> T:
    """Run a cleanup that neither a cancellation nor a deadline of the caller cuts short, but a timeout does.

    Args:
        cleanup: a coroutine; it runs in a task of its own.
        timeout: seconds. After that it is cancelled, and left to end by itself.

    Raises:
        DeadlineExceeded: the cleanup took longer.

    Cancel safety: a cancellation that comes meanwhile is raised when the cleanup has ended.

    >>> async def main():
    ...     return await finally_within(asyncio.sleep(0.01, "clean"), timeout=5)
    >>> asyncio.run(main())
    'clean'
    """
    task = keep(asyncio.get_running_loop().create_task(cleanup, context=without_deadline()))
    interrupted = await settle([task], timeout)
    if not task.done():
        task.cancel()
        late = DeadlineExceeded(f"cleanup {task.get_name()!r} took longer than {timeout:g} s")
        if interrupted is None:
            raise late
        raise interrupted from late
    if interrupted is not None:
        raise interrupted
    return task.result()
