"""What holds the next that holds the next is freed whole, however long the row: the stack is not."""

from __future__ import annotations

import pytest
from harness.children import run_module
from harness.kinds import ASYNCIO, MAYPOLE, MODE, LoopKind
from torture.long_chains import KINDS
from torture.rounds import ROUNDS

LENGTH = 60_000
# asyncio frees its own futures on the stack, also those of a maypole loop: longer rows end that process.
LONGER = LENGTH if MODE == "c" else LENGTH * (1 + ROUNDS)


@pytest.mark.parametrize("row", KINDS)
def test_a_long_row_is_freed(row: str, loop_kind: LoopKind) -> None:
    drop(row, loop_kind, LENGTH if loop_kind.spec == ASYNCIO.spec else LONGER)


@pytest.mark.parametrize("row", KINDS)
def test_a_long_row_of_natives_is_freed(row: str) -> None:
    drop(row, MAYPOLE, LONGER, "installed")


def drop(row: str, kind: LoopKind, length: int, *words: str) -> None:
    done = run_module("torture.long_chains", row, kind.spec, length, *words, timeout_s=60 * ROUNDS)
    assert done.exit_code == 0, done.err[-3000:]
    assert done.lines == ["built", "gone"]
