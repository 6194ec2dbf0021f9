"""How a program is looked at: our own switches, and tools that do a part of the same on asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

Around = Callable[[asyncio.AbstractEventLoop], AbstractContextManager[Any]]


@contextlib.contextmanager
def nothing(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """The program alone."""
    yield


@contextlib.contextmanager
def debug_mode(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """asyncio's debug mode."""
    loop.set_debug(True)
    yield


def watchdog(loop: asyncio.AbstractEventLoop) -> AbstractContextManager[Any]:
    """The watchdog with its usual threshold."""
    from maypole.trace import Watchdog

    return Watchdog(loop, 0.1)


def tracking(loop: asyncio.AbstractEventLoop) -> AbstractContextManager[Any]:
    """Births of tasks, for trees and lost tasks."""
    from maypole.trace import track_tasks

    return track_tasks(loop)


@contextlib.contextmanager
def timeline(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """A recording; its document is not made."""
    native: Any = loop
    native._trace_begin(1_000_000)
    yield
    assert native._trace_is_on


def _with(instrument: object) -> Around:
    @contextlib.contextmanager
    def around(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        from maypole.trace import add_instrument, remove_instrument

        add_instrument(instrument, loop)
        yield
        remove_instrument(instrument, loop)

    return around


class Spawns:
    """One hook that is called for each new task."""

    def task_spawned(self, task: asyncio.Task[Any]) -> None:
        """Does nothing."""


class Steps:
    """Two hooks that are called for each step."""

    def before_task_step(self, task: asyncio.Task[Any]) -> None:
        """Does nothing."""

    def after_task_step(self, task: asyncio.Task[Any]) -> None:
        """Does nothing."""


@contextlib.contextmanager
def aiomonitor(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """aiomonitor with its hook for tasks, which its task list and creation chains need."""
    import aiomonitor as tool

    with tool.start_monitor(loop, port=0, webui_port=0, console_enabled=False, hook_task_factory=True):
        yield


@contextlib.contextmanager
def viztracer(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """viztracer with a lane for each task; its file is not written."""
    from viztracer import VizTracer

    with tempfile.TemporaryDirectory() as folder:
        tracer = VizTracer(
            log_async=True,
            verbose=0,
            output_file=os.path.join(folder, "trace.json"),
            tracer_entries=1_000_000,
        )
        tracer.start()
        yield
        tracer.stop()
        tracer.clear()


SWITCHES: dict[str, tuple[str, Around]] = {
    "maypole": ("maypole:new_event_loop", nothing),
    "maypole, watchdog": ("maypole:new_event_loop", watchdog),
    "maypole, timeline": ("maypole:new_event_loop", timeline),
    "maypole, track_tasks": ("maypole:new_event_loop", tracking),
    "maypole, hook on spawns": ("maypole:new_event_loop", _with(Spawns())),
    "maypole, hooks on steps": ("maypole:new_event_loop", _with(Steps())),
    "maypole, debug mode": ("maypole:new_event_loop", debug_mode),
    "maypole, viztracer": ("maypole:new_event_loop", viztracer),
    "asyncio": ("asyncio:new_event_loop", nothing),
    "asyncio, debug mode": ("asyncio:new_event_loop", debug_mode),
    "asyncio, aiomonitor": ("asyncio:new_event_loop", aiomonitor),
    "asyncio, viztracer": ("asyncio:new_event_loop", viztracer),
}
"""Name: the factory of its loop, and what is around the program. What precedes the comma is the base."""
