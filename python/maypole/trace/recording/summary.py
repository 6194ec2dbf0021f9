"""A recording in a few lines of text: what was slow, what is stuck, what is lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from maypole import _maypole
from maypole.stacks import shortest
from maypole.trace.recording.documents import ended

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS_MAX = 5
"""How many rows of each kind are told."""

LONG_RUN_NS = 50_000_000
"""A run without an await from this length on is told."""

MANY_TASKS = 500
"""So many tasks of one function that were alive at once are told."""

CONTENDED = {"lock": "a lock", "semaphore": "a semaphore", "executor": "threads"}
"""The kinds of waits in which somebody else is slow, as they are told."""

LONG_WAIT_SHARE = 0.5
"""A function is told whose tasks waited so for this share of their waits: long enough, or often."""

MANY_HOPS = 100
"""So many steps of a function that waits for threads are told, however short its waits."""

BUSY_SHARE = 0.05
"""A function is told that has kept the loop busy for this share of the time."""


def summary(document: bytes) -> list[str]:
    """Say what a recording shows.

    Args:
        document: as docs/reference/trace-format.md describes it.

    Returns:
        The lines, the worst first of each kind.

    Raises:
        ValueError: for a document that cannot be read.
    """
    said = json.loads(_maypole.trace_diagnoses(document))
    return [
        *_loop(said),
        *_long_runs(said),
        *_long_turns(said),
        *_slow_consumers(said),
        *(_still(said) if ended(document) == "running" else _pending(said)),
        *_contended(said),
        *_crowds(said),
        *_busy(said),
        *_dropped(said),
    ]


def _loop(said: dict[str, Any]) -> Iterator[str]:
    loop = said["loop"]
    took_ns = loop["to_ns"] - loop["from_ns"]
    waits = [
        f"{name} {_time(loop[key])}"
        for name, key in (("p50", "ready_p50_ns"), ("p99", "ready_p99_ns"), ("longest", "ready_max_ns"))
        if loop[key] is not None
    ]
    yield (
        f"{_time(took_ns)}, {loop['utilisation']:.0%} busy: {loop['steps']:,} steps of "
        f"{said['tasks_in_all']:,} tasks, {loop['callbacks']:,} callbacks, {loop['turns']:,} turns"
    )
    yield f"ready tasks waited for their turn: {', '.join(waits)}; garbage collector {_time(loop['gc_ns'])}"


def _long_runs(said: dict[str, Any]) -> Iterator[str]:
    rows = [row for row in said["long_runs"] if row["duration_ns"] >= LONG_RUN_NS]
    for row in rows[:ROWS_MAX]:
        who = f"task {row['task']['name']!r}" if row["task"] is not None else "a callback"
        place = row["line"] or row["function"]
        where = f" at {_place(place)}" if place else f" {row['name']}"
        yield f"held: {_time(row['duration_ns'])} without an await by {who}{where}{_made_by(row)}"
    yield from _more(rows, "runs")


def _long_turns(said: dict[str, Any]) -> Iterator[str]:
    """Tell of turns that were long though no run in them was."""
    rows = [
        row for row in said["long_turns"] if row["duration_ns"] >= LONG_RUN_NS and _has_many_short_runs(row)
    ]
    for row in rows[:ROWS_MAX]:
        most = row["contributors"][0]
        where = f" at {_place(most['place'])}" if most["place"] else ""
        yield (
            f"long turn: {_time(row['duration_ns'])} for {row['ready']:,} ready items, most of it "
            f"{most['runs']:,} runs of {most['name']}{where}"
        )
    yield from _more(rows, "turns")


def _has_many_short_runs(turn: dict[str, Any]) -> bool:
    if not turn["contributors"]:
        return False
    most = turn["contributors"][0]
    return bool(most["busy_ns"] < most["runs"] * LONG_RUN_NS and most["runs"] > 1)


def _slow_consumers(said: dict[str, Any]) -> Iterator[str]:
    for row in said["slow_consumers"][:ROWS_MAX]:
        consumers = [_place(one["function"]) for one in row["consumers"] if one["function"]]
        yield (
            f"slow consumer: {row['producers']:,} producers waited {_time(row['waited_ns'])} "
            f"({row['share']:.0%} of their time) at {_place(row['at'])}"
            f" for {' and '.join(consumers[:2]) or 'nobody'}"
        )


def _pending(said: dict[str, Any]) -> Iterator[str]:
    for row in said["pending"][:ROWS_MAX]:
        text = f"never done: task {row['name']!r}, {_time(row['age_ns'])} old{_waits(row)}"
        text += f", made at {_place(row['created_at'])}" if row["created_at"] else ""
        yield text
    yield from _more(said["pending"], "tasks")


def _still(said: dict[str, Any]) -> Iterator[str]:
    """Tell of tasks that waited all the time, in a recording of a part: others go on with the program."""
    rows = [row for row in said["pending"] if row["steps"] == 0]
    for row in rows[:ROWS_MAX]:
        yield f"did not run meanwhile: task {row['name']!r}{_waits(row)}"
    yield from _more(rows, "tasks")


def _waits(row: dict[str, Any]) -> str:
    wait = row["waiting"]
    if wait is None or wait["kind"] == "unknown":
        return ""
    text = f", waits for {wait['kind']}"
    text += f" of task {wait['on_task']['name']!r}" if wait["on_task"] else ""
    return text + (f" at {_place(wait['at'])}" if wait["at"] else "")


def _made_by(row: dict[str, Any]) -> str:
    names = [repr(one["name"]) for one in row["ancestry"] if one["name"]]
    return f", made by task {', made by task '.join(names)}" if names else ""


def _contended(said: dict[str, Any]) -> Iterator[str]:
    """Tell of functions whose tasks waited long for what others hold or do."""
    took_ns = max(said["loop"]["to_ns"] - said["loop"]["from_ns"], 1)
    rows = [
        (ns, kind, row)
        for row in said["functions"]
        for kind, ns in row["waits"].items()
        if kind in CONTENDED
        and row["function"]
        and ns >= LONG_WAIT_SHARE * row["waited_ns"]
        and (ns >= BUSY_SHARE * took_ns or (kind == "executor" and row["steps"] >= MANY_HOPS))
    ]
    for ns, kind, row in sorted(rows, key=lambda one: -one[0])[:ROWS_MAX]:
        yield (
            f"waited for {CONTENDED[kind]}: {_time(ns)} in {row['steps']:,} steps of {row['tasks']:,} tasks"
            f" of {_place(row['function'])}"
        )


def _crowds(said: dict[str, Any]) -> Iterator[str]:
    for law in said["laws"]:
        if law["function"] is not None and law["present"] >= MANY_TASKS:
            yield f"crowd: {law['present']:,.0f} tasks at once on average of {_place(law['function'])}"


def _busy(said: dict[str, Any]) -> Iterator[str]:
    took_ns = max(said["loop"]["to_ns"] - said["loop"]["from_ns"], 1)
    rows = [row for row in said["functions"] if row["busy_ns"] >= BUSY_SHARE * took_ns and row["function"]]
    for row in rows[:ROWS_MAX]:
        yield (
            f"busy: {_time(row['busy_ns'])} ({row['busy_ns'] / took_ns:.0%}) in {row['steps']:,} steps of "
            f"{row['tasks']:,} tasks of {_place(row['function'])}"
        )


def _dropped(said: dict[str, Any]) -> Iterator[str]:
    dropped = said["loop"]["dropped_events"]
    if dropped:
        yield f"dropped: the {dropped:,} oldest events had no room; --capacity keeps more"


def _more(rows: list[Any], what: str) -> Iterator[str]:
    if len(rows) > ROWS_MAX:
        yield f"  and {len(rows) - ROWS_MAX:,} more such {what}"


def _place(place: dict[str, Any] | None) -> str:
    if place is None:
        return "an unknown line"
    return f"{shortest(place['file'])}:{place['line']} in {place['function']}"


def _time(ns: float) -> str:
    """Write a time with the unit that fits.

    >>> _time(2_100), _time(12_345_678), _time(61_000_000_000), _time(0)
    ('2.1 us', '12.3 ms', '61.0 s', '0.0 us')
    """
    for unit, factor in (("us", 1e3), ("ms", 1e6)):
        if ns < factor * 1_000:
            return f"{ns / factor:.1f} {unit}"
    return f"{ns / 1e9:.1f} s"
