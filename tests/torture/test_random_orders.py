"""Random programs of tasks, futures, callbacks and helpers run in asyncio's order, event by event."""

from __future__ import annotations

from harness.children import run_module
from torture.rounds import ROUNDS, SEED

PROGRAMS = 200


def test_random_programs_run_in_asyncios_order() -> None:
    first, count = SEED * 100_000, PROGRAMS * ROUNDS
    done = run_module("torture.random_orders", first, count, timeout_s=60 * ROUNDS, PYTHONASYNCIODEBUG="")
    assert done.exit_code == 0, f"{done.out[-6000:]}\n{done.err[-2000:]}"
    assert done.lines == [f"0 of {count} programs from seed {first} differ"]
