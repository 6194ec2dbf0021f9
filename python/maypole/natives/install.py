"""`install` and `uninstall`: asyncio's names for maypole's helpers, for a whole program.

Nothing happens on import. What is replaced is named in `REPLACED`; what was there is kept, and `uninstall`
puts it back.
"""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING

from maypole import _maypole
from maypole.natives import streams

if TYPE_CHECKING:
    from types import ModuleType

REPLACED: dict[str, tuple[str, ...]] = {
    "asyncio.tasks": ("as_completed", "gather", "sleep"),
    "asyncio.locks": ("BoundedSemaphore", "Event", "Lock", "Semaphore"),
    "asyncio.queues": ("LifoQueue", "PriorityQueue", "Queue"),
    "asyncio.streams": (
        "StreamReader",
        "StreamReaderProtocol",
        "StreamWriter",
        "open_connection",
        "open_unix_connection",
        "start_server",
        "start_unix_server",
    ),
}
"""The modules of asyncio and the names in them that `install` replaces, there and in `asyncio` itself."""

_originals: dict[tuple[ModuleType, str], object] = {}


def install() -> None:
    """Replace asyncio's helpers by maypole's, for the whole program, until `uninstall`.

    ``asyncio.sleep``, ``asyncio.Lock`` and the others in `REPLACED` then are ``maypole.sleep``,
    ``maypole.Lock`` and so on, also for asyncio's own code. Objects made before stay what they are, and a
    module that imported a name before (``from asyncio import Queue``) keeps it: install first. A second call
    does nothing.

    Example:
        >>> import asyncio, maypole
        >>> maypole.install()
        >>> asyncio.Queue is maypole.Queue
        True
        >>> maypole.uninstall()
        >>> asyncio.Queue is maypole.Queue
        False
    """
    if _originals:
        return
    for module_name, names in REPLACED.items():
        module = importlib.import_module(module_name)
        for name in names:
            for place in (module, asyncio):
                _originals[place, name] = getattr(place, name)
                setattr(place, name, native(name))


def uninstall() -> None:
    """Put back what `install` replaced; a name that somebody else has replaced since stays as it is.

    Objects that were made meanwhile go on working. Without `install` before, nothing happens.
    """
    for (place, name), original in _originals.items():
        if getattr(place, name) is native(name):
            setattr(place, name, original)
    _originals.clear()


def native(name: str) -> object:
    """Return maypole's own object of that name."""
    found: object = getattr(streams, name, None) or getattr(_maypole, name)
    return found
