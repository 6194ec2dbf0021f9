"""What patterns do, told to whoever listens: to one pattern, or to all of the program with `subscribe`."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from maypole import marks
from maypole.patterns.arguments import function, function_or_none

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


_subscribers: tuple[Listener, ...] = ()
_changing = (
    threading.Lock()
)  # telling takes no lock: it reads a tuple, and who comes or goes puts a new one there


def subscribe(listener: Listener) -> Callable[[], None]:
    """Hear every event of every pattern of this process, also of those that are made later.

    Args:
        listener: called with each `PatternEvent`, where and when it happens: in the thread, and mostly in the
            task, whose call it is about. What a timer decides is told outside of tasks. It must be quick.

    Returns:
        The function that ends it; a second call of it does nothing.

    Without a subscriber and a listener nothing is built and nobody is called. What needs no wait and changes
    no state (a free place, a unit that is there, a closed breaker) is no event; ``stats()`` counts it.

    >>> from maypole.patterns import RateLimit
    >>> heard = []
    >>> end = subscribe(lambda event: heard.append((event.kind, event.name, event.what)))
    >>> RateLimit("10/s", name="mail").pause(1)
    >>> end()
    >>> RateLimit("10/s", name="mail").pause(1)
    >>> heard
    [('rate_limit', 'mail', 'pause')]
    """
    global _subscribers
    function("a listener", listener)
    with _changing:
        _subscribers = (*_subscribers, listener)
    ended = False

    def end() -> None:
        nonlocal ended
        global _subscribers
        with _changing:
            if not ended:
                _subscribers = _without(_subscribers, listener)
                ended = True

    return end


def _without(listeners: tuple[Listener, ...], one: Listener) -> tuple[Listener, ...]:
    """The listeners but the first that is this one; it may be there more than once."""
    for index, listener in enumerate(listeners):
        if listener is one:
            return listeners[:index] + listeners[index + 1 :]
    return listeners


class Listeners:
    """The listeners of one pattern, and those of all. One that raises is logged and never reaches the caller.

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
        function_or_none("on_event", first)
        self._listeners: tuple[Listener, ...] = () if first is None else (first,)

    def __bool__(self) -> bool:
        """Whether anybody listens: ask this before building a costly detail."""
        return bool(self._listeners or _subscribers)

    def add(self, listener: Listener) -> Callable[[], None]:
        """Let one more listen; returns the function that ends it."""
        with _changing:
            self._listeners = (*self._listeners, listener)

        def end() -> None:
            with _changing:
                self._listeners = _without(self._listeners, listener)

        return end

    def tell(self, what: str, at: float, /, **detail: object) -> None:
        """Tell everybody: first who listens to this pattern, then who listens to all."""
        listeners = self._listeners + _subscribers
        if not listeners:
            return
        event = PatternEvent(self.kind, self.name, what, at, detail)
        for listener in listeners:
            try:
                listener(event)
            except Exception:
                log.exception("a listener of %s %r failed on %r", self.kind, self.name, what)


def _begin_to_mark() -> Callable[[], None]:
    """Write events onto the timeline of the recording that has begun; without one, nothing is imported."""
    from maypole.patterns.timeline import mark

    return subscribe(mark)


marks.while_taken(_begin_to_mark)


def loop_time() -> float:
    """Return the time of the running loop, or NaN where none runs."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return math.nan


def described(kind: str, stats: DataclassInstance) -> dict[str, Any]:
    """Return a pattern's stats as a plain dict that says which pattern it is."""
    return {"kind": kind, **dataclasses.asdict(stats)}
