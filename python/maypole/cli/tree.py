"""``maypole tree``: who waits for whom in a program that runs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from maypole.cli.live import add_pid, ask

if TYPE_CHECKING:
    import argparse


def add_to(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb's parser."""
    parser = verbs.add_parser(
        "tree",
        help="show who waits for whom in a running program",
        description="Show the tasks of a running program: where each stands and what it waits for.",
        epilog="The program needs an agent: MAYPOLE_AGENT=1, maypole run --agent, or run(..., agent=True).",
    )
    add_pid(parser)
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace) -> int:
    answer = ask("tree", arguments.pid, "tree")
    if answer is None:
        return 1
    if arguments.json:
        json.dump(answer["loops"], sys.stdout, indent=2)
        print()
    else:
        print("\n\n".join(map(report, answer["loops"])) or "no loop runs")
    return 0


def report(loop: dict[str, Any]) -> str:
    """Return the tree of one loop, what holds it now, and the tasks that were lost."""
    lines = [loop["text"]]
    if loop["held_ns"] >= HELD_NS:
        who = f"task {loop['task']!r}" if loop["task"] is not None else "callbacks"
        lines.insert(0, f"the loop in {loop['thread']} is held by {who} for {loop['held_ns'] / 1e9:.3f} s")
    return "\n".join([*lines, *(f"lost: {text}" for text in loop["lost"])])


HELD_NS = 100_000_000
"""From when on a turn that has not ended is worth a line."""
