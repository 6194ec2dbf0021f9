"""Connections, tasks, timers and TLS, again and again: memory, objects, descriptors and threads stay flat."""

from __future__ import annotations

from harness.children import run_module
from harness.kinds import LoopKind
from torture.rounds import ROUNDS, SEED

CYCLES = 15


def test_memory_stays_flat(loop_kind: LoopKind) -> None:
    cycles = CYCLES * ROUNDS
    # One arena: what the C library keeps for each thread is not what this measures.
    done = run_module(
        "torture.soak", loop_kind.spec, SEED, cycles, timeout_s=50 * ROUNDS, MALLOC_ARENA_MAX="1"
    )
    assert done.exit_code == 0, f"seed {SEED}: exit code {done.exit_code}\n{done.err[-3000:]}"
    summary, *complaints, last = done.lines
    assert (complaints, last) == ([], "done"), f"seed {SEED}: {summary}"
