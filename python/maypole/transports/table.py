"""`TransportTable`: which transport has which descriptor, as asyncio's own code and others look at it."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from maypole.loop.inherited import MixedInto


class TransportTable(MutableMapping[int, "asyncio.BaseTransport"]):
    """A view of a loop's transports by descriptor, which keeps none of them alive.

    Native stream transports stand in a native table; the others in the weak dictionary that asyncio made.

    Args:
        loop: the loop.
        others: the transports that are not native.
    """

    __slots__ = ("_loop", "_others")

    def __init__(self, loop: MixedInto, others: MutableMapping[int, asyncio.BaseTransport]) -> None:
        self._loop = loop
        self._others = others

    def __getitem__(self, fd: int) -> asyncio.BaseTransport:
        """Return the transport of a descriptor."""
        found = self._loop._transport_at(fd)
        return self._others[fd] if found is None else found

    def __setitem__(self, fd: int, transport: asyncio.BaseTransport) -> None:
        """Note that a transport has a descriptor."""
        if self._loop._keep_transport(fd, transport):
            self._others.pop(fd, None)
        else:
            self._loop._forget_transport(fd)
            self._others[fd] = transport

    def __delitem__(self, fd: int) -> None:
        """Forget the transport of a descriptor."""
        if not self._loop._forget_transport(fd):
            del self._others[fd]

    def __iter__(self) -> Iterator[int]:
        """Return the descriptors."""
        return iter([*self._loop._transport_fds(), *self._others])

    def __len__(self) -> int:
        """Return how many transports there are."""
        return len(self._loop._transport_fds()) + len(self._others)

    def __repr__(self) -> str:
        """Show the transports by descriptor."""
        return f"{type(self).__name__}({dict(self)!r})"
