"""One pattern for each key: a rate limit per user, a breaker per host."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from maypole.patterns.arguments import function
from maypole.patterns.errors import Rejected
from maypole.patterns.events import Listeners, described
from maypole.patterns.turn import now

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from maypole.patterns.events import Listener

K = TypeVar("K", bound="Hashable")
T = TypeVar("T")

# How many of the least recently used are looked at for one that can be forgotten without loss.
_LOOKED_AT = 32


@dataclass(frozen=True, slots=True)
class KeyedStats:
    """What a `Keyed` holds and has held.

    Attributes:
        name: the name of the collection.
        keys: how many keys it holds now.
        made: how many it ever made.
        expired: how many it forgot because nobody had used them for a while.
        evicted: how many it forgot to make room.
        rejected: how many new keys it refused, because every old one was in use.
    """

    name: str | None
    keys: int
    made: int
    expired: int
    evicted: int
    rejected: int


@dataclass(slots=True)
class _Entry(Generic[T]):
    value: T
    used_at: float


class Keyed(Generic[K, T]):
    """Makes one pattern for each key when it is first asked for, and forgets those that nobody uses.

    Args:
        make: called with a key, returns its pattern.
        max_keys: how many keys are held at most. One more takes the place of the least recently used of those
            that would lose nothing (a full rate limit, a closed breaker without calls), else of the least
            recently used that nobody waits for or holds; what that one remembered is lost.
        idle: seconds without use after which a key is forgotten.
        name: for messages, stats and events.
        on_event: called with each `PatternEvent`: ``evict``, ``expire``, ``reject``.

    Each key has a line of its own: who waits for one never delays another. To be used in one thread.

    Raises:
        ValueError: max_keys or idle is not above 0.

    >>> from maypole.patterns import RateLimit
    >>> users = Keyed(lambda user: RateLimit(10, burst=2), max_keys=1000)
    >>> users["ann"].try_acquire(2), users["ann"].try_acquire(), users["bob"].try_acquire()
    (True, False, True)
    """

    __slots__ = (
        "_entries",
        "_evicted",
        "_expired",
        "_idle",
        "_made",
        "_make",
        "_rejected",
        "events",
        "max_keys",
    )

    def __init__(
        self,
        make: Callable[[K], T],
        *,
        max_keys: int = 10_000,
        idle: float = 600.0,
        name: str | None = None,
        on_event: Listener | None = None,
    ) -> None:
        if max_keys < 1:
            raise ValueError(f"max_keys must be 1 or more, got {max_keys}")
        if not idle > 0:
            raise ValueError(f"idle must be above 0 seconds, got {idle!r}")
        self._make = function("make", make)
        self.max_keys = max_keys
        self._idle = idle
        self.events = Listeners("keyed", name, on_event)
        self._entries: OrderedDict[K, _Entry[T]] = OrderedDict()
        self._made = 0
        self._expired = 0
        self._evicted = 0
        self._rejected = 0

    def __getitem__(self, key: K) -> T:
        """Return the pattern of a key; make it if need be.

        Raises:
            Rejected: there are ``max_keys`` already, and all are in use.
        """
        at = now()
        entry = self._entries.get(key)
        if entry is None:
            self._expire(at)
            if len(self._entries) >= self.max_keys:
                self._make_room(key, at)
            entry = self._entries[key] = _Entry(self._make(key), at)
            self._made += 1
        else:
            entry.used_at = at
            self._entries.move_to_end(key)
        return entry.value

    def __contains__(self, key: object) -> bool:
        """Whether a key is held; asking is no use of it."""
        return key in self._entries

    def __len__(self) -> int:
        """How many keys are held."""
        return len(self._entries)

    def discard(self, key: K) -> None:
        """Forget a key, if it is held."""
        self._entries.pop(key, None)

    def stats(self) -> KeyedStats:
        """Return how many keys are held, were made and forgotten."""
        return KeyedStats(
            self.events.name, len(self._entries), self._made, self._expired, self._evicted, self._rejected
        )

    def describe(self) -> dict[str, Any]:
        """Return the stats as a dict."""
        return described("keyed", self.stats())

    def __repr__(self) -> str:
        return f"<Keyed {self.events.name or ''} {len(self)} of {self.max_keys} keys>".replace("  ", " ")

    def _expire(self, at: float) -> None:
        """Forget who has been idle too long, two at most: so each new key makes room for itself in time."""
        for _ in range(2):
            key = next(iter(self._entries), None)
            if key is None:
                return
            entry = self._entries[key]
            # The clock of another run may have begun anew: from its time on the key has not been used.
            entry.used_at = min(entry.used_at, at)
            if at - entry.used_at < self._idle:
                return
            if _busy(entry.value):
                entry.used_at = at
                self._entries.move_to_end(key)
                continue
            del self._entries[key]
            self._expired += 1
            self.events.tell("expire", at, key=key)

    def _make_room(self, key: K, at: float) -> None:
        oldest = [held for held, _ in zip(self._entries, range(_LOOKED_AT), strict=False)]
        for forgets in (_resting, _free):
            for held in oldest:
                if forgets(self._entries[held].value):
                    del self._entries[held]
                    self._evicted += 1
                    self.events.tell("evict", at, key=held)
                    return
        self._rejected += 1
        self.events.tell("reject", at, key=key)
        called = f"keyed {self.events.name!r}" if self.events.name else "keyed"
        raise Rejected(f"{called}: all of {len(self)} keys are in use", name=self.events.name)


def _busy(value: object) -> bool:
    """Whether somebody waits for it or holds it; what does not say so is not."""
    return bool(getattr(value, "busy", False))


def _free(value: object) -> bool:
    return not _busy(value)


def _resting(value: object) -> bool:
    """Whether it could be made anew without anybody noticing."""
    return bool(getattr(value, "resting", False))
