"""``maypole info``: what is installed here and what it runs on."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import time
from typing import TYPE_CHECKING

import maypole
from maypole import _maypole, versions

if TYPE_CHECKING:
    import argparse


def add_to(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb's parser."""
    parser = verbs.add_parser("info", help="show versions, platform, loop and back-end")
    parser.set_defaults(run=lambda _: print(report()) or 0)


def report() -> str:
    """Return the whole screen as text."""
    build = _maypole.build_info()
    loop = maypole.EventLoop
    libc = " ".join(platform.libc_ver()).strip()
    rows = [
        (
            "maypole",
            f"{maypole.__version__}, {'trained ' * build['trained']}{build['profile']} build for "
            f"Python {build['python']}",
        ),
        ("Python", f"{platform.python_version()} ({platform.python_implementation()}), {sys.executable}"),
        (
            "platform",
            f"{platform.machine()}, {platform.system()} {platform.release()}" + (f", {libc}" if libc else ""),
        ),
        ("processors", str(len(os.sched_getaffinity(0)))),
        ("loop", f"{loop.__module__.partition('.')[0]}.{loop.__qualname__}, back-end {build['backend']}"),
        ("clocks", f"monotonic (to {time.get_clock_info('monotonic').resolution * 1e9:g} ns), virtual"),
        (
            "asyncio.run",
            f"uses {_default_loop()} here; under `maypole run` maypole's, by {versions.DEFAULT_BY}",
        ),
    ]
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def _default_loop() -> str:
    """Name the class of loop that asyncio makes in this process."""
    loop = asyncio.new_event_loop()
    try:
        return f"{type(loop).__module__}.{type(loop).__qualname__}"
    finally:
        loop.close()
