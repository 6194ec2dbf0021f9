"""What a test may leave behind: nothing. Descriptors, threads, loops and log records are counted."""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
import weakref
from dataclasses import dataclass, field

from harness.kinds import Loop

KINDS = ("fds", "threads", "loops", "logs")


def open_fds() -> dict[int, str]:
    """The open descriptors of this process and what each one is."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:  # the descriptor of this very listing
            continue
    return found


class Records(logging.Handler):
    """Keeps what the ``asyncio`` logger says; at level ERROR that is what reached the exception handler."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []
        self.count = 0

    def take(self, since: int) -> list[logging.LogRecord]:
        """The records from this position on, which are then nobody else's."""
        taken = self.records[since:]
        del self.records[since:]
        return taken

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)
        self.count += 1


@dataclass
class Before:
    """The state of the process when a test began."""

    fds: dict[int, str] = field(default_factory=open_fds)
    threads: set[threading.Thread] = field(default_factory=lambda: set(threading.enumerate()))
    loops: list[weakref.ref[Loop]] = field(default_factory=list)
    records: Records = field(default_factory=Records)

    def watch(self, loop: Loop) -> None:
        """Ask that this loop be closed and freed when the test has ended."""
        self.loops.append(weakref.ref(loop))

    def leaked(self, allowed: frozenset[str]) -> list[str]:
        """Sentences about what is still there; an empty list is a clean test."""
        found: list[str] = []
        if "logs" not in allowed:
            errors = [record for record in self.records.records if record.levelno >= logging.ERROR]
            found += [f"logged: {record.getMessage()}" for record in errors]
        if "threads" not in allowed:
            found += self.leaked_threads()
        if "loops" not in allowed:
            found += self.leaked_loops()
        if "fds" not in allowed:
            found += self.leaked_fds()
        return found

    def leaked_loops(self) -> list[str]:
        """Loops that are not closed, or not freed though nothing but a cycle can hold them.

        pytest keeps the log records of a test, and their tracebacks keep the loop: then closed is enough.
        """
        for _ in range(3):  # an object that is finalised may free others only in the next round
            if any(ref() is not None for ref in self.loops):
                gc.collect()
        alive = [loop for ref in self.loops if (loop := ref()) is not None]
        if self.records.count:
            alive = [loop for loop in alive if not loop.is_closed()]
        return [f"loop still alive: {loop!r}" for loop in alive]

    def leaked_threads(self) -> list[str]:
        """Threads that outlive the test; one that is on its way out gets the time to end."""
        new = set(threading.enumerate()) - self.threads
        for thread in new:
            thread.join(2)
        return [f"thread still runs: {thread!r}" for thread in new if thread.is_alive()]

    def leaked_fds(self) -> list[str]:
        """Descriptors that were not open before."""
        deadline = time.monotonic() + 2
        while True:
            now = open_fds()
            new = {fd: what for fd, what in now.items() if self.fds.get(fd) != what}
            if not new:
                return []
            if gc.collect() == 0 and time.monotonic() > deadline:
                return [f"descriptor still open: {fd} {what}" for fd, what in sorted(new.items())]
