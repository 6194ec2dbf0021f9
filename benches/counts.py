#!/usr/bin/env python3
"""Counts what a noisy machine cannot disturb: system calls and user instructions per operation.

    python benches/counts.py
    python benches/counts.py --loops asyncio,uvloop --scenarios call_soon.narrow --no-instructions

Every figure is a slope: the scenario is run with two numbers of operations, and the difference of the counts
is divided by the difference of the numbers, so that start-up and imports fall out. System calls come from
`strace -c`, instructions from `valgrind --tool=callgrind`; where a tool is missing, that part says so and is
left out.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from typing import TYPE_CHECKING

import scenarios
from measuring.cell import READY_S, Settings, address_for, child_words, load_words, server_words
from measuring.contestant import FLOORS, KNOWN, Contestant, ContestantError, parse
from measuring.loader import find_load
from measuring.machine import describe
from measuring.process import ProcessFailed, Started
from measuring.scenario import Scenario, Tier, select

if TYPE_CHECKING:
    from collections.abc import Callable

HERE = Path(__file__).resolve().parent
#: Scenarios that are counted when none is named.
INSIDE = (
    "call_soon.narrow",
    "call_soon.wide",
    "switch.1",
    "switch.1000",
    "spawn.await",
    "future.ping_pong",
    "queue.1",
)
SERVED = (
    "tcp.protocol.1KiB.1c",
    "tcp.protocol.1KiB.100c",
    "tcp.pieces.1KiB.100c",
    "tcp.sock.1KiB.100c",
    "tcp.readline.100c",
    "unix.protocol.1KiB.100c",
    "udp.protocol.1KiB.100c",
)
#: Operations of the short and of the long run. Both are more than any scenario has tasks or connections.
SHORT, LONG = 2_000, 6_000
LIMIT_S = 240.0
COLLECTED = re.compile(r"Collected\s*:\s*(\d+)")


@dataclass
class Count:
    """What one contestant needs in one scenario.

    Args:
        scenario: its name.
        contestant: its name.
        per_operation: the count of one operation, or None.
        calls: system calls by name, per operation.
        reason: why there is no count.
    """

    scenario: str
    contestant: str
    per_operation: float | None = None
    calls: dict[str, float] = field(default_factory=dict)
    reason: str = ""


def main() -> int:
    """Counts, and writes a table and a JSON file."""
    options = arguments().parse_args()
    scenarios.load()
    try:
        chosen = select(options.scenarios or [*INSIDE, *SERVED], Tier.COMPLETE)
        contestants = [parse(text) for text in options.loops or list(KNOWN)[:4]]
    except (ValueError, ContestantError) as error:
        sys.stderr.write(f"counts.py: {error}\n")
        return 2
    served = [one for one in chosen if one.load]
    inside = [one for one in chosen if not one.load]
    settings = Settings(options.python, find_load(options.load) if served else None, pinned=False)
    floors = [Contestant(name) for name in FLOORS] if settings.load_folder else []
    calls, instructions = [], []
    notes = []
    if shutil.which("strace"):
        pairs = [(one, who) for one in chosen for who in (*contestants, *floors) if fits(one, who, settings)]
        calls = [count_calls(*pair, settings) for pair in pairs]
    else:
        notes.append("System calls were not counted: strace is not on PATH.")
    if options.no_instructions:
        notes.append("Instructions were not counted, as asked.")
    elif shutil.which("valgrind"):
        instructions = [count_instructions(one, who, settings) for one in inside for who in contestants]
    else:
        notes.append("Instructions were not counted: valgrind is not on PATH.")
    write(options.out, calls, instructions, notes)
    return 0


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description="Count system calls and user instructions per operation.")
    parser.add_argument(
        "--loops", type=lambda text: text.split(","), help="default: asyncio,uvloop,rloop,maypole"
    )
    parser.add_argument("--scenarios", nargs="*", default=[], metavar="GLOB")
    parser.add_argument("--python", default=sys.executable, help="the interpreter that is counted")
    parser.add_argument(
        "--load", type=Path, help="folder of maypole-load and the floor servers; else cargo builds them"
    )
    parser.add_argument("--no-instructions", action="store_true", help="system calls only")
    parser.add_argument(
        "--out", type=Path, default=HERE / "results" / "counts", help="report files, without suffix"
    )
    return parser


def fits(scenario: Scenario, contestant: Contestant, settings: Settings) -> bool:
    """Whether this pair can be counted at all."""
    if scenario.load and settings.load_folder is None:
        return False
    return scenario.floor or not contestant.is_floor


def count_calls(scenario: Scenario, contestant: Contestant, settings: Settings) -> Count:
    """System calls per operation."""
    run = served_calls if scenario.load else inside_calls

    def once(operations: int) -> Counter[str]:
        with tempfile.TemporaryDirectory(prefix="maypole-counts-") as folder:
            return run(scenario, contestant, settings, operations, Path(folder))

    return slope(scenario, contestant, once, "system calls")


def count_instructions(scenario: Scenario, contestant: Contestant, settings: Settings) -> Count:
    """User instructions per operation."""

    def once(operations: int) -> Counter[str]:
        words = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--error-exitcode=0"]
        with Started([*words, *counted_words(scenario, contestant, settings, operations)]) as child:
            child.finish(LIMIT_S)
            found = COLLECTED.search(child.errors())
        if found is None:
            raise ProcessFailed("callgrind told no count")
        return Counter(instructions=int(found[1]))

    return slope(scenario, contestant, once, "instructions")


def slope(
    scenario: Scenario, contestant: Contestant, once: Callable[[int], Counter[str]], what: str
) -> Count:
    """The count per operation, from a short and a long run."""
    sys.stderr.write(f"{what}: {scenario.name}, {contestant.name}\n")
    count = Count(scenario.name, contestant.name)
    try:
        short, long = once(SHORT), once(LONG)
    except ProcessFailed as error:
        count.reason = str(error)
        return count
    count.calls = {name: (long[name] - short[name]) / (LONG - SHORT) for name in long}
    count.per_operation = sum(count.calls.values())
    return count


def counted_words(
    scenario: Scenario, contestant: Contestant, settings: Settings, operations: int
) -> list[str]:
    """The command line of a process that does so many operations and nothing else."""
    scale = operations / scenario.count
    return child_words(scenario, contestant, settings, scale=scale, counted=True, limit_s=LIMIT_S)


def inside_calls(
    scenario: Scenario, contestant: Contestant, settings: Settings, operations: int, folder: Path
) -> Counter[str]:
    """The system calls of a process that measures itself."""
    summary = folder / "calls"
    words = [
        "strace",
        "-f",
        "-c",
        "-o",
        str(summary),
        *counted_words(scenario, contestant, settings, operations),
    ]
    with Started(words) as child:
        child.finish(LIMIT_S)
    return read_summary(summary)


def served_calls(
    scenario: Scenario, contestant: Contestant, settings: Settings, operations: int, folder: Path
) -> Counter[str]:
    """The system calls of a server under load."""
    assert scenario.load is not None
    summary = folder / "calls"
    address = address_for(scenario.load, folder)
    with Started(
        [
            "strace",
            "-f",
            "-c",
            "-o",
            str(summary),
            *server_words(scenario, contestant, settings, address, limit_s=LIMIT_S),
        ]
    ) as server:
        pid = server.line(READY_S)["pid"]
        words = load_words(
            scenario, scenario.load, settings, address, requests=operations, warmup=SHORT, limit_s=LIMIT_S
        )
        with Started(words) as generator:
            report = generator.finish(LIMIT_S)
        # The server alone: strace ends with it, and writes its summary then.
        os.kill(pid, signal.SIGTERM)
        server.process.wait(LIMIT_S)
    if report["requests"] != operations:
        raise ProcessFailed(f"{report['requests']} of {operations} answered: {report['first_error']}")
    return read_summary(summary)


def read_summary(path: Path) -> Counter[str]:
    """Calls by name from the table that `strace -c` writes."""
    calls: Counter[str] = Counter()
    for line in path.read_text().splitlines():
        words = line.split()
        if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
            calls[words[-1]] += int(words[3])
    return calls


def write(out: Path, calls: list[Count], instructions: list[Count], notes: list[str]) -> None:
    """Both tables, as Markdown and as JSON."""
    machine = describe()
    parts = [f"# Counts\n\n{machine['cpu']}, {machine['kernel']}, {machine['python']}.", *notes]
    if calls:
        parts.append("## System calls per operation\n\n" + table(calls, "{:.2f}"))
        parts.append("Which: per operation, above 0.05.\n\n" + "\n".join(which(calls)))
    if instructions:
        parts.append("## User instructions per operation\n\n" + table(instructions, "{:,.0f}"))
    failures = [
        f"- `{one.scenario}`, {one.contestant}: {one.reason}" for one in (*calls, *instructions) if one.reason
    ]
    if failures:
        parts.append("## Not counted\n\n" + "\n".join(failures))
    text = "\n\n".join(parts) + "\n"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.with_suffix(".md").write_text(text)
    both = {"calls": [vars(one) for one in calls], "instructions": [vars(one) for one in instructions]}
    out.with_suffix(".json").write_text(json.dumps({"machine": machine, "notes": notes, **both}, indent=1))
    sys.stdout.write(text)


def table(counts: list[Count], form: str) -> str:
    """A row for each scenario, a column for each contestant."""
    names = list(dict.fromkeys(one.contestant for one in counts))
    by_cell = {(one.scenario, one.contestant): one for one in counts}
    lines = ["| scenario | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
    for scenario in dict.fromkeys(one.scenario for one in counts):
        cells = []
        for name in names:
            one = by_cell.get((scenario, name))
            cells.append(
                ""
                if one is None
                else "failed"
                if one.per_operation is None
                else form.format(one.per_operation)
            )
        lines.append(f"| `{scenario}` | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def which(counts: list[Count]) -> list[str]:
    """One line for each pair: its system calls by name."""
    lines = []
    for one in counts:
        often = sorted(((share, name) for name, share in one.calls.items() if share > 0.05), reverse=True)
        if often:
            lines.append(
                f"- `{one.scenario}`, {one.contestant}: "
                + ", ".join(f"{name} {share:.2f}" for share, name in often)
            )
    return lines


if __name__ == "__main__":
    sys.exit(main())
