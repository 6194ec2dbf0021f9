"""``maypole doctor``: whether this machine and this environment can run on maypole, and how to switch."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING

import maypole
from maypole.cli import installed, machine, self_test

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable

WIDTH = 110


def add_to(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb's parser."""
    parser = verbs.add_parser(
        "doctor",
        help="look at this machine, list what can be switched to maypole, run a short self-test",
        description="Tell whether this machine and this environment can run on maypole.",
        epilog="The exit code is 1 if a part of the self-test fails.",
    )
    parser.set_defaults(run=lambda _: examine())


def examine() -> int:
    """Print the whole screen, each line when it is known.

    Returns:
        0, or 1 if something failed.
    """
    say(f"maypole {maypole.__version__}, {sys.executable}")
    failed = 0
    say("\nThis machine")
    for finding in machine.findings():
        say(row(finding.state, finding.name, finding.text))
    say("\nInstalled here, and what switches it to maypole")
    say(*switches())
    say("\nSelf-test")
    for probe in self_test.PROBES:
        verdict = self_test.ask(probe)
        failed += verdict.state == "failed"
        say(row(verdict.state, verdict.name, verdict.text))
    say(f"\n{failed} failed" if failed else "\nok: this machine can run on maypole")
    return 1 if failed else 0


def say(*lines: str) -> None:
    """Print at once, so that a reader of a pipe sees how far it is."""
    for line in lines:
        print(line, flush=True)


def row(state: str, name: str, text: str) -> str:
    """One finding, on as many lines as it needs.

    >>> row("ok", "kernel", "Linux 6.1")
    '  ok      kernel           Linux 6.1'
    """
    head = f"  {state:<7} {name:<16} "
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )


def switches() -> Iterable[str]:
    """A line for each package that is installed, and one for those that are not."""
    found, absent = installed.look()
    width = max((len(f"{package.name} {version}") for package, version in found), default=0)
    for package, version in found:
        name = f"{package.name} {version}"
        yield f"  {name:<{width}}  {package.switch}"
        if installed.too_old(version, package.since):
            yield f"  {'':<{width}}  needs {package.name} {package.since} or newer for this"
    if absent:
        yield textwrap.fill(
            "not installed: " + ", ".join(package.name for package in absent),
            WIDTH,
            initial_indent="  ",
            subsequent_indent="    ",
        )
