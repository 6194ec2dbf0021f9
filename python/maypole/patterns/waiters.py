"""Tasks in line: first come, first served, and a cancelled one leaves no trace."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from math import inf
from typing import TYPE_CHECKING, Generic, TypeVar

from maypole.patterns.arguments import whole_or_none
from maypole.patterns.deadline import within
from maypole.patterns.errors import QueueFull

if TYPE_CHECKING:
    from collections.abc import Callable

    from maypole.patterns.events import Listeners

T = TypeVar("T")


class Waiters(Generic[T]):
    """A line of tasks, each of which waits for a value that somebody else hands to it.

    Args:
        give_back: takes a value that was handed to a task which was cancelled before it could take it.
        name: what the line is for, in messages.
        max_waiting: how many may stand in line; None for no bound.

    The line belongs to the loop on which its tasks wait. When nobody waits, another loop may use it.
    """

    __slots__ = ("_give_back", "_line", "loop", "max_waiting", "name")

    def __init__(
        self, give_back: Callable[[T], object], *, name: str, max_waiting: int | None = None
    ) -> None:
        whole_or_none("max_waiting", max_waiting, least=0)
        self._give_back = give_back
        self._line: OrderedDict[asyncio.Future[T], object] = OrderedDict()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.name = name
        self.max_waiting = max_waiting

    def __len__(self) -> int:
        """How many wait; one that was cancelled counts until its task has run."""
        return len(self._line)

    async def wait(
        self,
        timeout: float | None = None,
        events: Listeners | None = None,
        *,
        tag: object = None,
        **detail: object,
    ) -> T:
        """Stand in line until a value is handed over; `stand` and `handed` in one.

        Args:
            timeout, tag: as there.
            events: hears ``wait``, then ``grant`` or ``reject``, with this detail; a cancellation is neither.
        """
        if not events:
            return await self.handed(self.stand(tag=tag), timeout)
        loop = asyncio.get_running_loop()
        began = loop.time()
        events.tell("wait", began, **detail)
        try:
            value = await self.handed(self.stand(tag=tag), timeout)
        except (TimeoutError, QueueFull) as error:
            events.tell("reject", loop.time(), waited=loop.time() - began, reason=repr(error), **detail)
            raise
        events.tell("grant", loop.time(), waited=loop.time() - began, **detail)
        return value

    def stand(self, *, first: bool = False, tag: object = None) -> asyncio.Future[T]:
        """Take a place in line, which must be awaited with `handed` at once.

        Args:
            first: stand at the head of the line: for a task that was served in vain.
            tag: what `next_tag` says when this place is the first one.

        Raises:
            QueueFull: the line is as long as it may be.
            RuntimeError: tasks of another loop are in line.
        """
        loop = asyncio.get_running_loop()
        self._belong_to(loop)
        if self.max_waiting is not None and len(self._line) >= self.max_waiting and not first:
            raise QueueFull(f"{self.name}: {len(self._line)} are waiting already", name=self.name)
        place: asyncio.Future[T] = loop.create_future()
        self._line[place] = tag
        if first:
            self._line.move_to_end(place, last=False)
        return place

    async def handed(self, place: asyncio.Future[T], timeout: float | None = None) -> T:
        """Wait at a place until a value is handed over.

        Args:
            place: from `stand`.
            timeout: seconds; the deadline that holds here counts too.

        Raises:
            TimeoutError: nothing came in time.
        """
        timeout = within(timeout)
        timer = None
        if timeout is not None and timeout < inf and not place.done():
            if timeout <= 0:
                self._line.pop(place, None)
                raise TimeoutError
            timer = place.get_loop().call_later(timeout, _expire, place)
        try:
            return await place
        except BaseException:
            self._left(place)
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def next_tag(self) -> object:
        """Return the tag of the first who still waits; None if nobody does."""
        while self._line:
            place, tag = next(iter(self._line.items()))
            if not place.done():
                return tag
            del self._line[place]
        return None

    def hand(self, value: T) -> bool:
        """Give a value to the first in line; False when nobody is there to take it."""
        while self._line:
            place, _ = self._line.popitem(last=False)
            if not place.done():
                place.set_result(value)
                return True
        return False

    def fail(self, make_error: Callable[[], BaseException]) -> bool:
        """Let the wait of the first in line raise; False when nobody is there."""
        while self._line:
            place, _ = self._line.popitem(last=False)
            if not place.done():
                place.set_exception(make_error())
                return True
        return False

    def fail_all(self, make_error: Callable[[], BaseException]) -> None:
        """Let every wait raise an error of its own."""
        while self.fail(make_error):
            pass

    def _left(self, place: asyncio.Future[T]) -> None:
        """The wait ended without a value: cancelled, timed out, failed."""
        self._line.pop(place, None)
        if place.done() and not place.cancelled() and place.exception() is None:
            self._give_back(place.result())

    def _belong_to(self, loop: asyncio.AbstractEventLoop) -> None:
        if self.loop is loop:
            return
        if self.loop is not None and not self.loop.is_closed() and self._line:
            raise RuntimeError(f"{self.name}: tasks of another event loop are waiting")
        self._line.clear()
        self.loop = loop


def _expire(place: asyncio.Future[T]) -> None:
    if not place.done():
        place.set_exception(TimeoutError())
