"""The live screen of ``maypole top``: curses, three keys, one look a second."""

from __future__ import annotations

import curses
import os
import time
from typing import TYPE_CHECKING

from maypole.cli.top_screen import Screen

if TYPE_CHECKING:
    from maypole.trace.agent.client import Agent

KEY_WAIT_MS = 100
HELP = "q quit  s sort  p pause"


def show(agent: Agent, interval_s: float) -> None:
    """Show the screen until q is pressed.

    Raises:
        AgentError: when the program has ended.
    """
    os.environ.setdefault("TERM", "dumb")
    screen = Screen(agent.ask("hello"))
    curses.wrapper(_loop, agent, screen, interval_s)


def _loop(window: curses.window, agent: Agent, screen: Screen, interval_s: float) -> None:
    try:
        curses.curs_set(0)
    except curses.error:
        pass  # a terminal that cannot hide it
    window.timeout(KEY_WAIT_MS)
    due_s = 0.0
    while True:
        if time.monotonic() >= due_s and not screen.paused:
            screen.take(agent.ask("metrics"), agent.ask("tree"))
            due_s = time.monotonic() + interval_s
            draw(window, screen)
        key = window.getch()
        if key in (ord("q"), ord("Q")):
            return
        if key in (ord("s"), ord("S")):
            screen.next_sort()
        elif key in (ord("p"), ord("P"), ord(" ")):
            screen.paused = not screen.paused
        elif key != curses.KEY_RESIZE:
            continue
        draw(window, screen)


def draw(window: curses.window, screen: Screen) -> None:
    """Draw as much as there is room for."""
    rows, columns = window.getmaxyx()
    window.erase()
    lines = [*screen.lines(columns - 1)][: max(rows - 1, 0)]
    for row, line in enumerate(lines):
        _put(window, row, line, curses.A_BOLD if _is_heading(row, line) else curses.A_NORMAL)
    _put(window, rows - 1, HELP[: columns - 1], curses.A_REVERSE)
    window.refresh()


def _is_heading(row: int, line: str) -> bool:
    return row == 0 or line.lstrip().startswith(("BUSY ", "AGE ", "HELD ", "deadlock:"))


def _put(window: curses.window, row: int, line: str, attribute: int) -> None:
    try:
        window.addstr(row, 0, line.encode(errors="replace").decode(), attribute)
    except curses.error:
        pass  # the window has just become smaller
