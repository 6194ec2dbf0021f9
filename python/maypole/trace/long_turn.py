"""A turn that lasts: what was seen in it, and what it comes to."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from maypole.trace import sighting
from maypole.trace.instruments import Instrument
from maypole.trace.stall import Contributor, Frame, Stall, guilty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextvars import ContextVar

    from maypole import _maypole
    from maypole.trace.sighting import Sighting

CONTRIBUTORS_MAX = 64
"""So many lines and tasks of one turn are told apart."""

SAME_ITEM_NS = 1_000_000
"""Two looks see the same item if they agree about its begin by this; between them the thread may be put
aside.
"""


class Item:
    """One step or callback that was seen in a long turn. It keeps texts, not the task."""

    def __init__(self, loop: _maypole.Loop, seen: Sighting, variables: Iterable[ContextVar[Any]]) -> None:
        task = seen.task
        self._task_id = id(task)
        self._known_since = seen.item_ns > 0
        self._began_ns = _began_ns(seen)
        self._first_look_ns = seen.seen_ns - seen.late_ns
        self._lines: dict[Frame | None, tuple[int, tuple[Frame, ...]]] = {}
        self.is_step = task is not None
        self.trace_number = loop._trace_number(task)
        self.lasted_ns = 0
        self.task = sighting.name_of(task)
        self.coroutine = sighting.coroutine_of(task)
        self.parents = sighting.parents_of(task)
        self.context = sighting.context_of(task, variables)

    def is_in(self, seen: Sighting) -> bool:
        """Whether a later look has found the same item."""
        if id(seen.task) != self._task_id or (seen.item_ns > 0) != self._known_since:
            return False
        return not self._known_since or abs(_began_ns(seen) - self._began_ns) < SAME_ITEM_NS

    def add(self, seen: Sighting) -> None:
        """Take in a look at this item."""
        # Without a stamp it has run since before the turn was looked at.
        self.lasted_ns = seen.item_ns or seen.seen_ns - self._first_look_ns
        where = guilty(seen.stack)
        count, stack = self._lines.get(where, (0, seen.stack))
        self._lines[where] = (count + 1, stack)

    @property
    def stack(self) -> tuple[Frame, ...]:
        """The stack whose line was seen most often."""
        return max(self._lines.values(), key=lambda counted: counted[0])[1]


def _began_ns(seen: Sighting) -> int:
    return seen.seen_ns - seen.item_ns


class LongTurn(Instrument):
    """What was seen in one turn; as an instrument of the loop it notes when the turn ends."""

    def __init__(self, number: int, ring: Callable[[], None], variables: tuple[ContextVar[Any], ...]) -> None:
        self.number = number
        self.began_ns = 0
        self.ended_ns = 0
        self.told = False
        self._first_look_ns = 0
        self._last_look_ns = 0
        self._ring = ring
        self._variables = variables
        self._item: Item | None = None
        self._longest: Item | None = None
        self._looks = 0
        self._seen: Counter[tuple[Frame, str | None]] = Counter()

    def before_io_wait(self, timeout: float | None, /) -> None:
        """The turn has ended."""
        self.after_run()

    def after_run(self) -> None:
        """The turn has ended, and the run with it."""
        self.ended_ns = self.ended_ns or time.monotonic_ns()
        self._ring()

    def add(self, loop: _maypole.Loop, seen: Sighting) -> None:
        """Take in a look at the loop."""
        began_ns = seen.seen_ns - seen.turn_ns
        # The look is a moment later than the loop's own answer, so the smallest difference is the truest.
        self.began_ns = min(self.began_ns or began_ns, began_ns)
        self._first_look_ns = self._first_look_ns or seen.seen_ns - seen.late_ns
        self._last_look_ns = seen.seen_ns
        self._looks += 1
        if self._item is None or not self._item.is_in(seen):
            self._item = Item(loop, seen, self._variables)
        self._item.add(seen)
        if self._longest is None or self._item.lasted_ns >= self._longest.lasted_ns:
            self._longest = self._item
        where = guilty(seen.stack)
        if where is not None:
            key = (where, self._item.task)
            if key in self._seen or len(self._seen) < CONTRIBUTORS_MAX:
                self._seen[key] += 1

    def _to_blame(self) -> Item | None:
        """The item that took half of the time in which the turn was looked at, if there is one."""
        one, looked_ns = self._longest, self._last_look_ns - self._first_look_ns
        return one if one is not None and one.stack and one.lasted_ns * 2 >= looked_ns else None

    @property
    def trace_number(self) -> int:
        """What a recording calls the task that is to blame; 0 without one."""
        one = self._to_blame()
        return one.trace_number if one is not None else 0

    def stall(self, threshold_s: float) -> Stall:
        """Say what is known so far, or in the end."""
        duration_ns = (self.ended_ns or self._last_look_ns) - self.began_ns
        one = self._to_blame()
        return Stall(
            kind="turn" if one is None else "step" if one.is_step else "callback",
            began_ns=self.began_ns,
            duration_s=duration_ns / 1e9,
            threshold_s=threshold_s,
            task=one.task if one else None,
            coroutine=one.coroutine if one else None,
            parents=one.parents if one else (),
            stack=one.stack if one else (),
            context=one.context if one else {},
            contributors=tuple(
                Contributor(where, task, samples) for (where, task), samples in self._seen.most_common()
            ),
            samples=self._looks,
        )
