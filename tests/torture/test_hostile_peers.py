"""Peers that reset, half-close, stall, send single bytes, flood and send garbage hurt nobody else."""

from __future__ import annotations

from harness.children import run_module
from harness.kinds import LoopKind
from torture.rounds import ROUNDS, SEED

PEERS_PER_THREAD = 60


def test_hostile_peers_hurt_nobody_else(loop_kind: LoopKind) -> None:
    count = PEERS_PER_THREAD * ROUNDS
    done = run_module("torture.hostile_peers", loop_kind.spec, SEED, count, timeout_s=50 * ROUNDS)
    assert done.exit_code == 0, f"seed {SEED}: exit code {done.exit_code}\n{done.err[-3000:]}"
    assert done.lines == ["done"], f"seed {SEED}"
