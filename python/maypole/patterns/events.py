"""What a pattern does, told to whoever listens."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

log = logging.getLogger("maypole.patterns")

_NOTHING: Mapping[str, object] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PatternEvent:
    """One thing that happened in one pattern.

    Attributes:
        kind: the pattern: ``"channel"``, ``"pool"``, …
        name: the name that the user gave to this one, or None.
        what: ``"wait"``, ``"grant"``, ``"reject"``, ``"drop"``, ``"transition"``, …; each pattern lists
            its own.
        at: the loop's time in seconds.
        detail: what else is known.
    """

    kind: str
    name: str | None
    what: str
    at: float
    detail: Mapping[str, object] = field(default_factory=lambda: _NOTHING)


Listener = Callable[[PatternEvent], object]


class Listeners:
    """The listeners of one pattern. A listener that raises is logged and never reaches the caller.

    >>> heard = []
    >>> listeners = Listeners("pool", "db", heard.append)
    >>> listeners.tell("grant", 12.5, waited_s=0.25)
    >>> heard[0].what, heard[0].detail["waited_s"]
    ('grant', 0.25)
    """

    __slots__ = ("_listeners", "kind", "name")

    def __init__(self, kind: str, name: str | None, first: Listener | None = None) -> None:
        self.kind = kind
        self.name = name
        self._listeners: tuple[Listener, ...] = () if first is None else (first,)

    def __bool__(self) -> bool:
        """Whether anybody listens: ask this before building a costly detail."""
        return bool(self._listeners)

    def add(self, listener: Listener) -> Callable[[], None]:
        """Let one more listen; returns the function that ends it."""
        self._listeners = (*self._listeners, listener)

        def end() -> None:
            self._listeners = tuple(one for one in self._listeners if one is not listener)

        return end

    def tell(self, what: str, at: float, /, **detail: object) -> None:
        """Tell everybody, in the order in which they came."""
        if not self._listeners:
            return
        event = PatternEvent(self.kind, self.name, what, at, detail)
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                log.exception("a listener of %s %r failed on %r", self.kind, self.name, what)


def loop_time() -> float:
    """Return the time of the running loop, or NaN where none runs."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return math.nan


def described(kind: str, stats: DataclassInstance) -> dict[str, Any]:
    """Return a pattern's stats as a plain dict that says which pattern it is."""
    return {"kind": kind, **dataclasses.asdict(stats)}
