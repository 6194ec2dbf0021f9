"""Descriptors that are watched by an object: it may be closed while it is watched, and still be taken out.

The native table knows numbers only, and a closed file or socket has none. asyncio's selectors keep the object
and find it again; so does this.

Source: CPython, ``selectors._BaseSelectorImpl._fileobj_lookup``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVarTuple

from maypole.loop.inherited import MixedInto

if TYPE_CHECKING:
    from collections.abc import Callable

    FileDescriptorLike = Any

Ts = TypeVarTuple("Ts")


class WatchingMixin(MixedInto):
    """Remembers by which object a descriptor is watched."""

    _watched_by: dict[int, object]

    def _init_watching(self) -> None:
        self._watched_by = {}

    def add_reader(self, fd: FileDescriptorLike, callback: Callable[[*Ts], Any], *args: *Ts) -> None:
        """Call ``callback(*args)`` whenever the descriptor can be read, in place of an earlier one."""
        super().add_reader(fd, callback, *args)
        self._remember(fd)

    def add_writer(self, fd: FileDescriptorLike, callback: Callable[[*Ts], Any], *args: *Ts) -> None:
        """Call ``callback(*args)`` whenever the descriptor can be written to, in place of an earlier one."""
        super().add_writer(fd, callback, *args)
        self._remember(fd)

    def remove_reader(self, fd: FileDescriptorLike) -> bool:
        """Stop watching for reading; return whether it was watched."""
        closed = self._number_of_closed(fd)
        removed = super().remove_reader(fd) if closed is None else self._remove_reader(closed)
        self._forget(fd, closed)
        return removed

    def remove_writer(self, fd: FileDescriptorLike) -> bool:
        """Stop watching for writing; return whether it was watched."""
        closed = self._number_of_closed(fd)
        removed = super().remove_writer(fd) if closed is None else self._remove_writer(closed)
        self._forget(fd, closed)
        return removed

    def _remember(self, fd: FileDescriptorLike) -> None:
        if not isinstance(fd, int):
            self._watched_by[fd.fileno()] = fd
        elif self._watched_by:
            self._watched_by.pop(fd, None)

    def _number_of_closed(self, fd: FileDescriptorLike) -> int | None:
        """The number that a closed object had when it was watched, unless it now belongs to a transport."""
        if not self._watched_by or isinstance(fd, int):
            return None
        try:
            if fd.fileno() >= 0:
                return None
        except (AttributeError, TypeError, ValueError):
            return None
        number = next((number for number, held in self._watched_by.items() if held is fd), None)
        if number is not None and self._transport_at(number) is not None:
            del self._watched_by[number]
            return None
        return number

    def _forget(self, fd: FileDescriptorLike, closed: int | None) -> None:
        if self._watched_by:
            number = closed if closed is not None else fd if isinstance(fd, int) else fd.fileno()
            if number in self._watched_by and not self._interest(number):
                del self._watched_by[number]

    def close(self) -> None:
        """Close the loop, and let go of the objects whose descriptors it watched."""
        super().close()
        if self.is_closed():
            self._watched_by.clear()
