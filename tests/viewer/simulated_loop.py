"""A small event loop on paper: it runs scripts of tasks and writes down what a recorder would have seen.

A script is a generator of deeds. Time moves only by what the scripts say: the same seed gives the same trace.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any

Deed = tuple[Any, ...]
Script = Generator[Deed, Any, None]

COLUMNS = {
    "sites": "file line function",
    "tasks": "id name function parent created_at created_ns ended_ns outcome error",
    "steps": "task ready_ns begin_ns end_ns waker waker_task",
    "waits": "task begin_ns kind site on_task operation",
    "callbacks": "ready_ns begin_ns end_ns name waker waker_task",
    "turns": "begin_ns end_ns ready",
    "polls": "begin_ns end_ns events blocking",
    "timers": "at_ns due_ns fired task",
    "io": "at_ns fd readable writable",
    "executor": "task submitted_ns begin_ns end_ns name",
    "gc": "begin_ns end_ns generation",
    "cancels": "at_ns task by_task",
    "stalls": "begin_ns end_ns task kind stack",
    "marks": "at_ns task text source",
}


@dataclass
class Gate:
    """A lock, or a queue with a number of places: who waits for it stands in line."""

    kind: str
    free: int = 1
    held: int = 0
    putters: deque[int] = field(default_factory=deque)
    getters: deque[int] = field(default_factory=deque)


class Recording:
    """The groups of a trace, as they grow."""

    def __init__(self) -> None:
        self.groups: dict[str, dict[str, list[Any]]] = {
            group: {name: [] for name in names.split()} for group, names in COLUMNS.items()
        }
        self.strings: list[str] = []
        self._string_at: dict[str, int] = {}
        self._site_at: dict[tuple[str, int, str], int] = {}

    def text(self, text: str) -> int:
        """The index of a text, which is kept once."""
        if text not in self._string_at:
            self._string_at[text] = len(self.strings)
            self.strings.append(text)
        return self._string_at[text]

    def site(self, file: str, line: int, function: str) -> int:
        """The index of a place in the code."""
        key = (file, line, function)
        if key not in self._site_at:
            self._site_at[key] = len(self._site_at)
            self.row("sites", self.text(file), line, self.text(function))
        return self._site_at[key]

    def row(self, group: str, *values: Any) -> int:
        """Add a row and return its index."""
        columns = self.groups[group]
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
        return len(next(iter(columns.values()))) - 1

    def document(self, duration_ns: int, **more: Any) -> dict[str, Any]:
        """The whole trace."""
        return {
            "format": "maypole-trace",
            "version": 1,
            "program": {
                "argv": ["service.py"],
                "python": "3.13.0",
                "maypole": "0.1.0",
                "platform": "Linux-6.1-x86_64",
                "pid": 4711,
                "started_unix_ns": 1_700_000_000_000_000_000,
                "clock": "monotonic",
                "ended": "returned",
            },
            "duration_ns": duration_ns,
            "complete": True,
            "dropped_events": 0,
            "strings": self.strings,
            **self.groups,
            **more,
        }


class SimulatedLoop:
    """Runs scripts, one step after the other, and records them."""

    def __init__(self, file: str = "/srv/app/service.py") -> None:
        self.file = file
        self.recording = Recording()
        self.now = 20_000
        self.ready: deque[tuple[int, int, str, int, Any]] = deque()
        self.timers: list[tuple[int, int, int, str]] = []
        self.scripts: dict[int, Script] = {}
        self.waiters: dict[int, list[int]] = {}
        self.left: dict[int, int] = {}
        self.current = 0
        self._order = 0

    def spawn(self, script: Script, name: str, function: str, line: int) -> int:
        """Make a task; its first step comes in the next turn."""
        task = len(self.scripts) + 1
        self.scripts[task] = script
        of = self.recording
        made_at = of.site(self.file, line + 3, "main") if self.current else -1
        place = of.site(self.file, line, function)
        of.row("tasks", task, of.text(name), place, self.current, made_at, self.now, -1, "pending", -1)
        self.ready.append((self.now, task, "start", 0, None))
        return task

    def run(self, until_ns: int = 10**15) -> None:
        """Turn until nothing is left to do, or until a moment."""
        while self.now < until_ns:
            if not self._poll():
                return
            self._turn()

    def _poll(self) -> bool:
        begin = self.now
        blocking = not self.ready
        if blocking:
            if not self.timers:
                return False
            self.now = max(self.timers[0][0], begin + 2_000)
        else:
            self.now += 1_500
        events = 0
        while self.timers and self.timers[0][0] <= self.now:
            due, _, task, waker = heapq.heappop(self.timers)
            events += waker == "io"
            if waker == "timer":
                self.recording.row("timers", self.now, due, 1, task)
            self.ready.append((self.now, task, waker, 0, None))
        self.recording.row("polls", begin, self.now, events, int(blocking))
        return True

    def _turn(self) -> None:
        begin, batch = self.now, len(self.ready)
        for _ in range(batch):
            self._step(*self.ready.popleft())
        self.recording.row("turns", begin, self.now, batch)

    def _step(self, ready_ns: int, task: int, waker: str, waker_task: int, value: Any) -> None:
        begin = self.now
        self.now += 3_000
        self.current = task
        wait: tuple[str, int, int] | None = None
        ended = ""
        try:
            while wait is None:
                deed = self.scripts[task].send(value)
                value, wait = getattr(self, f"_{deed[0]}")(task, *deed[1:])
        except StopIteration:
            ended = "returned"
        except ZeroDivisionError as error:
            ended = f"raised {error}"
        self.recording.row("steps", task, ready_ns, begin, self.now, waker, waker_task)
        if wait is not None:
            kind, line, on_task = wait
            function = self.recording.groups["tasks"]["function"][task - 1]
            name = self.recording.strings[self.recording.groups["sites"]["function"][function]]
            site = self.recording.site(self.file, line, name)
            operation = -1 if kind != "queue" else self.recording.text("get" if deed[0] == "get" else "put")
            self.recording.row("waits", task, self.now, kind, site, on_task, operation)
        else:
            self._end(task, ended)
        self.current = 0

    def _end(self, task: int, ended: str) -> None:
        tasks = self.recording.groups["tasks"]
        outcome, _, error = ended.partition(" ")
        tasks["ended_ns"][task - 1] = self.now
        tasks["outcome"][task - 1] = outcome
        tasks["error"][task - 1] = self.recording.text(error) if error else -1
        for waiter in self.waiters.pop(task, []):
            self.left[waiter] -= 1
            if not self.left[waiter]:
                self._wake(waiter, "task")

    def _wake(self, task: int, waker: str, value: Any = None) -> None:
        self.ready.append((self.now, task, waker, self.current, value))

    def _later(self, after_ns: int, task: int, waker: str) -> None:
        self._order += 1
        heapq.heappush(self.timers, (self.now + after_ns, self._order, task, waker))

    # The deeds of scripts: each returns what the script gets, and the wait that ends the step, if any.

    def _compute(self, task: int, ns: int) -> tuple[None, None]:
        self.now += ns
        return None, None

    def _stall(self, task: int, ns: int, line: int, function: str) -> tuple[None, None]:
        begin = self.now
        self.now += ns
        stack = [
            self.recording.site(self.file, line, function),
            self.recording.site(self.file, line + 20, "main"),
        ]
        self.recording.row("stalls", begin, self.now, task, "step", stack)
        return None, None

    def _pause(self, task: int, ns: int) -> tuple[None, None]:
        self.recording.row("gc", self.now, self.now + ns, 2)
        self.now += ns
        return None, None

    def _mark(self, task: int, text: str, source: str) -> tuple[None, None]:
        self.recording.row("marks", self.now, task, self.recording.text(text), self.recording.text(source))
        return None, None

    def _spawn(self, task: int, *about: Any) -> tuple[int, None]:
        return self.spawn(*about), None

    def _fail(self, task: int, error: str) -> tuple[None, None]:
        raise ZeroDivisionError(error)

    def _cancel(self, task: int, victim: int) -> tuple[None, None]:
        self.recording.row("cancels", self.now, victim, task)
        self._end(victim, "cancelled")
        self.timers = [timer for timer in self.timers if timer[2] != victim]
        heapq.heapify(self.timers)
        return None, None

    def _sleep(self, task: int, ns: int, line: int) -> tuple[None, tuple[str, int, int]]:
        self._later(ns, task, "timer")
        return None, ("sleep", line, 0)

    def _io(self, task: int, ns: int, line: int) -> tuple[None, tuple[str, int, int]]:
        self._later(ns, task, "io")
        return None, ("io", line, 0)

    def _forever(self, task: int, kind: str, line: int) -> tuple[None, tuple[str, int, int]]:
        return None, (kind, line, 0)

    def _yield(self, task: int, line: int) -> tuple[None, tuple[str, int, int]]:
        self._wake(task, "callback")
        return None, ("turn", line, 0)

    def _wait(self, task: int, others: list[int], line: int) -> tuple[None, tuple[str, int, int]]:
        alive = [
            other for other in others if self.recording.groups["tasks"]["outcome"][other - 1] == "pending"
        ]
        self.left[task] = len(alive)
        for other in alive:
            self.waiters.setdefault(other, []).append(task)
        if not alive:
            self._wake(task, "callback")
        return None, ("task" if len(others) == 1 else "gather", line, others[0] if len(others) == 1 else 0)

    def _thread(self, task: int, ns: int, line: int, name: str) -> tuple[None, tuple[str, int, int]]:
        begin = self.now + 40_000
        self.recording.row("executor", task, self.now, begin, begin + ns, self.recording.text(name))
        self._later(ns + 60_000, task, "thread")
        return None, ("executor", line, 0)

    def _take(self, task: int, gate: Gate, line: int) -> tuple[None, tuple[str, int, int] | None]:
        """Acquire a lock, or put into a queue."""
        if gate.free:
            gate.free -= 1
            gate.held += 1
            if gate.getters:
                gate.held -= 1
                gate.free += 1
                self._wake(gate.getters.popleft(), "task")
            return None, None
        gate.putters.append(task)
        return None, (gate.kind, line, 0)

    def _give(self, task: int, gate: Gate) -> tuple[None, None]:
        """Release a lock."""
        self._make_room(gate)
        return None, None

    def _get(self, task: int, gate: Gate, line: int) -> tuple[None, tuple[str, int, int] | None]:
        """Take from a queue."""
        if gate.held:
            self._make_room(gate)
            return None, None
        gate.getters.append(task)
        return None, (gate.kind, line, 0)

    def _make_room(self, gate: Gate) -> None:
        gate.held -= 1
        gate.free += 1
        if gate.putters:
            gate.held += 1
            gate.free -= 1
            self._wake(gate.putters.popleft(), "task")
