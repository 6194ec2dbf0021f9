"""Forks inside a running loop, with and without exec, leave the parent's connections and timers alone."""

from __future__ import annotations

from harness.children import run_module
from harness.kinds import LoopKind


def test_forks_leave_the_parent_alone(loop_kind: LoopKind) -> None:
    done = run_module("torture.forks", loop_kind.spec)
    assert done.exit_code == 0, done.err[-3000:]
    assert done.lines == [
        "program",
        "run_program: 0",
        "die: 0",
        "run_own_loop: 0",
        "forget_inherited_loop: 0",
        "call_into_inherited_loop: 0",
        "multiprocessing: 0",
        "done",
    ]
