"""What inherited code sees as the loop's selector."""

from __future__ import annotations

import selectors
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maypole import _maypole


class NativeSelector(Mapping[int, selectors.SelectorKey]):
    """A read-only view of the native watch table, for code that asks what a loop watches.

    It is its own `get_map`. Nothing can be registered here: `add_reader` and `add_writer` are the way.
    """

    def __init__(self, loop: _maypole.Loop) -> None:
        self._loop: _maypole.Loop | None = loop

    def get_map(self) -> Mapping[int, selectors.SelectorKey]:
        """Return the watched descriptors and their events."""
        return self

    def get_key(self, fileobj: int | Any) -> selectors.SelectorKey:
        """Return the events watched for a descriptor.

        Raises:
            KeyError: if the descriptor is not watched.
        """
        return self[fileobj if isinstance(fileobj, int) else fileobj.fileno()]

    def close(self) -> None:
        """Forget the loop; the loop itself closes the poller."""
        self._loop = None

    def __getitem__(self, fd: int) -> selectors.SelectorKey:
        """Return the key of one descriptor."""
        events = self._loop._interest(fd) if self._loop is not None else 0
        if not events:
            raise KeyError(f"{fd!r} is not registered")
        return selectors.SelectorKey(fd, fd, events, None)

    def __iter__(self) -> Iterator[int]:
        """Iterate over the watched descriptors."""
        return iter(self._loop._watched_fds() if self._loop is not None else ())

    def __len__(self) -> int:
        """Return how many descriptors are watched."""
        return self._loop._watched if self._loop is not None else 0

    def __hash__(self) -> int:
        """Hash by identity: a selector is not a value."""
        return id(self)

    def __eq__(self, other: object) -> bool:
        """Compare by identity."""
        return self is other
