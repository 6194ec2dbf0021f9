"""The recording of every loop of maypole that runs while it lasts, in whatever thread."""

from __future__ import annotations

import threading
import time
from typing import Any

from maypole.attendants import at_every_run
from maypole.trace.recording.documents import empty, merged, program, with_program
from maypole.trace.recording.one_loop import LoopRecording

_one_at_a_time = threading.Lock()
_running: AllLoops | None = None

BUSY = "a recording is running already in this process: end it before the next one begins"


class AllLoops:
    """Records loops from when they begin to run, each until it is closed or `end` is called.

    Args:
        capacity: how many events are kept of each loop.

    Raises:
        RuntimeError: if there is one in this process already.
    """

    def __init__(self, capacity: int) -> None:
        global _running
        if isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1:
            raise ValueError(f"capacity is how many events are kept, a number above 0, not {capacity!r}")
        with _one_at_a_time:
            if _running is not None:
                raise RuntimeError(BUSY)
            _running = self
        self._capacity = capacity
        self._lock = threading.RLock()  # a signal may end what its own thread is about to add
        self._recordings: list[LoopRecording] = []
        self._ended: list[tuple[int, bytes]] = []
        self._clock = "monotonic"
        self._stop = at_every_run(self.add)
        self.started_unix_ns = time.time_ns()
        self.count = 0

    def add(self, loop: Any) -> None:
        """Record a loop, unless it is recorded already; those that were closed meanwhile are let go.

        Raises:
            RuntimeError: if somebody else records it.
        """
        with self._lock:
            for recording in [one for one in self._recordings if one.loop.is_closed()]:
                self._finish(recording)
            if any(recording.loop is loop for recording in self._recordings):
                return
            self._recordings.append(LoopRecording(loop, self._capacity))
            self._clock = loop._clock
            self.count += 1

    def _finish(self, recording: LoopRecording) -> None:
        self._recordings.remove(recording)
        self._ended.append((recording.began_ns, recording.end()))

    def end(self, ended: str, *, complete: bool = True) -> bytes:
        """Stop, and return one document of all loops.

        Args:
            ended: how the program ended: returned, raised, exited, killed, or running.
            complete: whether the end of the program is in it.
        """
        global _running
        self._stop()
        with self._lock:
            for recording in tuple(self._recordings):
                self._finish(recording)
            ended_documents, self._ended = self._ended, []
        with _one_at_a_time:
            _running = None if _running is self else _running
        documents = sorted(ended_documents, key=lambda one: one[0])
        first_ns = documents[0][0] if documents else 0
        whole = merged([(began - first_ns, text) for began, text in documents]) if documents else empty()
        return with_program(whole, program(self.started_unix_ns, ended, self._clock), complete=complete)
