"""What the verbs that look into a running program share: the process, and the sentence when it cannot be."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add_pid(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the process."""
    parser.add_argument("pid", metavar="PID", type=pid, help="the number of the process")


def pid(text: str) -> int:
    """Read the number of a process.

    Raises:
        argparse.ArgumentTypeError: for text that is none.

    >>> pid("4711")
    4711
    """
    if not text.isdecimal() or not 0 < int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of a process")
    return int(text)


def ask(verb: str, of: int, do: str, *, wait_s: float = 0.0, **arguments: object) -> dict[str, Any] | None:
    """Ask the agent of a process once; without an answer say why on standard error and return None."""
    from maypole.trace.agent.client import Agent, AgentError  # a program that is run needs none of it

    try:
        with Agent(of) as agent:
            return agent.ask(do, wait_s=wait_s, **arguments)
    except AgentError as error:
        print(f"maypole {verb}: {error}", file=sys.stderr)
        return None
