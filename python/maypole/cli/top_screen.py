"""The text of ``maypole top``: two looks at a program and what happened between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from maypole.metrics.snapshot import Snapshot, snapshot_from
from maypole.stacks import in_order_of_numbers, shortest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from maypole.metrics.histogram import Histogram
    from maypole.metrics.snapshot import FunctionUse

SORTS = ("busy", "steps", "queue wait", "name")
"""The columns that the table of functions can be sorted by."""

FUNCTIONS_MAX = 20
HELD_NS = 100_000_000
"""From when on a turn that has not ended is shown as one that holds the loop."""


@dataclass(slots=True)
class _Look:
    """One loop at one moment, and what happened since the look before."""

    answer: dict[str, Any]
    tree: dict[str, Any]
    total: Snapshot
    since: Snapshot


class Screen:
    """What is shown of a program; `take` brings it up to date."""

    def __init__(self, hello: dict[str, Any]) -> None:
        self._hello = hello
        self._looks: list[_Look] = []
        self._before: dict[int, Snapshot] = {}
        self.sort = SORTS[0]
        self.paused = False

    def take(self, metrics: dict[str, Any], tree: dict[str, Any]) -> None:
        """Take in what the agent has answered."""
        looks = []
        trees = {loop["number"]: loop for loop in tree["loops"]}
        for loop in metrics["loops"]:
            total = snapshot_from(loop["metrics"])
            before = self._before.get(total.loop_id)
            since = total.since(before) if before is not None else total
            looks.append(_Look(loop, trees.get(loop["number"], {}), total, since))
        self._looks = looks
        self._before = {look.total.loop_id: look.total for look in looks}

    def next_sort(self) -> None:
        """Sort by the next column."""
        self.sort = SORTS[(SORTS.index(self.sort) + 1) % len(SORTS)]

    def lines(self, columns: int) -> Iterator[str]:
        """Yield the screen, each line at most so many columns wide."""
        return (line[:columns] for line in self._all_lines())

    def _all_lines(self) -> Iterator[str]:
        hello = self._hello
        paused = "  PAUSED" if self.paused else ""
        versions = f"Python {hello['python']}, maypole {hello['maypole']}"
        yield f"maypole top{paused}  pid {hello['pid']}, {versions}: {' '.join(hello['argv'])}"
        if not self._looks:
            yield "no loop runs"
        for look in self._looks:
            yield ""
            yield from self._loop_lines(look)

    def _loop_lines(self, look: _Look) -> Iterator[str]:
        answer, since = look.answer, look.since
        per_s = 1 / since.wall_s if since.wall_s > 0 else 0.0
        yield (
            f"{answer['loop']} in {answer['thread'] or 'no thread'}: {since.utilisation:.1%} busy, "
            f"{since.turns * per_s:,.0f} turns/s, {since.steps * per_s:,.0f} steps/s, "
            f"{since.callbacks * per_s:,.0f} callbacks/s"
        )
        tasks = since.tasks
        yield (
            f"tasks {since.tasks_alive:,} alive, {tasks.created * per_s:,.0f}/s made, "
            f"{tasks.raised:,} failed, {tasks.cancelled:,} cancelled; "
            f"{since.ready:,} ready, {since.timers:,} timers, {since.watched:,} descriptors, "
            f"{look.total.connections:,} connections, {since.transports.bytes_read * per_s:,.0f} B/s in, "
            f"{since.transports.bytes_written * per_s:,.0f} B/s out"
        )
        yield "; ".join(
            (
                _quantiles("turn", since.turn_duration),
                _quantiles("queue wait", since.queue_wait),
                _quantiles("timer lateness", since.timer_lateness),
            )
        )
        yield from _stall_lines(answer, look.tree)
        yield from self._function_lines(since)
        yield from _task_lines(look.tree)

    def _function_lines(self, since: Snapshot) -> Iterator[str]:
        keys: dict[str, Callable[[FunctionUse], Any]] = {
            "busy": lambda one: -one.busy_s,
            "steps": lambda one: -one.sampled,
            "queue wait": lambda one: -one.mean_queue_wait_s,
            "name": lambda one: one.function,
        }
        yield ""
        yield f"{'BUSY':>6} {'STEPS/S':>9} {'PER STEP':>9} {'QUEUE WAIT':>10}  FUNCTION (by {self.sort})"
        for one in sorted(since.functions, key=keys[self.sort])[:FUNCTIONS_MAX]:
            busy = one.busy_s * since.sampling / since.wall_s if since.wall_s > 0 else 0.0
            steps = one.sampled * since.sampling / since.wall_s if since.wall_s > 0 else 0.0
            yield (
                f"{min(busy, 1.0):>6.1%} {steps:>9,.0f} {_time(one.mean_busy_s):>9} "
                f"{_time(one.mean_queue_wait_s):>10}  {one.function} {shortest(one.file)}:{one.line}"
            )
        if not since.functions:
            yield f"  none was sampled: one step in {since.sampling} is looked at"


def _stall_lines(answer: dict[str, Any], tree: dict[str, Any]) -> Iterator[str]:
    if answer["held_ns"] >= HELD_NS:
        who = f"task {answer['task']!r}" if answer["task"] is not None else "callbacks"
        yield f"HELD for {_time(answer['held_ns'] / 1e9)} by {who}"
    worst = answer["worst_stalls"]
    yield f"stalls {answer['stalls']:,}" + (f"; the worst: {worst[0]}" if worst else "")
    for circle in tree.get("tree", {}).get("deadlocks", ()):
        yield circle["text"]
    for text in tree.get("lost", ())[-3:]:
        yield f"lost: {text}"


def _task_lines(tree: dict[str, Any]) -> Iterator[str]:
    tasks = tree.get("tree", {}).get("tasks", ())
    yield ""
    yield f"{'AGE':>9} {'STATE':<8} {'WAITS IN':<10} TASK"
    names = {task["id"]: task["name"] for task in tasks}
    for task in sorted(tasks, key=lambda one: (one["state"] == "waiting", in_order_of_numbers(one["name"]))):
        age = "?" if task["age_s"] is None else _time(task["age_s"])
        where = f" at {_innermost(task['stack'])}" if task["stack"] else ""
        waits_for = " and ".join(names[number] for number in task["waits_for"])
        text = f"{task['name']} {task['coroutine']}{where}" + (f" for {waits_for}" if waits_for else "")
        yield f"{age:>9} {task['state']:<8} {task['kind']:<10} {text}"


def _innermost(stack: list[dict[str, Any]]) -> str:
    """Name the innermost line of the program's own, else of a library, else of asyncio."""
    own = [place for place in stack if place["own"]]
    theirs = [place for place in stack if not shortest(place["file"]).startswith("asyncio/")]
    place = (own or theirs or stack)[-1]
    return f"{shortest(place['file'])}:{place['line']}"


def _quantiles(name: str, histogram: Histogram) -> str:
    """Say what can be said: a quantile needs enough values."""
    known = histogram.quantiles((0.5, 0.99))
    told = [f"p{q * 100:g} {_time(value)}" for q, value in known.items()]
    return f"{name} " + (" ".join(told) if told else f"- ({histogram.count} values)")


def _time(seconds: float) -> str:
    """Write a time with the unit that fits.

    >>> _time(0.0000021), _time(0.0123), _time(61), _time(0.0)
    ('2.1 us', '12.3 ms', '61.0 s', '0 us')
    """
    if seconds <= 0:
        return "0 us"
    for unit, factor in (("us", 1e-6), ("ms", 1e-3)):
        if seconds < factor * 1_000:
            return f"{seconds / factor:.1f} {unit}"
    return f"{seconds:.1f} s"
