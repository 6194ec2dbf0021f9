"""The loops and patterns whose numbers are exported, each under a name."""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Any, Protocol, cast

from maypole.metrics.pattern_series import KINDS
from maypole.metrics.snapshot import Snapshot, checked_loop, metrics

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator, Mapping

logger = logging.getLogger("maypole")


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


class Described(Protocol):
    """What can say of itself what it is: a pattern of `maypole.patterns`."""

    def describe(self) -> dict[str, Any]:
        """Return ``kind``, ``name`` and numbers."""
        ...


class WatchedPatterns:
    """Patterns by kind and name; it keeps none of them alive, and one that is gone is passed over."""

    def __init__(self) -> None:
        self._patterns: dict[tuple[str, str], weakref.ref[Described]] = {}

    def add(self, pattern: Described, name: str | None = None) -> None:
        """Export a pattern's numbers too.

        Args:
            pattern: what has ``describe()``; of a `Policy`, all its parts are exported.
            name: what its series are told apart by from others of its kind; None is its own name.

        Raises:
            TypeError: for what does not describe itself as a pattern.
            ValueError: if it has no name, or another one of its kind is exported under it; if it has no
                numbers.
        """
        about = _about(pattern)
        if about["kind"] == "policy":
            self._add_parts(cast("Any", pattern), name or about["name"])
            return
        kind, name = about["kind"], name or about.get("name")
        if kind not in KINDS:
            raise ValueError(f"a {kind} has no numbers to export")
        if not name:
            raise ValueError(f"this {kind} has no name: give it one here, or where it is made")
        known = self._patterns.get((kind, name))
        other = known() if known is not None else None
        if other is not None and other is not pattern:
            raise ValueError(f"another {kind} is exported as {name!r}")
        self._patterns[kind, name] = weakref.ref(pattern)

    def _add_parts(self, policy: Any, name: str | None) -> None:
        for part in policy.parts:
            self.add(part, _about(part).get("name") or name)

    def remove(self, pattern: Described) -> None:
        """Export a pattern no longer.

        Raises:
            KeyError: if it is not exported.
        """
        found = [key for key, ref in self._patterns.items() if ref() is pattern]
        if not found:
            raise KeyError(pattern)
        for key in found:
            del self._patterns[key]

    def descriptions(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Return the name of each pattern that is alive, and what it says of itself."""
        found: list[tuple[str, Mapping[str, Any]]] = []
        for (kind, name), ref in list(self._patterns.items()):
            pattern = ref()
            if pattern is None:
                self._patterns.pop((kind, name), None)
                continue
            try:
                found.append((name, pattern.describe()))
            except Exception:
                logger.exception("the %s %r does not describe itself; its numbers are left out", kind, name)
        return found


def _about(pattern: Described) -> dict[str, Any]:
    describe = getattr(pattern, "describe", None)
    about = describe() if callable(describe) else None
    if not isinstance(about, dict) or not isinstance(about.get("kind"), str):
        raise TypeError(f"a {type(pattern).__name__} does not describe itself as a pattern")
    return about
