"""Run CPython's own asyncio tests, as they are installed with Python, on an event loop.

    python tests/conformance/run.py --loop maypole:new_event_loop
    python tests/conformance/run.py --loop asyncio:new_event_loop test_events test_ssl
    python tests/conformance/run.py --loop maypole:new_event_loop --only '*signal*' --verbose

Every module runs in its own process, every test has a time limit, and a test that fails, hangs or crashes
is followed by a new process. A test that fails is run again alone, then on asyncio's own loop on this
machine: what fails there too says nothing about the loop under test. Accepted differences stand in
accepted.toml, with reasons.

The exit code is 1 when a test fails that is not accepted, or one passes that is.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from processes import Answer, ModuleRun, Suite
from verdict import Differences, Verdict, judge, short

ACCEPTED = Path(__file__).resolve().parent / "accepted.toml"
SHOWN_MAX = 25
CONTROL = "asyncio:new_event_loop"

# Longest first, so that the processes end together.
ASYNCIO_MODULES = """
    test_tasks test_events test_subprocess test_ssl test_sendfile test_sslproto test_streams
    test_sock_lowlevel test_base_events test_unix_events test_server test_runners test_taskgroups
    test_timeouts test_waitfor test_locks test_queues test_futures test_futures2 test_pep492
    test_context test_buffered_proto test_eager_task_factory test_threads test_staggered
    test_free_threading test_graph test_selector_events test_proactor_events test_protocols
    test_transports
"""
MODULES = [
    "event_loop_mixin",
    *(f"test.test_asyncio.{name}" for name in ASYNCIO_MODULES.split()),
    "test.test_asyncgen",
    "test.test_contextlib_async",
    "test.test_unittest.test_async_case",
]


def parse() -> argparse.Namespace:
    """Read the command line."""
    summary, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--loop", required=True, help="module:factory, such as maypole:new_event_loop")
    parser.add_argument("--python", default=sys.executable, help="the interpreter whose tests run (this one)")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="processes at once (one per CPU)"
    )
    parser.add_argument("--timeout", type=float, default=60, help="seconds for one test (60)")
    parser.add_argument("--only", action="append", default=[], help="run the tests that match this pattern")
    parser.add_argument(
        "--differences", type=Path, help="the accepted differences (accepted.toml for maypole)"
    )
    parser.add_argument("--json", type=Path, help="write all answers to this file")
    parser.add_argument("--verbose", action="store_true", help="print the whole traceback of each failure")
    parser.add_argument("modules", nargs="*", help="test_events, test_ssl, … (all)")
    return parser.parse_args()


def version_of(python: str) -> str | None:
    """The interpreter's version, such as ``3.12.1``; None if it has no ``test`` package."""
    code = "import platform, test.test_asyncio.utils; print(platform.python_version())"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def accepted_for(loop: str, python: str, differences: Path | None = None) -> Differences:
    """The accepted differences: those of the project belong to its own loop only, unless a file is named."""
    found = Differences.read(differences or ACCEPTED, python, loop)
    if differences is None and not loop.startswith("maypole"):
        found.accepted.clear()
    return found


def run_module(
    suite: Suite, module: str, differences: Differences, only: list[str]
) -> tuple[ModuleRun, Verdict]:
    """Run one module; then its failures again, alone, and on asyncio's own loop."""

    def wanted(test_id: str) -> bool:
        chosen = not only or any(fnmatchcase(short(test_id), f"*{pattern}*") for pattern in only)
        return chosen and differences.wanted(test_id)

    run = suite.run(module, wanted)
    verdict = judge(run, differences)
    if verdict.failed:
        again = suite.run(module, verdict.failed.__contains__)
        first = verdict.failed
        run.answers |= {name: answer for name, answer in again.answers.items() if not answer.bad}
        verdict = judge(run, differences)
        verdict.unsteady = {name: answer for name, answer in first.items() if name not in verdict.failed}
    if verdict.failed and suite.loop != CONTROL:
        control = replace(suite, loop=CONTROL).run(module, verdict.failed.__contains__)
        for name, answer in control.answers.items():
            if answer.bad and name in verdict.failed:
                verdict.control[name] = verdict.failed.pop(name)
    return run, verdict


Told = Callable[[Verdict], None]


def run_modules(
    suite: Suite, modules: list[str], differences: Differences, only: list[str], jobs: int, tell: Told
) -> list[tuple[ModuleRun, Verdict]]:
    """Run modules, several at once, and tell of each when it is done."""
    done: list[tuple[ModuleRun, Verdict]] = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        pending = [pool.submit(run_module, suite, name, differences, only) for name in modules]
        for future in concurrent.futures.as_completed(pending):
            done.append(future.result())
            tell(done[-1][1])
    return done


HEAD = (
    f"{'module':24} {'passed':>7} {'on loop':>8} {'accepted':>9} {'failed':>7} {'skipped':>8} {'seconds':>8}"
)


def row(name: str, verdicts: list[Verdict]) -> str:
    """One line of the table."""
    counts = [
        sum(len(verdict.passed) for verdict in verdicts),
        sum(verdict.on_loop for verdict in verdicts),
        sum(len(verdict.accepted) for verdict in verdicts),
        sum(len(verdict.failed) + len(verdict.surprises) for verdict in verdicts),
        sum(len(verdict.skipped) for verdict in verdicts),
    ]
    seconds = sum(verdict.seconds for verdict in verdicts)
    widths = (7, 8, 9, 7, 8)
    cells = " ".join(f"{count:{width}}" for count, width in zip(counts, widths, strict=True))
    return f"{name:24} {cells} {seconds:8.1f}"


def print_row(verdict: Verdict) -> None:
    """Print the line of one module."""
    name = verdict.module.rpartition(".")[2]
    print(f"{name:24} {verdict.absent}" if verdict.absent else row(name, [verdict]), flush=True)


def print_details(verdicts: list[Verdict], verbose: bool) -> None:
    """Say what was accepted and why, and what was not."""
    reasons: dict[str, list[str]] = {}
    for verdict in verdicts:
        for name, reason in verdict.accepted.items():
            reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        print(f"\naccepted: {reason}")
        for name in names:
            print(f"    {name}")
    for verdict in verdicts:
        for name, answer in verdict.control.items():
            print(f"\nfails on asyncio's own loop too: {short(name)}: {answer.last_line}")
        for name, answer in verdict.unsteady.items():
            print(f"\nUNSTEADY, {answer.status}, then passed alone: {short(name)}: {answer.last_line}")
        for name in verdict.surprises:
            print(f"\nPASSED, though accepted.toml names it: {name}")
        for name, answer in list(verdict.failed.items())[: None if verbose else SHOWN_MAX]:
            print(f"\n{answer.status.upper()} {short(name)}: {answer.last_line}")
            if verbose:
                print(answer.why)
        if not verbose and len(verdict.failed) > SHOWN_MAX:
            print(f"\n… and {len(verdict.failed) - SHOWN_MAX} more of {verdict.module}")


def save(path: Path, loop: str, python: str, runs: list[ModuleRun]) -> None:
    """Write every answer as JSON, for tables and comparisons."""
    rows: dict[str, Answer] = {short(name): answer for run in runs for name, answer in run.answers.items()}
    content = {
        "loop": loop,
        "python": python,
        "tests": {name: vars(answer) for name, answer in sorted(rows.items())},
    }
    path.write_text(json.dumps(content, indent=1) + "\n")


def let_tests_interrupt() -> None:
    """Undo what a shell without job control does to background jobs: some tests interrupt themselves."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> int:
    """Run what the command line says and print the table."""
    let_tests_interrupt()
    arguments = parse()
    version = version_of(arguments.python)
    if version is None:
        print(
            f"SKIPPED: {arguments.python} comes without CPython's own tests (on Debian: libpython3-testsuite)"
        )
        return 0
    differences = accepted_for(arguments.loop, version.rpartition(".")[0], arguments.differences)
    modules = [
        name for name in MODULES if not arguments.modules or name.rpartition(".")[2] in arguments.modules
    ]
    suite = Suite(arguments.python, arguments.loop, arguments.timeout)
    print(f"CPython {version}'s own asyncio tests on {arguments.loop}\n\n{HEAD}", flush=True)
    started = time.monotonic()
    done = run_modules(suite, modules, differences, arguments.only, arguments.jobs, print_row)
    verdicts = [verdict for _, verdict in done]
    print(row("all", verdicts))
    print_details(verdicts, arguments.verbose)
    if arguments.json:
        save(arguments.json, arguments.loop, version, [run for run, _ in done])
    failed = sum(len(verdict.failed) + len(verdict.surprises) for verdict in verdicts)
    print(f"\n{'OK' if not failed else 'FAILED'}: {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
