"""`metrics`: what a loop has counted and measured, at one moment or over an interval."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

from maypole import _maypole
from maypole.metrics.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

NS_PER_S = 10**9


class _Counters:
    """Numbers that only grow; a frozen dataclass of whole numbers or seconds derives from it."""

    __slots__ = ()

    def since(self, earlier: Self) -> Self:
        """Return what was counted after `earlier`.

        Raises:
            ValueError: if `earlier` is later, or of another loop.
        """
        names = [one.name for one in fields(self)]  # type: ignore[arg-type]  # it is one
        more = {name: getattr(self, name) - getattr(earlier, name) for name in names}
        if any(value < 0 for value in more.values()):
            raise ValueError(f"the earlier {type(self).__name__} has counted more")
        return replace(self, **more)  # type: ignore[type-var]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCounts(_Counters):
    """The tasks of a loop: how many were made, and how they ended."""

    created: int
    returned: int
    raised: int
    cancelled: int
    destroyed: int

    @property
    def done(self) -> int:
        """How many have ended; `destroyed` are others, which nobody held while they were pending."""
        return self.returned + self.raised + self.cancelled


@dataclass(frozen=True, slots=True, kw_only=True)
class TransportCounts(_Counters):
    """The connections that native transports carried, and their bytes."""

    opened: int
    closed: int
    bytes_read: int
    bytes_written: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionUse:
    """The sampled steps of all tasks of one coroutine function; `file` and `line` are where it is defined.

    One step in `Snapshot.sampling` is looked at. `busy_s` and `queue_wait_s` are the sums over those looked
    at: how long they ran, and how long they stood ready before.
    """

    file: str
    line: int
    function: str
    sampled: int
    busy_s: float
    queue_wait_s: float

    @property
    def mean_busy_s(self) -> float:
        """How long a step runs, on average; 0.0 without samples."""
        return self.busy_s / self.sampled if self.sampled else 0.0

    @property
    def mean_queue_wait_s(self) -> float:
        """How long a step stands ready before it runs, on average; 0.0 without samples."""
        return self.queue_wait_s / self.sampled if self.sampled else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What one loop has counted and measured since it was made, or, after `since`, in an interval.

    Times are in seconds. `ready`, `timers`, `watched` and `tasks_alive` are what there was when it was taken;
    all else adds up. docs/reference/metrics.md says how each is measured.
    """

    wall_s: float
    busy_s: float
    polling_s: float
    turns: int
    polls: int
    items: int
    steps: int
    ready: int
    timers: int
    watched: int
    tasks_alive: int
    tasks: TaskCounts
    transports: TransportCounts
    turn_duration: Histogram
    ready_depth: Histogram
    queue_wait: Histogram
    timer_lateness: Histogram
    poll_time: Histogram
    functions: tuple[FunctionUse, ...]
    sampling: int
    loop_id: int = field(repr=False)
    taken_ns: int = field(repr=False)

    @property
    def utilisation(self) -> float:
        """The share of the time in which the loop worked, from 0.0 to 1.0."""
        return min(1.0, self.busy_s / self.wall_s) if self.wall_s > 0 else 0.0

    @property
    def callbacks(self) -> int:
        """How many callbacks ran: all items that are not steps of native tasks."""
        return self.items - self.steps

    @property
    def connections(self) -> int:
        """How many connections of native transports are open; over an interval, how many more."""
        return self.transports.opened - self.transports.closed

    def since(self, earlier: Snapshot) -> Snapshot:
        """Return the difference: what happened between an earlier snapshot of this loop and this one.

        Args:
            earlier: a snapshot that was taken before, of the same loop.

        Returns:
            A snapshot of the interval. What does not add up (`ready`, `timers`, `watched`, `tasks_alive`) is
            as in this one.

        Raises:
            ValueError: if `earlier` is of another loop, or was taken later.

        Example:
            >>> import asyncio, maypole
            >>> async def main():
            ...     before = maypole.metrics()
            ...     for _ in range(10):
            ...         await asyncio.sleep(0)
            ...     return maypole.metrics().since(before)
            >>> maypole.run(main()).steps
            10
        """
        if earlier.loop_id != self.loop_id:
            raise ValueError("the snapshots are of two loops: there is no interval between them")
        if earlier.taken_ns > self.taken_ns:
            raise ValueError("the snapshot given as the earlier one was taken later")
        more: dict[str, Any] = {}
        for one in fields(self):
            here, there = getattr(self, one.name), getattr(earlier, one.name)
            if isinstance(here, (Histogram, _Counters)):
                more[one.name] = here.since(there)
            elif one.name in _ADDING_UP:
                more[one.name] = here - there
        return replace(self, functions=_functions_since(self.functions, earlier.functions), **more)


_ADDING_UP = frozenset(("wall_s", "busy_s", "polling_s", "turns", "polls", "items", "steps"))


def _functions_since(
    later: tuple[FunctionUse, ...], earlier: tuple[FunctionUse, ...]
) -> tuple[FunctionUse, ...]:
    before = {(one.file, one.line, one.function): one for one in earlier}
    found = []
    for one in later:
        then = before.get((one.file, one.line, one.function))
        if then is not None:
            one = replace(
                one,
                sampled=one.sampled - then.sampled,
                busy_s=one.busy_s - then.busy_s,
                queue_wait_s=one.queue_wait_s - then.queue_wait_s,
            )
        if one.sampled:
            found.append(one)
    return tuple(sorted(found, key=_busiest))


def _busiest(one: FunctionUse) -> tuple[float, str, int]:
    return -one.busy_s, one.file, one.line


def metrics(loop: asyncio.AbstractEventLoop | None = None) -> Snapshot:
    """Return what a loop has counted and measured since it was made.

    Counting is always on. The call reads the counters and changes nothing; any thread may make it, also while
    the loop is stuck in Python code.

    Args:
        loop: a loop of maypole; None is the one that runs in this thread.

    Returns:
        A frozen snapshot; `Snapshot.since` gives what happened between two.

    Raises:
        TypeError: for another kind of loop, given or running.
        RuntimeError: if the loop is closed, or none was given and none runs in this thread.

    Example:
        >>> import asyncio, maypole
        >>> async def main():
        ...     await asyncio.sleep(0.01)
        ...     return maypole.metrics()
        >>> found = maypole.run(main())
        >>> found.tasks.created, found.tasks_alive, found.utilisation < 1
        (1, 1, True)
    """
    return snapshot_from(checked_loop(loop)._metrics())


def checked_loop(loop: asyncio.AbstractEventLoop | None) -> _maypole.Loop:
    """Return an open loop of maypole: this one, or the one that runs in this thread.

    Raises:
        TypeError: for another kind of loop.
        RuntimeError: if it is closed, or none was given and none runs in this thread.
    """
    if loop is None:
        loop = asyncio._get_running_loop()
        if loop is None:
            raise RuntimeError("no loop runs in this thread: name one, as in maypole.metrics(loop)")
    if not isinstance(loop, _maypole.Loop):
        raise TypeError(f"only a loop of maypole has metrics, not {type(loop).__name__}")
    if loop.is_closed():
        raise RuntimeError("Event loop is closed: take its metrics before that")
    return loop


def snapshot_from(found: Mapping[str, Any]) -> Snapshot:
    """Make a snapshot of what a loop's `_metrics` returned, in this process or another one."""
    tasks, transports = found["tasks"], found["transports"]

    def histogram(name: str, per_unit: int = NS_PER_S) -> Histogram:
        buckets = tuple((bound, count) for bound, count in found["histograms"][name])
        return Histogram(buckets, per_unit, found["sums"][name])

    functions = (
        FunctionUse(
            file=file,
            line=line,
            function=name,
            sampled=sampled,
            busy_s=busy_ns / NS_PER_S,
            queue_wait_s=queue_wait_ns / NS_PER_S,
        )
        for file, line, name, sampled, busy_ns, queue_wait_ns in found["functions"]
    )
    return Snapshot(
        wall_s=found["wall_ns"] / NS_PER_S,
        busy_s=found["busy_ns"] / NS_PER_S,
        polling_s=found["polling_ns"] / NS_PER_S,
        **{name: found[name] for name in _AS_THEY_ARE},
        tasks_alive=tasks["alive"],
        tasks=TaskCounts(**{name: tasks[name] for name in TaskCounts.__slots__}),
        transports=TransportCounts(**{name: transports[name] for name in TransportCounts.__slots__}),
        turn_duration=histogram("turn_ns"),
        ready_depth=histogram("ready_depth", 1),
        queue_wait=histogram("queue_wait_ns"),
        timer_lateness=histogram("timer_lateness_ns"),
        poll_time=histogram("poll_ns"),
        functions=tuple(sorted(functions, key=_busiest)),
        loop_id=found["since_ns"],
        taken_ns=found["since_ns"] + found["wall_ns"],
    )


_AS_THEY_ARE = ("turns", "polls", "items", "steps", "ready", "timers", "watched", "sampling")
