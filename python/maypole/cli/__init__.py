"""The command ``maypole``: one file per verb.

The module of a verb has ``add_to(verbs)``: it adds the verb's parser, and sets ``run`` to what does the work.
"""

from __future__ import annotations

import argparse
import sys

import maypole
from maypole.cli import doctor, info, run, top, trace, tree
from maypole.cli.target import split_target

__all__ = ["main"]


def main() -> int:
    """Run the command line in ``sys.argv`` and return the exit code.

    Raises:
        SystemExit: when the line is wrong (2), after ``--help`` or ``--version``, and when the program exits.
    """
    parser = argparse.ArgumentParser(prog="maypole", description="asyncio, written in Rust.")
    parser.add_argument("--version", action="version", version=f"maypole {maypole.__version__}")
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb in (run, trace, tree, top, info, doctor):
        verb.add_to(verbs)
    # What follows the program's name is the program's own, whatever it looks like.
    ours, target = split_target(sys.argv[1:])
    arguments = parser.parse_args(ours, argparse.Namespace(target=target))
    code: int = arguments.run(arguments)
    return code
