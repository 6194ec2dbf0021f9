"""The five course mains in real time on maypole, then the course's progression on asyncio and on maypole.

    python tools/demo.py        what `make demo` runs after it has built maypole

The mains wait up to a minute in all. Progress goes to standard error, results to standard output.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from progression import STEPS, Measured, NewLoop, Step, measure, uniform_delays
from waiting import Waiting

try:
    import maypole
    from maypole import _maypole
except ImportError as error:
    sys.exit(f"demo: maypole is not built for this Python ({error}); `make demo` does it")

COURSE = Path(__file__).resolve().parent.parent / "course" / "0x01-python_async_function"
LOOPS: dict[str, NewLoop] = {"asyncio": asyncio.SelectorEventLoop, "maypole": maypole.new_event_loop}

WAITS, MOST_S, SEED = 8, 0.5, 7
MANY, MANY_MOST_S, ROUNDS = 1000, 0.001, 3
EQUAL_S = 0.1


def main() -> None:
    """Run both parts."""
    profile = _maypole.build_info()["profile"]
    print(f"maypole {maypole.__version__} ({profile} build), Python {sys.version.split()[0]}")
    run_mains()
    delays = uniform_delays(WAITS, MOST_S, SEED)
    print_progression(delays)
    print_theory(delays)
    print_cpu_time()


def run_mains() -> None:
    """Run each main as a program of its own, in real time."""
    print("\nThe five mains on maypole. They wait in real time, up to a minute in all; on the virtual")
    print("clock (maypole run --clock virtual 0-main.py) the same programs are done at once.")
    for number in range(5):
        name = f"{number}-main.py"
        print(f"\n$ maypole run {name}", flush=True)
        start = time.perf_counter()
        with Waiting(name):
            command = [sys.executable, "-m", "maypole", "run", name]
            done = subprocess.run(command, cwd=COURSE, stdout=subprocess.PIPE, text=True)
        if done.returncode:
            sys.exit(f"demo: {name} ended with exit code {done.returncode}")
        print(f"{done.stdout.rstrip()}\n  ({time.perf_counter() - start:.1f} s)", flush=True)


def print_progression(delays: list[float]) -> None:
    """Print what the four steps take with the same delays, in seconds."""
    measured = {}
    for loop in LOOPS:
        for step in STEPS:
            with Waiting(f"{step.name} on {loop}"):
                measured[step.name, loop] = measure(step, delays, LOOPS[loop])
    print("\nSequential -> Concurrent -> Task-based -> Optimized")
    print(f"{WAITS} waits, the same in every step (s): {', '.join(f'{delay:.3f}' for delay in delays)}\n")
    heads = row("theory", *LOOPS)
    print(f"{'':<12}{'until the last result (s)':>30}  {'mean time of a result (s)':>30}")
    print(f"{'':<12}{heads}  {heads}")
    for step in STEPS:
        runs = [measured[step.name, loop] for loop in LOOPS]
        totals = row(step.total_s(delays), *(run.total_s for run in runs))
        means = row(step.mean_s(delays), *(run.mean_s for run in runs))
        print(f"{step.name:<12}{totals}  {means}")
    print("\nWhat theory says of the time until the last result, and of the mean:")
    for step in STEPS:
        print(f"  {step.name:<12}{step.says}")


def row(*cells: float | str) -> str:
    """Set numbers and words in columns of ten."""
    return "".join(f"{cell:>10}" if isinstance(cell, str) else f"{cell:10.3f}" for cell in cells)


def print_theory(delays: list[float]) -> None:
    """Say what the speed-up is, and when it would be n."""
    n = len(delays)
    print(f"\nSpeed-up, sequential / concurrent: {sum(delays) / max(delays):.2f} with these delays.")
    print(f"  Delays drawn evenly from 0 to d: n*d/2 = {n * MOST_S / 2:.2f} s one after another,")
    print(f"  n/(n+1)*d = {n / (n + 1) * MOST_S:.2f} s at once: expect (n+1)/2 = {(n + 1) / 2:.1f}, not n.")
    equal = [EQUAL_S] * n
    with Waiting("equal delays"):
        ratio = time_of(STEPS[0], equal).total_s / time_of(STEPS[1], equal).total_s
    print(f"  n is reached when all delays are equal: {n} waits of {EQUAL_S} s on maypole give {ratio:.2f}.")


def time_of(step: Step, delays: list[float]) -> Measured:
    return measure(step, delays, maypole.new_event_loop)


def print_cpu_time() -> None:
    """Print what a wait costs in CPU time; that, and not the waiting, is what a loop can change."""
    delays = uniform_delays(MANY, MANY_MOST_S, SEED)
    best: dict[tuple[str, str], float] = {}
    with Waiting("CPU time"):
        for _ in range(ROUNDS):
            for step in STEPS:
                for loop, new_loop in LOOPS.items():
                    cpu_s = measure(step, delays, new_loop).cpu_s
                    best[step.name, loop] = min(cpu_s, best.get((step.name, loop), cpu_s))
    waits = f"{MANY} waits of 0 to {MANY_MOST_S * 1000:g} ms"
    print(f"\nCPU time of one wait (us): {waits}, best of {ROUNDS} rounds\n")
    print(f"{'':<12}{row(*LOOPS, 'ratio')}")
    for step in STEPS:
        times = [best[step.name, loop] / MANY * 1e6 for loop in LOOPS]
        print(f"{step.name:<12}{row(*times, times[0] / times[1])}")
    print("\nConcurrent and task-based take the same time when they start together: gather makes tasks too.")
    print(
        "What tasks change is when work begins and who holds it; what as_completed changes is when a result"
    )
    print("can be used. The loop changes none of that, only what each wait costs.")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
