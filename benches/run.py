#!/usr/bin/env python3
"""Measures event loops against each other; standard library only.

    python benches/run.py --quick
    python benches/run.py --loops asyncio,uvloop,mine=my.loops:factory --scenarios 'tcp.*' --rounds 9

See benches/README.md for what a row means and how to read an interval.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import scenarios
from measuring.cell import CHILD, Settings, measure
from measuring.contestant import FLOORS, KNOWN, Contestant, ContestantError, again, parse
from measuring.loader import find_load
from measuring.machine import load_average
from measuring.markdown import markdown
from measuring.order import order
from measuring.picture import picture
from measuring.process import ProcessFailed, Started
from measuring.results import Results
from measuring.scenario import Scenario, Tier, select
from measuring.service import ServiceMissing, service

HERE = Path(__file__).resolve().parent
#: A quick run begins no further round after this many seconds.
QUICK_BUDGET_S = 270.0
QUICK_ROUNDS, FULL_ROUNDS = 5, 9
PROBE_S = 20.0
#: A cell that failed so often is not tried again in later rounds.
FAILURES_MAX = 2
#: A quick run does this share of the operations.
QUICK_SCALE = 0.4


def main() -> int:
    """Reads the command line, measures, writes the report; 1 when maypole failed in a cell."""
    options = arguments().parse_args()
    options.scale = options.scale or (QUICK_SCALE if options.quick else 1.0)
    scenarios.load()
    try:
        tier = Tier.QUICK if options.quick else Tier.COMPLETE if options.all else Tier.STANDARD
        chosen = select(options.scenarios, tier)
        wanted = [parse(text) for text in options.loops or KNOWN]
    except (ValueError, ContestantError) as error:
        sys.stderr.write(f"run.py: {error}\n")
        return 2
    if options.list:
        print_list(chosen)
        return 0
    load_folder = find_load(options.load) if any(one.load for one in chosen) else None
    results = prepare(options, chosen, wanted, load_folder is not None)
    if not results.contestants:
        sys.stderr.write(f"run.py: none of the loops can be had: {results.absent}\n")
        return 2
    with contextlib.ExitStack() as stack:
        services, missing = start_services(chosen, stack)
        settings = Settings(options.python, load_folder, options.scale, not options.no_pin, services, missing)
        run_rounds(options, results, settings)
    return report(results, options.out)


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(description="Measure event loops against each other.")
    parser.add_argument("--loops", type=lambda text: text.split(","), help=f"default: {','.join(KNOWN)}")
    parser.add_argument("--scenarios", nargs="*", default=[], metavar="GLOB", help="names or globs; any tier")
    parser.add_argument("--reference", default="uvloop", help="the loop that ratios compare with (uvloop)")
    tiers = parser.add_mutually_exclusive_group()
    tiers.add_argument("--quick", action="store_true", help="the quick tier, in under five minutes")
    tiers.add_argument("--all", action="store_true", help="every scenario")
    parser.add_argument("--rounds", type=int, help=f"rounds ({FULL_ROUNDS}; {QUICK_ROUNDS} when quick)")
    parser.add_argument("--budget-s", type=float, help="begin no further round after so many seconds")
    parser.add_argument(
        "--scale", type=float, help=f"factor on all numbers of operations (1; {QUICK_SCALE} when quick)"
    )
    parser.add_argument("--python", default=sys.executable, help="the interpreter that is measured")
    parser.add_argument(
        "--load", type=Path, help="folder of maypole-load and the floors; else cargo builds them"
    )
    parser.add_argument(
        "--out", type=Path, default=HERE / "results" / "latest", help="report files, no suffix"
    )
    parser.add_argument("--no-pin", action="store_true", help="let server and load generator share CPUs")
    parser.add_argument("--no-floors", action="store_true", help="leave the Rust servers out")
    parser.add_argument("--list", action="store_true", help="print the chosen scenarios and end")
    return parser


def print_list(chosen: list[Scenario]) -> None:
    """One line for each scenario."""
    for one in chosen:
        first = (one.body.__doc__ or "").strip().splitlines()[0]
        print(f"{one.name:34} {one.tier.name.lower():9} {one.count:>9,} x {one.unit:11} {first}")


def prepare(
    options: argparse.Namespace, chosen: list[Scenario], wanted: list[Contestant], floors: bool
) -> Results:
    """Asks every loop whether it is there, and adds the A/A row and the floors."""
    results = Results(options.reference, [], chosen, ask(options.python, {"describe": True}), {})
    names = sorted(frozenset().union(*(one.uses for one in chosen)))
    for one in wanted:
        try:
            question = {"factory": one.factory, "native": one.native, "names": names}
            found = ask(options.python, {"probe": question})
        except ProcessFailed as error:
            results.absent[one.name] = str(error).removeprefix("measuring.contestant.ContestantError: ")
            continue
        results.versions[one.name] = found["version"]
        if one.native and not found["native"]:
            results.absent[one.name] = f"{one.native} has no native {' or '.join(names) or 'helper'}"
            continue
        results.contestants.append(one)
        if one.name == options.reference:
            results.contestants.append(again(one))
    if floors and not options.no_floors and any(one.floor for one in chosen):
        results.contestants += [Contestant(name) for name in FLOORS]
    return results


def ask(python: str, question: dict[str, Any]) -> dict[str, Any]:
    """Asks the measured interpreter something, in a process of its own.

    Raises:
        ProcessFailed: it has no answer, as when a loop cannot be had.
    """
    with Started([python, str(CHILD), json.dumps({**question, "limit_s": PROBE_S})]) as child:
        return child.finish(PROBE_S)


def start_services(
    chosen: list[Scenario], stack: contextlib.ExitStack
) -> tuple[dict[str, str], dict[str, str]]:
    """Starts the servers that the chosen scenarios talk to; a missing one is noted with its reason."""
    services, missing = {}, {}
    for name in sorted({one.service for one in chosen if one.service}):
        try:
            services[name] = stack.enter_context(service(name))
        except ServiceMissing as error:
            missing[name] = str(error)
    return services, missing


def run_rounds(options: argparse.Namespace, results: Results, settings: Settings) -> None:
    """All rounds: in each, every scenario on every contestant, in another order each time."""
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else FULL_ROUNDS)
    budget_s = options.budget_s or (QUICK_BUDGET_S if options.quick else float("inf"))
    began = time.monotonic()
    done = 0
    longest_s = 0.0
    for turn in range(rounds):
        before = time.monotonic()
        if turn and before - began + longest_s > budget_s:
            sys.stderr.write(f"the time for {rounds} rounds is not there: {turn} were run\n")
            break
        run_round(results, settings, turn, rounds)
        longest_s = max(longest_s, time.monotonic() - before)
        done = turn + 1
    results.settings.update(
        rounds=done,
        scale=options.scale,
        minutes=(time.monotonic() - began) / 60,
        load_average_after=load_average(),
        pinned=settings.pinned,
        interval="order statistics of the paired ratios",
        services=sorted(settings.services),
        missing=settings.missing,
    )


def run_round(results: Results, settings: Settings, turn: int, rounds: int) -> None:
    """One round."""
    for place, scenario in enumerate(results.scenarios):
        told = f"round {turn + 1}/{rounds}  {place + 1}/{len(results.scenarios)}  {scenario.name:40}"
        sys.stderr.write(f"\r{told}" if sys.stderr.isatty() else f"{told.rstrip()}\n")
        sys.stderr.flush()
        for contestant in order(results.contestants, turn + place):
            if results.failures(scenario, contestant) < FAILURES_MAX:
                results.add(scenario, contestant, turn, measure(scenario, contestant, settings))
    sys.stderr.write("\n")


def report(results: Results, out: Path) -> int:
    """Writes the three files; 1 when maypole itself failed in a cell."""
    out.parent.mkdir(parents=True, exist_ok=True)
    text = markdown(results)
    out.with_suffix(".json").write_text(json.dumps(results.to_json(), indent=1))
    out.with_suffix(".md").write_text(text)
    out.with_suffix(".svg").write_text(picture(results))
    sys.stdout.write(text)
    sys.stderr.write(f"written: {out.with_suffix('.json')}, .md, .svg\n")
    own = [one.name for one in results.contestants if one.factory.startswith("maypole")]
    rows = [results.row(scenario, name) for scenario in results.scenarios for name in own]
    return 1 if any(row.status == "failed" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
