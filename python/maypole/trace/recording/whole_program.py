"""The recording of a whole program, from its first loop to the end of the process, however it ends.

What is saved when: at the end of the interpreter, after the program's threads and exit functions; when the
program calls `os._exit`; and when SIGTERM would end it, unless the program handles that signal itself. A
process that is killed by another signal, or ends in C code, saves nothing.

Invariant: the process ends as it would have ended without the recording: same exit code, same signal.
"""

from __future__ import annotations

import atexit
import os
import signal
import threading
from typing import TYPE_CHECKING

from maypole.trace.recording.all_loops import AllLoops

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn


class WholeProgram:
    """Records every loop of this process until it ends.

    Args:
        capacity: how many events are kept of each loop.
        save: called once, with the document and how many loops it shows; it must not raise.

    Raises:
        RuntimeError: if a recording runs already.
        ValueError: for a capacity that is no number above 0.
    """

    def __init__(self, capacity: int, save: Callable[[bytes, int], object]) -> None:
        self.ended = "returned"
        self._save = save
        self._pid = os.getpid()
        self._begun = threading.Lock()
        self._saving = False
        self._signal: int | None = None
        self._loops = AllLoops(capacity)
        self._exit = os._exit
        os._exit = self._exit_now
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        ):
            signal.signal(signal.SIGTERM, self._end_by_signal)
        atexit.register(self._end)

    def _end(self) -> None:
        self._finish(self.ended)

    def _finish(self, ended: str, *, complete: bool = True) -> None:
        """Save what there is, once; a child of ``fork`` has nothing to save."""
        if os.getpid() != self._pid or not self._begun.acquire(blocking=False):
            return
        self._saving = True
        try:
            self._save(self._loops.end(ended, complete=complete), self._loops.count)
        finally:
            self._saving = False
            if self._signal is not None:
                _end_as_ever(self._signal)

    def _exit_now(self, status: int) -> NoReturn:
        """Stand for `os._exit`."""
        try:
            self._finish("exited", complete=False)
        finally:
            self._exit(status)

    def _end_by_signal(self, number: int, frame: FrameType | None) -> None:
        """Save, and let the signal do what it would have done; what is being saved is saved to its end."""
        if self._saving and os.getpid() == self._pid:
            self._signal = number
            return
        try:
            self._finish("killed", complete=False)
        finally:
            _end_as_ever(number)


def _end_as_ever(number: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
