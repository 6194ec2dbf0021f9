"""Signals wake the loop, whatever it waits for.

CPython's C-level signal handler writes the signal's number to the wake-up descriptor, which the poller
watches. So a signal that comes just before the loop begins to wait is seen at once, and its Python handler
runs.

Source: https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd
"""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maypole.loop.inherited import MixedInto


class SignalWakeup:
    """Point the wake-up descriptor at a loop while it runs in the main thread.

    A descriptor that somebody else has set stays: their signals then wake the loop by interrupting its wait.
    """

    def __init__(self, loop: MixedInto) -> None:
        self._loop = loop
        self._ours = -1

    def __enter__(self) -> None:
        """Set the descriptor, if this is the main thread and nobody has set one."""
        if threading.current_thread() is not threading.main_thread():
            return
        ours = self._loop._csock.fileno()
        previous = signal.set_wakeup_fd(ours, warn_on_full_buffer=False)
        if previous == -1:
            self._ours = ours
        elif previous != ours:
            signal.set_wakeup_fd(previous)

    def __exit__(self, *_: object) -> None:
        """Take the descriptor away again, unless signal handlers of the loop still need it."""
        if self._ours == -1 or self._loop._signal_handlers:
            return
        current = signal.set_wakeup_fd(-1)
        if current not in (self._ours, -1):
            signal.set_wakeup_fd(current)
