"""Puts a Python, and all that it starts, into the mode of ``MAYPOLE_TEST_MODE``, before anything else runs.

``make modes`` has this folder on ``PYTHONPATH``. "c" makes the tasks of all loops that `maypole.run` and
`maypole.new_event_loop` make asyncio's own, as ``task_impl="c"`` does; a loop made as ``maypole.EventLoop()``
keeps its native ones. "installed" puts maypole's helpers in asyncio's place. An empty mode is none: so a test
starts the child that shows what asyncio does. ``python -I`` and ``python -S`` are never in a mode.
"""

from __future__ import annotations

import os

MODE = os.environ.get("MAYPOLE_TEST_MODE", "")

if MODE == "c":
    import maypole

    maypole.new_event_loop.__defaults__ = ("monotonic", "c")
elif MODE == "installed":
    import maypole

    maypole.install()
elif MODE:
    # What is no exit is printed, and the program then runs in no mode at all.
    raise SystemExit(f'MAYPOLE_TEST_MODE: "c" or "installed" was expected, got {MODE!r}')
