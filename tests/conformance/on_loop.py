"""A pytest plugin: somebody's test suite on the loop under test, with a line of JSON for each test.

``CONFORMANCE_LOOP`` names the loop as ``module:factory``, ``CONFORMANCE_REPORT`` the file of the report.
Loaded by ``-p on_loop``, before anything of the suite is imported.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from substitute import LoopCount, take_places

take_places(os.environ["CONFORMANCE_LOOP"])

REPORT = Path(os.environ["CONFORMANCE_REPORT"])
RANK = ("skipped", "passed", "failed")


class Outcomes:
    """The worst outcome of a test's setup, call and teardown."""

    def __init__(self) -> None:
        self.now: dict[str, tuple[str, str]] = {}

    def add(self, report: pytest.TestReport) -> None:
        outcome = "skipped" if report.skipped or hasattr(report, "wasxfail") else report.outcome
        why = report.longreprtext if report.failed else ""
        before, _ = self.now.get(report.nodeid, ("skipped", ""))
        if RANK.index(outcome) >= RANK.index(before) and not (
            before == "skipped" and report.when == "teardown"
        ):
            self.now[report.nodeid] = (outcome, why)


outcomes = Outcomes()


def say(**event: Any) -> None:
    with REPORT.open("a") as file:
        file.write(json.dumps(event) + "\n")


def pytest_runtest_logstart(nodeid: str) -> None:
    say(event="start", id=nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    outcomes.add(report)


def pytest_runtest_logfinish(nodeid: str) -> None:
    outcome, why = outcomes.now.pop(nodeid, ("failed", "no report"))
    say(event="end", id=nodeid, outcome=outcome, why=why[-4000:])


def pytest_sessionfinish(exitstatus: int) -> None:
    say(event="done", exit=int(exitstatus), loops=LoopCount.made)
