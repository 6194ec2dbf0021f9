"""Cancelled at any await, an operation closes no foreign descriptor, leaks none, sends nobody wrong bytes."""

from __future__ import annotations

import pytest
from harness.children import run_module
from harness.kinds import LoopKind
from torture.operations import OPERATIONS
from torture.rounds import ROUNDS, SEED

#: On asyncio a child whose start is cancelled leaves its pidfd open: there is nothing to compare with.
LEAKS_ON_ASYNCIO = frozenset({"subprocess_exec", "subprocess_shell"})


@pytest.mark.parametrize("operation", OPERATIONS)
def test_cancelled_at_every_await(operation: str, loop_kind: LoopKind) -> None:
    if loop_kind.name == "asyncio" and operation in LEAKS_ON_ASYNCIO:
        pytest.skip("asyncio leaks a descriptor here")
    done = run_module("torture.cancel_points", loop_kind.spec, operation, SEED, ROUNDS, timeout_s=50 * ROUNDS)
    assert done.exit_code == 0, f"seed {SEED}: exit code {done.exit_code}\n{done.err[-3000:]}"
    *complaints, summary = done.lines
    assert complaints == [], f"seed {SEED}"
    awaits = int(summary.split()[1])
    assert awaits >= 1, summary
