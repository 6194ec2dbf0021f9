"""Interrupted at random points, the loop has run each queued callback once, or has it still queued."""

from __future__ import annotations

import pytest
from harness.children import run_module
from torture.rounds import ROUNDS, SEED

COUNT = 15_000


@pytest.mark.not_in_debug_mode(
    "handles then run in Python, which an interruption can end before the callback"
)
def test_interrupts_lose_no_callback() -> None:
    done = run_module("torture.interrupts", SEED, COUNT * ROUNDS, timeout_s=50 * ROUNDS)
    assert done.exit_code == 0, f"seed {SEED}: exit code {done.exit_code}\n{done.err[-3000:]}"
    outcome, summary = done.lines
    assert outcome == "lost [], run twice [], in order True", f"seed {SEED}"
    assert int(summary.split()[2]) > 20, summary
