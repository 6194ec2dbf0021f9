"""The modes of ``make modes``: what each changes, in every program that the tests start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MODES = Path(__file__).resolve().parent / "modes"
SHOW = """
import asyncio, sys
import maypole

async def main():
    return type(asyncio.current_task()).__module__

with asyncio.Runner(loop_factory=maypole.new_event_loop) as runner:
    print(maypole.run(main()), runner.run(main()), asyncio.Queue.__module__, asyncio.sleep.__module__)
"""


def start(mode: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a Python in a mode."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(MODES),
        "MAYPOLE_TEST_MODE": mode,
        "PYTHONASYNCIODEBUG": "",
    }
    return subprocess.run(
        [sys.executable, *command], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize(
    ("mode", "shown"),
    [
        ("", "maypole._maypole maypole._maypole asyncio.queues asyncio.tasks"),
        ("c", "_asyncio _asyncio asyncio.queues asyncio.tasks"),
        ("installed", "maypole._maypole maypole._maypole maypole maypole._maypole"),
    ],
)
def test_a_mode_holds_in_what_a_program_starts(mode: str, shown: str) -> None:
    itself = start(mode, "-c", SHOW)
    assert (itself.stdout.strip(), itself.stderr) == (shown, "")
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SHOW!r}], check=True)"
    assert start(mode, "-c", child).stdout.strip() == shown


def test_an_unknown_mode_ends_the_program() -> None:
    done = start("C", "-c", "print('ran')")
    assert done.returncode != 0
    assert done.stdout == ""
    assert '"c" or "installed" was expected, got \'C\'' in done.stderr


def test_the_tests_refuse_a_mode_that_they_are_not_in() -> None:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", __file__]
    environment = {**os.environ, "PYTHONPATH": "", "MAYPOLE_TEST_MODE": "c"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "tests/modes on PYTHONPATH" in done.stderr
