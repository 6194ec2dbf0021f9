#!/usr/bin/env python3
"""Measures what it costs to look at a program: our switches beside other tools.

    python benches/observing/run.py
    python benches/observing/run.py --programs echo,requests --rounds 9 --scale 0.5

Each cell is a process of its own, and counts CPU time of the whole process, threads included; load is made by
another one. A round runs all cells in another order. Each is compared with its base of the same round, and
the median of the ratios is printed, with the smallest and the largest.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from applications import APPLICATIONS
from measuring.loader import find_load
from programs import PROGRAMS
from switches import SWITCHES

CELL_S_MAX = 240.0
ALL = PROGRAMS | APPLICATIONS


def main() -> int:
    """Read the command line, measure, print a table in Markdown."""
    parser = argparse.ArgumentParser(description="Measure what it costs to look at a program.")
    parser.add_argument("--programs", default=",".join(ALL), help="names, separated by commas")
    parser.add_argument("--switches", default=";".join(SWITCHES), help="names, separated by semicolons")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="factor on all numbers of operations")
    parser.add_argument("--load", type=Path, help="folder of the load generator, which else is built")
    parser.add_argument("--cell", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        print(measure(*options.cell, options.scale))
        return 0
    programs, switches = options.programs.split(","), options.switches.split(";")
    unknown = (set(programs) - set(ALL)) | (set(switches) - set(SWITCHES))
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    if {"fastapi", "aiohttp"} & set(programs):
        folder = find_load(options.load)
        if folder is None:
            return 1
        os.environ["MAYPOLE_LOAD"] = str(folder)
    found: dict[tuple[str, str], list[float]] = {}
    for number in range(options.rounds):
        cells = [(switch, program) for switch in switches for program in programs]
        random.Random(number).shuffle(cells)
        for cell in cells:
            found.setdefault(cell, []).append(run_cell(*cell, options.scale))
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    print(table(found, programs, switches))
    return 0


def run_cell(switch: str, program: str, scale: float) -> float:
    """Measure in a process of its own; not a number where it fails."""
    command = [sys.executable, __file__, "--scale", str(scale), "--cell", switch, program]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CELL_S_MAX)
    except subprocess.TimeoutExpired:
        return float("nan")
    if done.returncode:
        print(f"{switch}, {program}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return float("nan")
    return float(done.stdout.split()[-1])


def measure(switch: str, program: str, scale: float) -> float:
    """Microseconds of CPU time for one operation, after a tenth of the work to warm up."""
    spec, around = SWITCHES[switch]
    module, _, name = spec.partition(":")
    body, count = ALL[program]
    count = max(100, int(count * scale))
    with asyncio.Runner(loop_factory=getattr(importlib.import_module(module), name)) as runner:
        loop = runner.get_loop()

        async def run() -> float:
            with around(loop):
                await body(count // 10)
                gc.collect()
                began_s = time.process_time()
                await body(count)
                return time.process_time() - began_s

        return runner.run(run()) / count * 1e6


def table(found: dict[tuple[str, str], list[float]], programs: list[str], switches: list[str]) -> str:
    """One row for each switch: µs for a base, ratios to it for the others."""
    lines = ["| | " + " | ".join(programs) + " |", "|---" * (len(programs) + 1) + "|"]
    for switch in switches:
        base = switch.partition(",")[0]
        cells = []
        for program in programs:
            mine = found[switch, program]
            if switch == base or (base, program) not in found:
                cells.append(f"{statistics.median(mine):.2f} µs")
                continue
            ratios = sorted(
                one / other for one, other in zip(mine, found[base, program], strict=True) if one == one
            )
            if not ratios:
                cells.append("failed")
                continue
            middle = statistics.median(ratios)
            cells.append(f"x{middle:.3g} ({ratios[0]:.3g} to {ratios[-1]:.3g})")
        lines.append(f"| {switch} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
