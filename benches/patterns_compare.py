"""Other libraries' patterns: which known failures they have, and what a call costs, beside maypole's.

    python -m pip install -r benches/patterns/requirements.txt
    python benches/patterns_compare.py                 failures and costs
    python benches/patterns_compare.py --failures      failures only, in under two minutes
    python benches/patterns_compare.py --costs --rounds 9

Writes benches/results/patterns.json and patterns.md. What is not installed is shown as such. The exit code is
1 when maypole fails a check.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from measuring import machine
from patterns import breakers, costs, limiters, others
from patterns.checks import CHECKS, FAILURES, Answer, Check, version

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
TIMEOUT_S = 60
MODULES = (breakers, limiters, others)  # importing them registers their checks


def main() -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--failures", action="store_true", help="only look for failures")
    parser.add_argument("--costs", action="store_true", help="only measure costs")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of measuring (9)")
    parser.add_argument("--one", nargs=2, metavar=("FAILURE", "LIBRARY"), help=argparse.SUPPRESS)
    parser.add_argument("--cost", nargs=2, metavar=("WHAT", "LIBRARY"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        return answer_here(*arguments.one)
    if arguments.cost:
        return costs.measure_here(*arguments.cost)
    both = arguments.failures == arguments.costs
    path = RESULTS / "patterns.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() and not both else {}
    found["machine"] = machine.describe()
    if both or arguments.failures:
        found["failures"] = [look_for(check) for check in CHECKS]
    if both or arguments.costs:
        found["costs"] = costs.measure_all(arguments.rounds, str(Path(__file__)))
    path.write_text(json.dumps(found, indent=1) + "\n")
    page = report(found)
    (RESULTS / "patterns.md").write_text(page)
    print(page)
    lost = [one for one in found.get("failures", []) if one["library"] == "maypole" and not one["passes"]]
    return 1 if lost else 0


def look_for(check: Check) -> dict[str, Any]:
    """Run one check in a process of its own."""
    installed = version(check.library)
    row: dict[str, Any] = {"failure": check.failure, "library": check.library, "version": installed}
    if installed is None:
        return row | {"passes": None, "seen": "not installed"}
    command = [sys.executable, "-W", "ignore", __file__, "--one", check.failure, check.library]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return row | {"passes": False, "seen": f"no answer in {TIMEOUT_S} s"}
    if done.returncode:
        return row | {"passes": None, "seen": f"could not be asked: {done.stderr.strip().splitlines()[-1]}"}
    print(f"{check.failure}: {check.library}", file=sys.stderr, flush=True)
    return row | json.loads(done.stdout.splitlines()[-1])


def answer_here(failure: str, library: str) -> int:
    """Find one answer, and print it."""
    check = next(one for one in CHECKS if (one.failure, one.library) == (failure, library))

    async def find() -> Answer:
        return await check.run()

    answer = asyncio.run(find())
    print(json.dumps({"passes": answer.passes, "seen": answer.seen}))
    return 0


def report(found: dict[str, Any]) -> str:
    """All tables, as Markdown."""
    here = found["machine"]
    lines = [
        "# Patterns beside other libraries",
        "",
        "Written by a program; [what it means](../../docs/guide/patterns/comparison.md).",
        "",
        f"`python benches/patterns_compare.py` on {here['cpu']}, {here['cpus']} CPUs, {here['python']} "
        f"({here['python_build']}), load average {here['load_average']:.1f}.",
        "",
    ]
    if "failures" in found:
        lines += failures(found["failures"])
    if "costs" in found:
        lines += costs.tables(found["costs"])
    return "\n".join(lines) + "\n"


def failures(rows: list[dict[str, Any]]) -> list[str]:
    """One table: each question, and who passes it."""
    lines = ["## Known failures", "", "| must hold | library | | seen |", "|---|---|---|---|"]
    for failure, question in FAILURES.items():
        asked = [row for row in rows if row["failure"] == failure]
        for row in sorted(asked, key=lambda row: row["library"] != "maypole"):
            verdict = {True: "passes", False: "**fails**", None: "?"}[row["passes"]]
            name = f"{row['library']} {row['version'] or ''}".strip()
            lines.append(f"| {question} | {name} | {verdict} | {row['seen'].replace('|', '/')} |")
            question = ""
    return [*lines, ""]


if __name__ == "__main__":
    sys.exit(main())
