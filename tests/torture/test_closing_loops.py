"""A thousand loops leave no descriptor, thread or object; a loop may be closed while threads hammer it."""

from __future__ import annotations

from harness.children import run_module
from harness.kinds import LoopKind
from torture.rounds import ROUNDS, SEED

LOOPS = 1000
HAMMERED = 60


def test_closed_loops_leave_nothing(loop_kind: LoopKind) -> None:
    done = run_module(
        "torture.closing_loops",
        loop_kind.spec,
        SEED,
        LOOPS * ROUNDS,
        HAMMERED * ROUNDS,
        timeout_s=50 * ROUNDS,
        MALLOC_ARENA_MAX="1",
    )
    assert done.exit_code == 0, f"seed {SEED}: exit code {done.exit_code}\n{done.err[-3000:]}"
    *complaints, summary = done.lines
    assert complaints == [], f"seed {SEED}"
    assert summary.startswith("done")
