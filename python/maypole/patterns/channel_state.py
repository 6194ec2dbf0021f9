"""What the two ends of a channel share: the items, the two lines, and the rules between them."""

from __future__ import annotations

import asyncio
import warnings
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from maypole.patterns.arguments import function_or_none
from maypole.patterns.errors import ChannelBroken, ChannelClosed, ChannelFull
from maypole.patterns.events import Listener, Listeners, log, loop_time
from maypole.patterns.waiters import Waiters

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

Overflow = Literal["block", "drop_new", "drop_old", "latest", "error"]


@dataclass(frozen=True, slots=True)
class ChannelStats:
    """The state of a channel and what went through it.

    Attributes:
        depth: items that wait to be received.
        dropped: items that the overflow policy, a shutdown or the last receiver's end threw away.
        send_wait_s: seconds that senders stood in line, in sum; the same for receivers.
    """

    name: str | None
    maxsize: int | None
    overflow: Overflow
    depth: int
    depth_max: int
    sent: int
    received: int
    dropped: int
    waiting_senders: int
    waiting_receivers: int
    open_senders: int
    open_receivers: int
    send_wait_s: float
    receive_wait_s: float


class State(Generic[T]):
    """What both ends share."""

    def __init__(
        self,
        maxsize: int | None,
        overflow: Overflow,
        name: str | None,
        max_waiting: int | None,
        on_drop: Callable[[T], object] | None,
        on_event: Listener | None,
    ) -> None:
        self.maxsize = maxsize
        self.room = float("inf") if maxsize is None else maxsize
        self.overflow = overflow
        self.name = name
        self.items: deque[T] = deque()
        called = f"channel {name!r}" if name else "channel"
        # A receiver is handed its item. A sender keeps its item and is handed a place, so that a send
        # which was cancelled has sent nothing.
        self.receivers: Waiters[T] = Waiters(self.put_back, name=called, max_waiting=max_waiting)
        self.senders: Waiters[None] = Waiters(self.place_unused, name=called, max_waiting=max_waiting)
        self.places_promised = 0
        self.open_senders = 0
        self.open_receivers = 0
        self.shut = False
        self.sent = self.received = self.dropped = self.depth_max = 0
        self.send_wait_s = self.receive_wait_s = 0.0
        self.on_drop = function_or_none("on_drop", on_drop)
        self.events = Listeners("channel", name, on_event)
        self.called = called

    # Sending

    def put(self, item: T) -> bool:
        """Hand the item over, or keep it if there is room and nobody was promised that room."""
        if self.senders or self.places_promised:
            return False
        return self.put_at_once(item)

    def put_at_once(self, item: T) -> bool:
        """The same for one whose turn it is."""
        if self.receivers and self.receivers.hand(item):
            self.received += 1
        elif len(self.items) < self.room:
            self.items.append(item)
            if len(self.items) > self.depth_max:
                self.depth_max = len(self.items)
        else:
            return False
        self.sent += 1
        return True

    async def put_in_line(self, item: T, timeout: float | None) -> None:
        """Wait for a place, as often as it takes."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        served = False
        try:
            while True:
                left = None if timeout is None else began + timeout - loop.time()
                place = self.senders.stand(first=served)
                if not served:
                    self.events.tell("wait", began, side="send", depth=len(self.items))
                self.call_senders()
                await self.senders.handed(place, left)
                served = True
                self.places_promised -= 1
                self.check_can_send()
                if self.put_at_once(item):
                    self.tell_grant(loop, began, "send")
                    return
        finally:
            self.send_wait_s += loop.time() - began

    def place_unused(self, _: None) -> None:
        """A sender was cancelled after it had been promised a place: the next one gets it."""
        self.places_promised -= 1
        self.call_senders()

    def call_senders(self) -> None:
        """Promise the places there are to those who wait for one; a waiting receiver is a place too."""
        while self.senders:
            if self.places_promised >= self.room - len(self.items) + len(self.receivers):
                return
            if not self.senders.hand(None):
                return
            self.places_promised += 1

    def overflowed(self, item: T) -> None:
        """There is no room: do what the policy says."""
        if self.overflow == "error":
            raise ChannelFull(f"{self.called} is full ({self.maxsize} items)", name=self.name)
        if self.overflow == "drop_new":
            self.drop(item)
            return
        dropped = [self.items.popleft()] if self.overflow == "drop_old" else list(self.items)
        if self.overflow == "latest":
            self.items.clear()
        self.items.append(item)
        self.sent += 1
        for old in dropped:
            self.drop(old)

    def drop(self, item: T) -> None:
        """Account for an item that nobody will receive."""
        self.dropped += 1
        if self.events:
            self.events.tell("drop", loop_time(), policy=self.overflow, depth=len(self.items))
        if self.on_drop is not None:
            try:
                self.on_drop(item)
            except Exception:
                log.exception("on_drop of %s failed", self.called)

    def check_can_send(self) -> None:
        """Raise unless a sent item could be received one day."""
        if self.shut or not self.open_senders:
            raise ChannelClosed(f"{self.called} was shut down" if self.shut else f"{self.called}: closed")
        if not self.open_receivers:
            raise ChannelBroken(f"{self.called}: every receiver is closed")

    # Receiving

    def take(self) -> T:
        """Take the first item; there is one."""
        item = self.items.popleft()
        self.received += 1
        if self.senders:
            self.call_senders()
        return item

    async def take_in_line(self, timeout: float | None) -> T:
        """Wait for an item."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        place = self.receivers.stand()
        if self.senders:
            self.call_senders()  # at maxsize 0 a waiting receiver is the only place there is
        self.events.tell("wait", began, side="receive", depth=0)
        try:
            item = await self.receivers.handed(place, timeout)
        finally:
            self.receive_wait_s += loop.time() - began
        self.tell_grant(loop, began, "receive")
        return item

    def tell_grant(self, loop: asyncio.AbstractEventLoop, began: float, side: str) -> None:
        if self.events:
            now = loop.time()
            self.events.tell("grant", now, side=side, waited=now - began, depth=len(self.items))

    def put_back(self, *items: T) -> None:
        """A receiver was cancelled after it had been handed these: they are the first ones again."""
        self.received -= len(items)
        self.items.extendleft(reversed(items))
        if not self.open_receivers:
            self.drop_all()
        while self.items and self.receivers.hand(self.items[0]):
            self.items.popleft()
            self.received += 1

    # Ending

    @property
    def ended(self) -> bool:
        """Nothing will be sent any more."""
        return self.shut or not self.open_senders

    def ended_error(self) -> ChannelClosed:
        why = "was shut down" if self.shut else "every sender is closed"
        return ChannelClosed(f"{self.called}: {why}, and nothing is left to receive")

    def sender_left(self) -> None:
        self.open_senders -= 1
        if not self.open_senders:
            self.senders.fail_all(
                lambda: ChannelClosed(f"{self.called}: the sender was closed while it waited")
            )
            self.receivers.fail_all(self.ended_error)
            self.tell_end("senders")

    def receiver_left(self) -> None:
        self.open_receivers -= 1
        if not self.open_receivers:
            self.drop_all()
            self.receivers.fail_all(
                lambda: ChannelClosed(f"{self.called}: the receiver was closed while it waited")
            )
            self.senders.fail_all(lambda: ChannelBroken(f"{self.called}: every receiver is closed"))
            self.tell_end("receivers")

    def shutdown(self, immediate: bool) -> None:
        already = self.shut
        self.shut = True
        if immediate:
            self.drop_all()
        self.senders.fail_all(lambda: ChannelClosed(f"{self.called} was shut down"))
        self.receivers.fail_all(self.ended_error)
        if not already:
            self.tell_end("shutdown")

    def drop_all(self) -> None:
        while self.items:
            self.drop(self.items.popleft())

    def tell_end(self, by: str) -> None:
        if self.events:
            self.events.tell("close", loop_time(), by=by)

    def stats(self) -> ChannelStats:
        return ChannelStats(
            name=self.name,
            maxsize=self.maxsize,
            overflow=self.overflow,
            depth=len(self.items),
            depth_max=self.depth_max,
            sent=self.sent,
            received=self.received,
            dropped=self.dropped,
            waiting_senders=len(self.senders),
            waiting_receivers=len(self.receivers),
            open_senders=self.open_senders,
            open_receivers=self.open_receivers,
            send_wait_s=self.send_wait_s,
            receive_wait_s=self.receive_wait_s,
        )


def shown(kind: str, closed: bool, state: State[Any]) -> str:
    bound = "no bound" if state.maxsize is None else str(state.maxsize)
    waiting = f"{len(state.senders)} senders and {len(state.receivers)} receivers wait"
    return (
        f"<{kind}{' closed' if closed else ''} of {state.called}: {len(state.items)} of {bound}, {waiting}>"
    )


def thrown_away(state: State[Any], end: str, others: Waiters[Any], leave: Callable[[], None]) -> None:
    """An end went without `close`: those who wait for it would wait for ever."""
    loop = others.loop
    if not others or loop is None or loop.is_closed():
        leave()
        return
    warnings.warn(
        f"the last reference to a {end} of {state.called} went, unclosed", ResourceWarning, stacklevel=3
    )
    loop.call_soon_threadsafe(leave)  # the garbage collector runs in any thread
