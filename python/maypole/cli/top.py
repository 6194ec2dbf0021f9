"""``maypole top``: what a running program does, once a second."""

from __future__ import annotations

import argparse
import sys
import time
from typing import TYPE_CHECKING

from maypole.cli.live import add_pid

if TYPE_CHECKING:
    from maypole.trace.agent.client import Agent

INTERVAL_S_MIN, INTERVAL_S_MAX = 0.1, 3600.0
PLAIN_COLUMNS = 120
"""The width of a plain screen."""


def add_to(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb's parser."""
    parser = verbs.add_parser(
        "top",
        help="watch a running program: loops, functions, tasks, stalls",
        description="Watch a running program: how busy its loops are, and what its tasks wait for.",
        epilog="Keys: q quits, s sorts by the next column, p pauses. The program needs an agent:"
        " MAYPOLE_AGENT=1, maypole run --agent, or run(..., agent=True).",
    )
    add_pid(parser)
    parser.add_argument("--once", action="store_true", help="print one plain screen and end")
    parser.add_argument(
        "--interval", type=_interval, default=1.0, metavar="SECONDS", help="seconds between two looks (1)"
    )
    parser.set_defaults(run=_run)


def _interval(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not INTERVAL_S_MIN <= value <= INTERVAL_S_MAX:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no number of seconds between {INTERVAL_S_MIN:g} and {INTERVAL_S_MAX:g}"
        )
    return value


def _run(arguments: argparse.Namespace) -> int:
    from maypole.trace.agent.client import Agent, AgentError

    if not arguments.once and not (sys.stdin.isatty() and sys.stdout.isatty()):
        print("maypole top: this is no terminal: use --once", file=sys.stderr)
        return 1
    try:
        with Agent(arguments.pid) as agent:
            if arguments.once:
                _print_once(agent, arguments.interval)
            else:
                from maypole.cli import top_terminal

                top_terminal.show(agent, arguments.interval)
    except AgentError as error:
        print(f"maypole top: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


def _print_once(agent: Agent, interval_s: float) -> None:
    from maypole.cli.top_screen import Screen

    screen = Screen(agent.ask("hello"))
    screen.take(agent.ask("metrics"), agent.ask("tree"))
    time.sleep(interval_s)
    screen.take(agent.ask("metrics"), agent.ask("tree"))
    print("\n".join(line.rstrip() for line in screen.lines(PLAIN_COLUMNS)))
