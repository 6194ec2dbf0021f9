"""See what a program does: recordings, who waits for whom, what blocks, and hooks for your own instruments.

- `recording`: `record` writes down what loops do;
- `tasks`: `tree` tells who waits for whom;
- `agent`: answers such questions to other processes;
- `watchdog`: `Watchdog` tells from another thread what holds a loop, while it holds it;
- `stall`: `Stall`, what it tells;
- `instruments`: `Instrument`, `add_instrument`, `remove_instrument`.

Each part is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from maypole.trace.instruments import Instrument as Instrument
    from maypole.trace.instruments import add_instrument as add_instrument
    from maypole.trace.instruments import remove_instrument as remove_instrument
    from maypole.trace.recording.record import record as record
    from maypole.trace.stall import Contributor as Contributor
    from maypole.trace.stall import Frame as Frame
    from maypole.trace.stall import Stall as Stall
    from maypole.trace.tasks.births import track_tasks as track_tasks
    from maypole.trace.tasks.lost import LostTask as LostTask
    from maypole.trace.tasks.nodes import Circle as Circle
    from maypole.trace.tasks.nodes import Place as Place
    from maypole.trace.tasks.nodes import TaskNode as TaskNode
    from maypole.trace.tasks.nodes import Tree as Tree
    from maypole.trace.tasks.tree import tree as tree
    from maypole.trace.watchdog import Watchdog as Watchdog

_MODULE_OF = {
    "Circle": "tasks.nodes",
    "Contributor": "stall",
    "Frame": "stall",
    "Instrument": "instruments",
    "LostTask": "tasks.lost",
    "Place": "tasks.nodes",
    "Stall": "stall",
    "TaskNode": "tasks.nodes",
    "Tree": "tasks.nodes",
    "Watchdog": "watchdog",
    "add_instrument": "instruments",
    "record": "recording.record",
    "remove_instrument": "instruments",
    "track_tasks": "tasks.births",
    "tree": "tasks.tree",
}

__all__ = [  # the names come from `__getattr__`
    "Circle",
    "Contributor",
    "Frame",
    "Instrument",
    "LostTask",
    "Place",
    "Stall",
    "TaskNode",
    "Tree",
    "Watchdog",
    "add_instrument",
    "record",
    "remove_instrument",
    "track_tasks",
    "tree",
]


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"maypole.trace.{_MODULE_OF[name]}"), name)
