"""Whatever user code does wherever a loop calls it, the process lives and asyncio's error arrives."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache

import pytest
from harness.children import PATIENCE, start_module
from harness.kinds import ASYNCIO, MAYPOLE, MODE
from torture.misconduct import MISCONDUCTS
from torture.protocol_places import PLACES

TIMEOUT_S = 500

#: All pairs are tried in one process: half a minute where the machine is free, many times that elsewhere.
pytestmark = pytest.mark.timeout(2 * TIMEOUT_S * PATIENCE + 50)

SHOWN_ANYWAY = "asyncio lets what `__repr__` raises end the loop; maypole reports the callback without it"
CLOSED_TWICE = "asyncio's transport loses its connection twice when it is closed in a flow-control method"
IN_A_TASK = "asyncio accepts in a task, whose exception is then reported as never retrieved as well"
CANCELLED = "asyncio's handle of the reader is cancelled by then and has lost its name"
DIFFERENT = {
    ("repr_of_callback", "raises"): SHOWN_ANYWAY,
    ("repr_of_callback", "raises_stop_iteration"): SHOWN_ANYWAY,
    ("repr_of_callback", "closes_and_raises"): SHOWN_ANYWAY,
    ("repr_of_callback", "closes_the_loop"): SHOWN_ANYWAY,
    ("repr_of_callback", "reenters"): SHOWN_ANYWAY,
    ("protocol_pause_writing", "closes"): CLOSED_TWICE,
    ("protocol_pause_writing", "closes_and_raises"): CLOSED_TWICE,
    ("protocol_resume_writing", "closes"): CLOSED_TWICE,
    ("protocol_resume_writing", "aborts"): CLOSED_TWICE,
    ("protocol_resume_writing", "closes_and_raises"): CLOSED_TWICE,
    ("server_factory", "interrupts"): IN_A_TASK,
    ("server_factory", "exits"): IN_A_TASK,
    ("datagram_datagram_received", "closes_and_raises"): CANCELLED,
    ("datagram_error_received", "closes_and_raises"): CANCELLED,
}

# A task of asyncio's own type waits for ever on maypole, too.
if (3, 12) <= sys.version_info < (3, 12, 2) and MODE != "c":
    DIFFERENT["executor_job", "raises_stop_iteration"] = (
        "asyncio waits for ever; from Python 3.12.2 on, and on maypole, a RuntimeError arrives"
    )

#: Whether these still find the scenario running is a matter of time.
MAY_BE_LATE = frozenset({"cancels_every_task", "stops_the_loop"})

Outcomes = dict[tuple[str, str], dict[str, list[str]]]


@cache
def outcomes() -> tuple[Outcomes, Outcomes]:
    """What came of every pair on asyncio and on maypole."""
    children = [
        start_module("torture.misconduct_in_places", ASYNCIO.spec, MAYPOLE_TEST_MODE=""),
        start_module("torture.misconduct_in_places", MAYPOLE.spec),
    ]
    asyncio_own, maypole_own = [read(child) for child in children]
    return asyncio_own, maypole_own


def read(child: subprocess.Popen[str]) -> Outcomes:
    """The outcomes that a child has printed; one that died has printed where."""
    try:
        out, err = child.communicate(timeout=TIMEOUT_S * PATIENCE)
    finally:
        child.kill()
        child.communicate()
    last = out.rpartition("\n")[2]
    assert child.returncode == 0, f"exit code {child.returncode} in {last}\n{err[-3000:]}"
    found = {}
    for line in out.splitlines():
        pair, _, outcome = line.partition("\t")
        place, kind = json.loads(pair)
        found[place, kind] = json.loads(outcome)
    return found


DEBUG = bool(os.environ.get("PYTHONASYNCIODEBUG"))
ACCEPTING_CANCELLED = "Error on transport creation for incoming connection: CancelledError()"


@pytest.mark.parametrize("place", PLACES)
def test_misconduct_ends_as_on_asyncio(place: str) -> None:
    for kind in MISCONDUCTS:
        expected, found = (outcome[place, kind] for outcome in outcomes())
        if DEBUG:
            # asyncio accepts in a task, and tells in debug mode that it was cancelled; here there is none.
            expected["told"] = [line for line in expected["told"] if ACCEPTING_CANCELLED not in line]
        assert found["seen"][-1] == "alive", (kind, found)
        if kind in MAY_BE_LATE:
            for outcome in (expected, found):
                outcome["seen"] = [line for line in outcome["seen"] if "the run ended" not in line]
        if (place, kind) not in DIFFERENT:
            assert (kind, found) == (kind, expected)


def test_every_difference_from_asyncio_is_still_one() -> None:
    expected, found = outcomes()
    assert [pair for pair in DIFFERENT if found[pair] == expected[pair]] == []
