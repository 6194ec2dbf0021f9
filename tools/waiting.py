"""Shows that something happens while something takes longer than two seconds."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

QUIET_S = 2.0
"""What takes less than this needs no comment."""

PLAIN_EVERY_S = 5.0
FRAMES = "|/-\\"


class Waiting:
    """A context in which a thread writes to standard error what is being waited for, and since when.

    On a terminal it is one line that changes and then goes away; elsewhere a plain line now and then.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _show(self) -> None:
        start = time.monotonic()
        if self._over.wait(QUIET_S):
            return
        terminal = sys.stderr.isatty()
        shown = 0
        while True:
            elapsed_s = time.monotonic() - start
            if terminal:
                line = f"{FRAMES[shown % len(FRAMES)]} {self._what}: {elapsed_s:.1f} s"
                sys.stderr.write(f"\r\x1b[K{line}")
            else:
                sys.stderr.write(f"  {self._what}: {elapsed_s:.0f} s so far\n")
            sys.stderr.flush()
            shown += 1
            if self._over.wait(0.1 if terminal else PLAIN_EVERY_S):
                break
        if terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
