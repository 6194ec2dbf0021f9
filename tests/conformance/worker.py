"""Run tests of one module of CPython in this process, and report each one as a line of JSON.

Started by run.py as ``python worker.py ORDER``, where ORDER is a file::

    {"loop": "maypole:new_event_loop", "module": "test.test_asyncio.test_events", "report": "/tmp/…/report",
     "timeout": 60, "tests": null or [ids]}

With ``"tests": null`` it lists the module's tests and runs none. A test that fails ends the process with
exit code ``RESTART``: what it left behind must not fail the next one. One that hangs ends it too, and
prints its stack.
"""

from __future__ import annotations

import asyncio
import faulthandler
import json
import os
import sys
import time
import unittest
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from substitute import LoopCount, factory_of, substitute

RESTART = 77
MIXIN = "event_loop_mixin"
RANK = ("passed", "skipped", "failed")


class Report:
    """The file that the parent reads, line by line; what is written survives the death of this process."""

    def __init__(self, path: str) -> None:
        self.file: TextIO = open(path, "a", buffering=1)  # noqa: SIM115 - open until the process ends

    def say(self, event: str, **fields: Any) -> None:
        self.file.write(json.dumps({"event": event, **fields}) + "\n")


class Reporting(unittest.TestResult):
    """Sends each test's start and end to the report, and ends the process after a failure."""

    def __init__(self, report: Report, timeout: float) -> None:
        super().__init__()
        self.report = report
        self.timeout = timeout
        self.began = False
        self.started = time.monotonic()

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.began = True
        self.status, self.why = "passed", ""
        self.loops_before = LoopCount.made
        self.started = time.monotonic()
        self.report.say("start", id=test.id())
        faulthandler.dump_traceback_later(self.timeout, exit=True)

    def stopTest(self, test: unittest.TestCase) -> None:
        faulthandler.cancel_dump_traceback_later()
        super().stopTest(test)
        if not self.began:  # Python 3.12.1 stops a skipped test that it never started
            return
        self.began = False
        self.end(test.id(), self.status, self.why, LoopCount.made - self.loops_before)
        if self.status == "failed":
            sys.stderr.flush()
            os._exit(RESTART)

    def end(self, test_id: str, status: str, why: str, loops: int = 0) -> None:
        seconds = round(time.monotonic() - self.started, 3)
        self.report.say("end", id=test_id, status=status, why=why[-2000:], loops=loops, seconds=seconds)

    def note(self, test: unittest.TestCase, status: str, why: str) -> None:
        """Keep the worst that is said about a test; a class that cannot be set up answers for its tests."""
        if not isinstance(test, unittest.TestCase):
            self.report.say("class", name=str(test), status=status, why=why[-2000:])
        elif not self.began:
            self.started = time.monotonic()
            self.end(test.id(), status, why)
        elif RANK.index(status) >= RANK.index(self.status):
            self.status, self.why = status, why

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self.note(test, "skipped", reason)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        self.note(test, "failed", self.text_of(err, test))

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        self.note(test, "failed", self.text_of(err, test))

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        if err is not None:
            self.note(test, "failed", f"{subtest}\n{self.text_of(err, test)}")

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        self.note(test, "failed", "passed, though CPython expects it to fail")

    def text_of(self, err: Any, test: unittest.TestCase) -> str:
        if not isinstance(test, unittest.TestCase):
            return f"{err[0].__name__}: {err[1]}"
        formatted: str = self._exc_info_to_string(err, test)  # type: ignore[attr-defined]
        return formatted


def flat(suite: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """The tests of a suite of suites, in order."""
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flat(test)
        else:
            yield test


def load(module: str, spec: str) -> unittest.TestSuite:
    """Import the module's tests with the loop under test in asyncio's place; the mixin needs no swap."""
    loader = unittest.TestLoader()
    if module != MIXIN:
        substitute(spec)
        # As after the first test of CPython's own run: several tests expect that no loop is set.
        asyncio.set_event_loop(None)
        return loader.loadTestsFromName(module)
    factory = factory_of(spec)
    import mixin

    return loader.loadTestsFromTestCase(mixin.event_loop_tests(factory))


def why_absent(test: unittest.TestCase) -> str:
    """Why a module could not be loaded; most often this version of Python does not have it."""
    text = str(getattr(test, "_exception", test)).strip().splitlines()[-1]
    unknown = (
        text.startswith("ModuleNotFoundError: No module named 'test.") or "has no attribute 'test_" in text
    )
    return "not in this version of Python" if unknown else text


def main(order_path: str) -> int:
    """Do what the order says."""
    order = json.loads(Path(order_path).read_text())
    report = Report(order["report"])
    from test import support  # type: ignore[import-not-found]

    support.use_resources = []  # no network beyond loopback, nothing that takes minutes
    support.verbose = 0
    try:
        tests = list(flat(load(order["module"], order["loop"])))
    except unittest.SkipTest as reason:
        report.say("absent", why=str(reason))
        return 0
    broken = [test for test in tests if type(test).__name__ == "_FailedTest"]
    if broken:
        report.say("absent", why=why_absent(broken[0]))
        return 0
    report.say("listed", ids=[test.id() for test in tests])
    if order["tests"] is None:
        return 0
    wanted = set(order["tests"])
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        unittest.TestSuite(test for test in tests if test.id() in wanted).run(
            Reporting(report, order["timeout"])
        )
    report.say("done")
    sys.stdout.flush()
    sys.stderr.flush()
    # What a loop does while the interpreter ends is not what these tests are about.
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
