"""The loops whose metrics are exported, each under a name."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, cast

from maypole.metrics.snapshot import Snapshot, checked_loop, metrics

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator


class WatchedLoops:
    """Loops by name; it keeps none of them alive, and a closed one is passed over."""

    def __init__(self) -> None:
        self._loops: dict[str, weakref.ref[asyncio.AbstractEventLoop]] = {}

    def add(self, loop: asyncio.AbstractEventLoop | None, name: str) -> None:
        """Export a loop's metrics too.

        Args:
            loop: a loop of maypole; None is the one that runs in this thread.
            name: what its series are told apart by; that of a closed loop may be used again.

        Raises:
            TypeError: for another kind of loop.
            ValueError: if an open loop has this name.
            RuntimeError: if the loop is closed, or none was given and none runs in this thread.
        """
        loop = cast("asyncio.AbstractEventLoop", checked_loop(loop))
        known = self._loops.get(name)
        other = known() if known is not None else None
        if other is not None and other is not loop and not other.is_closed():
            raise ValueError(f"another loop is exported as {name!r}")
        self._loops[name] = weakref.ref(loop)

    def remove(self, name: str) -> None:
        """Export the loop of that name no longer.

        Raises:
            KeyError: if there is none.
        """
        del self._loops[name]

    def snapshots(self) -> Iterator[tuple[str, Snapshot]]:
        """Yield the name and the metrics of each loop that is open."""
        for name, ref in list(self._loops.items()):
            loop = ref()
            if loop is not None and not loop.is_closed():
                yield name, metrics(loop)
