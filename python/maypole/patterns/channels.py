"""A bounded channel between tasks: both ends can be cloned, and each side learns when the other is gone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, get_args

from maypole.patterns.channel_state import ChannelStats, Overflow, State, shown, thrown_away
from maypole.patterns.errors import ChannelClosed
from maypole.patterns.events import Listener, described

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

T = TypeVar("T")


class Sender(Generic[T]):
    """The end of a channel that takes items; make it with `channel`.

    ``await send(x)`` and ``await send.send(x)`` are the same.
    """

    __slots__ = ("_closed", "_state")

    def __init__(self, state: State[T]) -> None:
        self._closed = False
        self._state = state
        state.open_senders += 1

    async def send(self, item: T, timeout: float | None = None) -> None:
        """Send an item, waiting for room if the channel blocks when it is full.

        Args:
            item: anything.
            timeout: seconds to wait for room.

        Raises:
            ChannelBroken: every receiver is closed.
            ChannelClosed: this sender is closed, or the channel was shut down.
            ChannelFull: with ``overflow="error"``.
            QueueFull: ``max_waiting`` senders are waiting already.
            TimeoutError: there was no room in time.

        Cancel safety: a send that was cancelled has sent nothing. Senders are served in the order they came.
        """
        state = self._state
        if self._closed or state.shut or not state.open_receivers:
            self._check()
        if state.put(item):
            return
        if state.overflow == "block":
            await state.put_in_line(item, timeout)
        else:
            state.overflowed(item)

    __call__ = send

    def try_send(self, item: T) -> bool:
        """Send without waiting; False if the item was not taken.

        With ``drop_old`` and ``latest`` there is always room.

        Raises:
            ChannelBroken, ChannelClosed: as `send`.
        """
        state = self._state
        self._check()
        if state.put(item):
            return True
        if state.overflow in ("drop_old", "latest"):
            state.overflowed(item)
            return True
        return False

    def clone(self) -> Sender[T]:
        """Return another sender of the same channel; the channel ends when all of them are closed."""
        self._check_open()
        return Sender(self._state)

    def close(self) -> None:
        """Say that this sender is done. Receivers get what is left, then the channel ends for them."""
        if not self._closed:
            self._closed = True
            self._state.sender_left()

    def shutdown(self, immediate: bool = False) -> None:
        """End the channel for all senders; ``immediate`` throws away what was not received yet.

        Source: asyncio.Queue.shutdown, https://docs.python.org/3/library/asyncio-queue.html
        """
        self._state.shutdown(immediate)

    def stats(self) -> ChannelStats:
        """Return the state of the channel."""
        return self._state.stats()

    def describe(self) -> dict[str, Any]:
        """Return the state of the channel as a dict."""
        return described("channel", self.stats())

    def _check(self) -> None:
        self._check_open()
        self._state.check_can_send()

    def _check_open(self) -> None:
        if self._closed:
            raise ChannelClosed(f"{self._state.called}: this sender is closed")

    async def aclose(self) -> None:
        """`close`, for those who close everything with ``await``."""
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if not self._closed:
            self._closed = True
            thrown_away(self._state, "sender", self._state.receivers, self._state.sender_left)

    def __repr__(self) -> str:
        return shown("Sender", self._closed, self._state)


class Receiver(Generic[T]):
    """The end of a channel that gives items; make it with `channel`.

    ``async for x in recv`` ends when the channel does. ``await recv()`` and ``await recv.recv()`` are
    the same.
    """

    __slots__ = ("_closed", "_state")

    def __init__(self, state: State[T]) -> None:
        self._closed = False
        self._state = state
        state.open_receivers += 1

    async def recv(self, timeout: float | None = None) -> T:
        """Receive the next item, waiting for one.

        Args:
            timeout: seconds to wait.

        Raises:
            ChannelClosed: the channel has ended and nothing is left, or this receiver is closed.
            QueueFull: ``max_waiting`` receivers are waiting already.
            TimeoutError: nothing came in time.

        Cancel safety: an item that was on its way to a cancelled receiver is the next one again.
        Receivers are served in the order they came.
        """
        state = self._state
        if self._closed:
            self._check_open()
        if state.items:
            return state.take()
        if state.ended:
            raise state.ended_error()
        return await state.take_in_line(timeout)

    __call__ = recv

    def try_recv(self, default: T | None = None) -> T | None:
        """Receive without waiting; the default if nothing is there.

        Raises:
            ChannelClosed: as `recv`.
        """
        self._check_open()
        state = self._state
        if not state.items and state.senders:
            state.call_senders()
        if state.items:
            return state.take()
        if state.ended:
            raise state.ended_error()
        return default

    async def recv_many(self, n: int, *, max_wait: float = 0.0, timeout: float | None = None) -> list[T]:
        """Receive between 1 and n items.

        Args:
            n: at most so many.
            max_wait: seconds to wait for more once the first one is there; 0 takes what there is.
            timeout: seconds to wait for the first one.

        Raises:
            ValueError: n is below 1, or max_wait below 0.
            ChannelClosed, QueueFull, TimeoutError: as `recv`, and only without a first item.

        Cancel safety: what was collected goes back, in order.
        """
        if n < 1 or not max_wait >= 0:
            raise ValueError(f"recv_many needs n >= 1 and max_wait >= 0, got {n} and {max_wait}")
        batch = [await self.recv(timeout)]
        state = self._state
        end = asyncio.get_running_loop().time() + max_wait
        try:
            while len(batch) < n:
                if state.items:
                    batch.append(state.take())
                    continue
                left = end - asyncio.get_running_loop().time()
                if left <= 0 or state.ended:
                    break
                batch.append(await state.take_in_line(left))
        except (TimeoutError, ChannelClosed):
            pass  # the time is over or the channel has ended: this batch is the last one
        except BaseException:
            state.put_back(*batch)
            raise
        return batch

    def clone(self) -> Receiver[T]:
        """Return another receiver of the same channel; each item goes to one of them."""
        self._check_open()
        return Receiver(self._state)

    def close(self) -> None:
        """Say that this receiver wants no more. When all are closed, senders get `ChannelBroken`."""
        if not self._closed:
            self._closed = True
            self._state.receiver_left()

    def shutdown(self, immediate: bool = False) -> None:
        """End the channel for all senders, as `Sender.shutdown`."""
        self._state.shutdown(immediate)

    def stats(self) -> ChannelStats:
        """Return the state of the channel."""
        return self._state.stats()

    def describe(self) -> dict[str, Any]:
        """Return the state of the channel as a dict."""
        return described("channel", self.stats())

    def _check_open(self) -> None:
        if self._closed:
            raise ChannelClosed(f"{self._state.called}: this receiver is closed")

    async def aclose(self) -> None:
        """`close`, for those who close everything with ``await``."""
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        state = self._state
        if state.items and not self._closed:
            return state.take()
        try:
            return await self.recv()
        except ChannelClosed:
            if self._closed or not state.ended:
                raise
            raise StopAsyncIteration from None

    def __del__(self) -> None:
        if not self._closed:
            self._closed = True
            thrown_away(self._state, "receiver", self._state.senders, self._state.receiver_left)

    def __repr__(self) -> str:
        return shown("Receiver", self._closed, self._state)


class channel(tuple[Sender[T], Receiver[T]]):
    """Make a channel: ``send, recv = channel[int](64)``.

    Args:
        maxsize: how many items may lie in it. 0 lets an item pass only to a receiver that waits; None sets no
            bound, which is a leak as soon as the receiver is the slower one.
        overflow: what a send does when there is no room: ``"block"`` waits; ``"drop_new"`` throws the item
            away; ``"drop_old"`` the oldest one; ``"latest"`` everything but the item; ``"error"`` raises.
        name: for messages, stats and events.
        max_waiting: how many tasks may wait on one side.
        on_drop: called with each item that nobody will receive.
        on_event: called with each `PatternEvent`: ``wait``, ``grant`` (after a wait), ``drop``, ``close``.

    Raises:
        ValueError: for a negative maxsize, an unknown policy, or a policy that needs room at maxsize 0.

    The channel is for tasks of one loop; between threads, use the package janus.

    >>> async def main():
    ...     send, recv = channel[int](2)
    ...     async def produce():
    ...         async with send:
    ...             for number in range(5):
    ...                 await send(number)
    ...     async with asyncio.TaskGroup() as group, recv:
    ...         group.create_task(produce())
    ...         return [number async for number in recv]
    >>> asyncio.run(main())
    [0, 1, 2, 3, 4]
    """

    __slots__ = ()

    def __new__(
        cls,
        maxsize: int | None = 64,
        *,
        overflow: Overflow = "block",
        name: str | None = None,
        max_waiting: int | None = 10_000,
        on_drop: Callable[[T], object] | None = None,
        on_event: Listener | None = None,
    ) -> Self:
        if maxsize is not None and maxsize < 0:
            raise ValueError(f"maxsize must be 0 or more, or None for no bound; got {maxsize}")
        if overflow not in get_args(Overflow):
            raise ValueError(f"overflow must be one of {', '.join(get_args(Overflow))}; got {overflow!r}")
        if maxsize == 0 and overflow in ("drop_old", "latest"):
            raise ValueError(f"overflow={overflow!r} needs room for one item at least; maxsize is 0")
        state = State(maxsize, overflow, name, max_waiting, on_drop, on_event)
        return super().__new__(cls, (Sender(state), Receiver(state)))

    @property
    def send(self) -> Sender[T]:
        """The sending end."""
        return self[0]

    @property
    def recv(self) -> Receiver[T]:
        """The receiving end."""
        return self[1]
