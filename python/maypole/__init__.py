"""maypole: asyncio on an event loop written in Rust.

Run a program with `run`, or give `new_event_loop` to whatever makes loops
(``asyncio.Runner(loop_factory=...)``, ``uvicorn --loop maypole:new_event_loop``). Importing this package
changes nothing in asyncio.

Example:
    >>> import asyncio, maypole
    >>> async def main():
    ...     await asyncio.sleep(0.01)
    ...     return "done"
    >>> maypole.run(main())
    'done'
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

from maypole import platform as _platform

_platform.check()

from maypole._maypole import build_info as _build_info  # noqa: E402
from maypole.loop import EventLoop, new_event_loop, run  # noqa: E402

if TYPE_CHECKING:
    from maypole import trace as trace
    from maypole.loop.policy import EventLoopPolicy as EventLoopPolicy
    from maypole.metrics.snapshot import metrics as metrics
    from maypole.natives import (
        BoundedSemaphore,
        Condition,
        Event,
        LifoQueue,
        Lock,
        PriorityQueue,
        Queue,
        Semaphore,
        StreamReader,
        StreamReaderProtocol,
        StreamWriter,
        as_completed,
        gather,
        open_connection,
        open_unix_connection,
        sleep,
        start_server,
        start_unix_server,
    )
    from maypole.natives.install import install, uninstall

__all__ = [
    "BoundedSemaphore",
    "Condition",
    "Event",
    "EventLoop",
    "LifoQueue",
    "Lock",
    "PriorityQueue",
    "Queue",
    "Semaphore",
    "StreamReader",
    "StreamReaderProtocol",
    "StreamWriter",
    "__version__",
    "as_completed",
    "gather",
    "install",
    "metrics",
    "new_event_loop",
    "open_connection",
    "open_unix_connection",
    "run",
    "sleep",
    "start_server",
    "start_unix_server",
    "trace",
    "uninstall",
]
if sys.version_info < (3, 16):
    __all__ += ["EventLoopPolicy"]

__version__: str = _build_info()["version"]


def __getattr__(name: str) -> object:
    # What looks at a program, and what stands in for asyncio's helpers, is imported when it is first used:
    # a start without it costs nothing.
    if name in ("metrics", "trace"):
        return importlib.import_module(f"maypole.{name}")
    # Policies are deprecated from Python 3.14 on and gone in 3.16: reaching for ours must not warn
    # anybody else.
    if name == "EventLoopPolicy" and sys.version_info < (3, 16):
        from maypole.loop.policy import EventLoopPolicy

        return EventLoopPolicy
    if name in __all__:
        helper: object = getattr(importlib.import_module("maypole.natives"), name)
        globals()[name] = helper
        return helper
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
