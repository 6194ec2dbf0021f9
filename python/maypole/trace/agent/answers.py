"""What the agent answers, from its own thread: loops, metrics, the tree of tasks, a recording.

Nothing here waits for a loop. Invariant: a loop is held by weak references only.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import platform
import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from maypole._maypole import build_info
from maypole.trace import watchdog
from maypole.trace.agent.server import Answer, Later, RequestRefused
from maypole.trace.recording.documents import program, with_program
from maypole.trace.recording.one_loop import CAPACITY, LoopRecording
from maypole.trace.tasks import births
from maypole.trace.tasks.tree import tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PROTOCOL = 1
"""The version of requests and answers; it grows when one of them changes its meaning."""

TRACE_SECONDS_MAX = 600.0
"""The longest recording that one request may ask for."""

STALL_S = 0.1
"""The threshold of the watchdog on the loops of an agent, unless the program chose another."""


class Answers:
    """The loops of an agent, and what it says of them."""

    def __init__(self) -> None:
        self._loops: list[weakref.ref[Any]] = []

    def add(self, loop: Any) -> None:
        """Begin to look at a loop; in the loop's thread, before it runs."""
        if any(known() is loop for known in self._loops):
            return
        self._loops = [known for known in self._loops if known() is not None]
        self._loops.append(weakref.ref(loop))
        births.begin_noting(loop)
        if loop._clock == "monotonic" and not watchdog.is_decided(loop):
            watchdog.watch(loop, STALL_S, log=False)

    def remove(self, loop: Any) -> None:
        """Look at a loop no longer, and leave it as it was."""
        if any(known() is loop for known in self._loops):
            self._loops = [known for known in self._loops if known() not in (None, loop)]
            births.end_noting(loop)

    def loops(self) -> list[Any]:
        """Return the loops that are open, in the order in which they began."""
        return [loop for known in self._loops if (loop := known()) is not None and not loop.is_closed()]

    def respond(self, request: Mapping[str, Any]) -> Answer | Later:
        """Answer a request.

        Raises:
            RequestRefused: for a request that there is not, or with arguments that make no sense.
        """
        do: dict[str, Callable[[Mapping[str, Any]], Answer | Later]] = {
            "hello": self._hello,
            "metrics": self._metrics,
            "tree": self._tree,
            "trace": self._trace,
        }
        wanted = request.get("do")
        if not isinstance(wanted, str) or wanted not in do:
            raise RequestRefused(f'"do" is one of {", ".join(do)}, not {json.dumps(wanted)}')
        return do[wanted](request)

    def _hello(self, _: Mapping[str, Any]) -> Answer:
        return {
            "ok": True,
            "protocol": PROTOCOL,
            "maypole": build_info()["version"],
            "python": platform.python_version(),
            "pid": os.getpid(),
            "argv": sys.orig_argv,
            "loops": [_described(loop) for loop in self.loops()],
        }

    def _metrics(self, _: Mapping[str, Any]) -> Answer:
        return {
            "ok": True,
            "pid": os.getpid(),
            "at_ns": time.monotonic_ns(),
            "loops": [
                {**_described(loop), "metrics": loop._metrics(), **_stalls(loop)} for loop in self.loops()
            ],
        }

    def _tree(self, _: Mapping[str, Any]) -> Answer:
        loops = []
        for loop in self.loops():
            found = tree(loop)
            lost = [str(task) for task in births.lost_tasks(loop)]
            loops.append({**_described(loop), "tree": found.as_dict(), "text": str(found), "lost": lost})
        return {"ok": True, "pid": os.getpid(), "loops": loops}

    def _trace(self, request: Mapping[str, Any]) -> Later:
        seconds = _number(request, "seconds", 5.0, above=0.0, up_to=TRACE_SECONDS_MAX)
        capacity = int(_number(request, "capacity", CAPACITY, above=0, up_to=100_000_000))
        if not self.loops():
            raise RequestRefused("no loop runs")
        started_unix_ns = time.time_ns()
        recordings: list[LoopRecording] = []
        try:
            for loop in self.loops():
                recordings.append(LoopRecording(loop, capacity))  # noqa: PERF401  # each is ended on failure
        except RuntimeError as error:
            for recording in recordings:
                recording.end()
            raise RequestRefused(str(error)) from None

        def finish() -> Answer:
            documents = [with_program(one.end(), program(started_unix_ns, "running")) for one in recordings]
            # JSON text knows a line feed between its parts only, and the answer is one line.
            lines = (document.replace(b"\n", b" ") for document in documents)
            return b'{"ok": true, "documents": [' + b",".join(lines) + b"]}"

        return Later(time.monotonic() + seconds, finish)


def _described(loop: Any) -> dict[str, Any]:
    thread = next((one.name for one in threading.enumerate() if one.ident == loop._thread_id), None)
    turn, turn_ns, _, _ = loop._running_since()
    return {
        "number": id(loop),
        "loop": type(loop).__qualname__,
        "thread": thread,
        "running": loop.is_running(),
        "turn": turn,
        "held_ns": turn_ns,
        "task": _task_name(loop),
    }


def _task_name(loop: Any) -> str | None:
    """Name the task that runs now; its own class may have another idea of names."""
    try:
        task = asyncio.current_task(loop)
        return None if task is None else str(task.get_name())
    except Exception as error:
        return f"<no name: {type(error).__name__}>"


def _stalls(loop: Any) -> dict[str, Any]:
    dog = watchdog.chosen(loop)
    if dog is None:
        return {"stalls": 0, "worst_stalls": []}
    return {"stalls": dog.count, "worst_stalls": [str(stall) for stall in dog.worst]}


def _number(request: Mapping[str, Any], name: str, default: float, *, above: float, up_to: float) -> float:
    value = request.get(name, default)
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not math.isfinite(value)
        or not above < value <= up_to
    ):
        raise RequestRefused(f'"{name}" is a number above {above:g} and at most {up_to:,.0f}')
    return float(value)
