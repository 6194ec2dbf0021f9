"""Nothing that user code does ends the process: random programs, each reproducible from its seed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("random_program.py")

ENVIRONMENTS = {
    "plain": {},
    "debug allocator": {"PYTHONMALLOC": "debug"},
    "debug mode": {"PYTHONASYNCIODEBUG": "1"},
}


def run(
    seed: int, steps: int, environment: dict[str, str], *prelude: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *prelude, str(PROGRAM), str(seed), str(steps)]
    return subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=55, check=False
    )


@pytest.mark.parametrize("environment", ENVIRONMENTS)
@pytest.mark.parametrize("seed", range(4))
def test_loop_outlives_a_random_program(seed: int, environment: str) -> None:
    done = run(seed, 150, ENVIRONMENTS[environment])
    assert (done.returncode, done.stdout) == (0, "survived\n"), f"seed {seed}:\n{done.stderr[-3000:]}"


GC_EVERY_TIME = (
    "import gc, sys, runpy; gc.set_threshold(1); del sys.argv[0]; "
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


@pytest.mark.parametrize("seed", range(10, 12))
def test_loop_outlives_a_collection_at_every_allocation(seed: int) -> None:
    done = run(seed, 40, {"PYTHONMALLOC": "debug"}, "-c", GC_EVERY_TIME)
    assert (done.returncode, done.stdout) == (0, "survived\n"), f"seed {seed}:\n{done.stderr[-3000:]}"
