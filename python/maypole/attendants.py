"""What attends the runs of loops: recorders, agents, watchdogs. A loop knows none of them by name.

Whoever wants to be there calls `at_every_run`; whom a user wants by an environment variable is imported
when a loop begins to run. Invariant: an attendant that fails is reported, and the run goes on without it.
"""

from __future__ import annotations

import importlib
import logging
import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    Begin = Callable[[asyncio.AbstractEventLoop], object]

logger = logging.getLogger("maypole")

WANTED_BY = {"MAYPOLE_AGENT": "maypole.trace.agent", "MAYPOLE_STALL": "maypole.trace.watchdog"}
"""For each variable the module whose `attend(loop)` is called at every run while the variable is set."""

OFF = ("", "0")
"""The values of a variable that switch nothing on."""

_begins: list[Begin] = []


class AttendantThread(threading.Thread):
    """A thread that never calls the loop, so the virtual clock need not wait for it."""


def at_every_run(begin: Begin) -> Callable[[], None]:
    """Have ``begin(loop)`` called whenever a loop of maypole begins to run, in that loop's thread.

    Returns:
        A function that ends it; a second call does nothing.
    """
    _begins.append(begin)

    def end() -> None:
        if begin in _begins:
            _begins.remove(begin)

    return end


def attend(loop: asyncio.AbstractEventLoop) -> None:
    """Tell everybody that a loop begins to run; the loop itself calls it."""
    for variable, module in WANTED_BY.items():
        if os.environ.get(variable, "") not in OFF:
            _try(_import_and_begin, module, loop)
    for begin in tuple(_begins):
        _try(begin, loop)


def _import_and_begin(module: str, loop: asyncio.AbstractEventLoop) -> None:
    importlib.import_module(module).attend(loop)


def _try(begin: Callable[..., object], *args: object) -> None:
    try:
        begin(*args)
    except Exception:
        logger.exception("what should attend the run of a loop failed; the loop runs without it")
