"""Without memory the loop raises `MemoryError`; it never ends the process, and works again afterwards.

Nothing is compared with asyncio, which may hang where memory is short.
"""

from __future__ import annotations

import pytest
from harness.children import run_module
from harness.kinds import MAYPOLE
from torture.memory_runs_out import SCENARIOS
from torture.rounds import SEED

#: In debug mode tasks are asyncio's own, kept in a set that loops for ever when it is full and cannot grow;
#: and each of hundreds of thousands of handles keeps the stack that made it.
NOT_IN_DEBUG_MODE = pytest.mark.not_in_debug_mode("asyncio's own tasks may hang where memory is short")
NOT_WITH_C_TASKS = pytest.mark.not_in_mode("c", "asyncio's own tasks may hang where memory is short")
MARKS = {"starvation": (NOT_IN_DEBUG_MODE, NOT_WITH_C_TASKS), "copies": (NOT_IN_DEBUG_MODE,)}


@pytest.mark.parametrize("scenario", [pytest.param(name, marks=MARKS.get(name, ())) for name in SCENARIOS])
def test_the_loop_outlives_a_lack_of_memory(scenario: str) -> None:
    done = run_module("torture.memory_runs_out", MAYPOLE.spec, scenario, SEED, MALLOC_ARENA_MAX="1")
    assert done.exit_code == 0, f"seed {SEED}: exit code {done.exit_code}\n{done.err[-3000:]}"
    assert done.lines[-1] == "works", f"seed {SEED}"
