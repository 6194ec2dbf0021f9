"""The event loops that the tests run on."""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

Loop = asyncio.AbstractEventLoop
NewLoop = Callable[[], Loop]

#: "c" or "installed" under ``make modes``: see tests/modes/sitecustomize.py.
MODE = os.environ.get("MAYPOLE_TEST_MODE", "")


@dataclass(frozen=True)
class LoopKind:
    """One kind of loop: where its factory stands, and whether debug mode is on."""

    name: str
    spec: str
    debug: bool = False

    def new_loop(self) -> Loop:
        """Make a loop of this kind; the caller closes it."""
        module, _, attribute = self.spec.partition(":")
        loop = cast("Loop", getattr(importlib.import_module(module), attribute)())
        if self.debug:
            loop.set_debug(True)
        return loop


ASYNCIO = LoopKind("asyncio", "asyncio:new_event_loop")
MAYPOLE = LoopKind("maypole", "maypole:new_event_loop")
ASYNCIO_DEBUG = LoopKind("asyncio-debug", ASYNCIO.spec, debug=True)
MAYPOLE_DEBUG = LoopKind("maypole-debug", MAYPOLE.spec, debug=True)

PLAIN = (ASYNCIO, MAYPOLE)
WITH_DEBUG = (ASYNCIO, MAYPOLE, ASYNCIO_DEBUG, MAYPOLE_DEBUG)


def run_once(loop: Loop) -> None:
    """Run what is ready, and nothing that it makes ready."""
    loop.call_soon(loop.stop)
    loop.run_forever()
