"""What the verbs that look into a running program share: the process, and the sentence when it cannot be."""

from __future__ import annotations

import argparse
import sys
from typing import Any

Where = int | tuple[str, int]
"""A process by its number, or a port of an agent that was asked for it."""


def add_pid(parser: argparse.ArgumentParser) -> None:
    """Add the argument that names the process."""
    parser.add_argument(
        "pid",
        metavar="PID",
        type=process,
        help="the number of the process, or HOST:PORT with MAYPOLE_AGENT_TOKEN",
    )


def process(text: str) -> Where:
    """Read the number of a process, or where its agent listens.

    Raises:
        argparse.ArgumentTypeError: for text that is none.

    >>> process("4711"), process("localhost:7000")
    (4711, ('localhost', 7000))
    """
    host, colon, port = text.rpartition(":")
    if colon and host and port.isdecimal() and 0 < int(port) < 65_536:
        return host, int(port)
    if not text.isdecimal() or not 0 < int(text) < 2**31:
        raise argparse.ArgumentTypeError(f"{text!r} is not the number of a process")
    return int(text)


def ask(verb: str, of: Where, do: str, *, wait_s: float = 0.0, **arguments: object) -> dict[str, Any] | None:
    """Ask the agent of a process once; without an answer say why on standard error and return None."""
    from maypole.trace.agent.client import Agent, AgentError  # a program that is run needs none of it

    try:
        with Agent(of) as agent:
            return agent.ask(do, wait_s=wait_s, **arguments)
    except AgentError as error:
        print(f"maypole {verb}: {error}", file=sys.stderr)
        return None
