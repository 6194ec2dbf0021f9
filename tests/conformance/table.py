"""Run CPython's own asyncio tests on asyncio, uvloop, rloop and maypole, and write the table.

    python tests/conformance/table.py                  all rows for this Python
    python tests/conformance/table.py maypole rloop    only the rows whose names begin so; nothing is written

The table goes into docs/reference/conformance.md. The other loops are installed into a folder of their own,
pinned by tools/requirements-loops.txt; where one has no wheel for this Python, its row says so. The exit code
is 1 when a test fails on maypole that is not accepted.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from page import ROOT, write_section
from processes import Suite
from run import ACCEPTED, MODULES, accepted_for, let_tests_interrupt, run_modules, version_of
from verdict import Verdict

PINNED = ROOT / "tools" / "requirements-loops.txt"
NATIVES = ROOT / "tests" / "natives"
TEST_TIMEOUT_S = 20.0


class Row(NamedTuple):
    """A line of the table: its name, the loop as ``module:factory``, the distribution that has it."""

    name: str
    loop: str
    package: str = ""


ROWS = (
    Row("asyncio", "asyncio:new_event_loop"),
    Row("uvloop", "uvloop:new_event_loop", "uvloop"),
    Row("rloop", "rloop:new_event_loop", "rloop"),
    Row("maypole", "maypole:new_event_loop"),
    Row("maypole after install()", "installed:new_event_loop"),
    Row('maypole with task_impl="c"', "with_c_tasks:new_event_loop"),
)


@dataclass
class Counts:
    """What came of all tests on one loop."""

    passed: int = 0
    on_loop: int = 0
    accepted: int = 0
    failed: int = 0
    crashed: int = 0
    alike: int = 0
    skipped: int = 0

    @classmethod
    def of(cls, verdicts: list[Verdict]) -> Counts:
        """Add up the modules."""
        counts = cls()
        for verdict in verdicts:
            ended = [answer for answer in verdict.failed.values() if answer.status in ("crashed", "hung")]
            counts.passed += len(verdict.passed)
            counts.on_loop += verdict.on_loop
            counts.accepted += len(verdict.accepted)
            counts.failed += len(verdict.failed) - len(ended) + len(verdict.surprises)
            counts.crashed += len(ended)
            counts.alike += len(verdict.control)
            counts.skipped += len(verdict.skipped)
        return counts


HEAD = (
    "| Loop | Passed | On the loop | Accepted, with reason | Failed | Crashed or hung | Skipped |\n"
    "|---|--:|--:|--:|--:|--:|--:|\n"
)


def line(name: str, counts: Counts) -> str:
    """The row of the table; what fails on asyncio's own loop on the same machine counts as skipped."""
    cells = [counts.passed, counts.on_loop, counts.accepted, counts.failed, counts.crashed]
    return f"| {name} | {' | '.join(map(str, [*cells, counts.skipped + counts.alike]))} |\n"


def install(package: str, folder: Path) -> str:
    """Install one of the other loops into the folder; its version, or "" where it has no wheel."""
    wanted = next(pin for pin in PINNED.read_text().split() if pin.startswith(f"{package}=="))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade"]
    command += ["--only-binary=:all:", "--target", str(folder), wanted]
    if subprocess.run(command, stdout=sys.stderr).returncode != 0:
        return ""
    found = importlib.metadata.distributions(name=package, path=[str(folder)])
    return next(iter(found)).version


def run_row(row: Row, version: str, folder: Path) -> tuple[str, Counts]:
    """Run all tests on one loop, and say how far it is; the line of the table and its numbers."""
    name = row.name
    if row.package:
        installed = install(row.package, folder)
        if not installed:
            return f"| {name} | no wheel for this Python | | | | | |\n", Counts()
        name = f"{name} {installed}"
    ours = "maypole" in row.name
    minor = version.rpartition(".")[0]
    differences = accepted_for(row.loop, minor, ACCEPTED if ours else None)
    suite = Suite(sys.executable, row.loop, TEST_TIMEOUT_S, (str(folder), str(NATIVES)))
    done: list[Verdict] = []

    def tell(verdict: Verdict) -> None:
        done.append(verdict)
        print(f"\r{name}: {len(done)} of {len(MODULES)} modules", end="", file=sys.stderr, flush=True)

    run_modules(suite, MODULES, differences, [], os.cpu_count() or 1, tell)
    print(file=sys.stderr)
    for verdict in done if ours else []:
        for test, answer in verdict.failed.items():
            print(f"{answer.status} on {name}: {test}: {answer.last_line}", file=sys.stderr)
        for test in verdict.surprises:
            print(f"passed on {name}, though accepted.toml names it: {test}", file=sys.stderr)
    counts = Counts.of(done)
    return line(name, counts), counts


def accepted_text() -> str:
    """The accepted differences as the page lists them."""
    lines = []
    for entry in tomllib.loads(ACCEPTED.read_text())["accepted"]:
        pythons = " to ".join([entry["pythons"][0], entry["pythons"][-1]]) if "pythons" in entry else "all"
        names = ", ".join(f"`{name}`" for name in entry["tests"])
        if entry.get("loops") == ["installed:new_event_loop"]:
            pythons += ", after install() only"
        lines.append(f"- {names} (Python: {pythons}). {' '.join(entry['reason'].split())}\n")
    return "".join(lines)


def main() -> int:
    """Run the rows, print the table and write it."""
    summary, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--folder", type=Path, help="where the other loops are installed (.venv/loops-VERSION)"
    )
    parser.add_argument("rows", nargs="*", help="asyncio, uvloop, … (all)")
    arguments = parser.parse_args()
    let_tests_interrupt()
    version = version_of(sys.executable)
    if version is None:
        print(f"SKIPPED: {sys.executable} comes without CPython's own tests")
        return 0
    minor = version.rpartition(".")[0]
    folder = arguments.folder or ROOT / ".venv" / f"loops-{minor}"
    text = f"CPython {version}, {platform.system()} {platform.release()}:\n\n{HEAD}"
    failed = 0
    for row in ROWS:
        if arguments.rows and not row.name.startswith(tuple(arguments.rows)):
            continue
        shown, counts = run_row(row, version, folder)
        text += shown
        failed += counts.failed + counts.crashed if "maypole" in row.name else 0
    print(text)
    if not arguments.rows:
        write_section(minor, text)
        write_section("accepted", accepted_text())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
