"""Hold what the tests answered against the differences that are accepted.

``accepted.toml`` has two lists. ``[[accepted]]`` names tests by their exact ids, the Pythons on which they
differ (all, if none are named), the loops (``module:factory``; all of maypole's, if none are named) and the
reason; a test that is named there and passes is an error too.
``[[omitted]]`` names by pattern what is not run at all, with the reason.
"""

from __future__ import annotations

import fnmatch
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processes import Answer, ModuleRun


def short(test_id: str) -> str:
    """The id below ``test.test_asyncio``."""
    return test_id.removeprefix("test.test_asyncio.").removeprefix("test.")


@dataclass
class Differences:
    """The accepted differences that hold for one version of Python."""

    accepted: dict[str, str] = field(default_factory=dict)
    omitted: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path, python: str, loop: str) -> Differences:
        """Read the file, for a Python such as ``"3.12"`` and a loop such as ``"maypole:new_event_loop"``.

        Raises:
            SystemExit: an entry without tests or without a reason, or a test that is named twice.
        """
        found = cls()
        tables = tomllib.loads(path.read_text())
        for kind, into in (("accepted", found.accepted), ("omitted", found.omitted)):
            for entry in tables.pop(kind, []):
                for name, reason in read_entry(entry, path, python, loop):
                    if name in into:
                        raise SystemExit(f"conformance: {path.name} names {name} twice for Python {python}")
                    into[name] = reason
        if tables:
            raise SystemExit(f"conformance: {path.name}: unknown table {', '.join(tables)}")
        return found

    def wanted(self, test_id: str) -> bool:
        """Whether the test is to be run."""
        return not any(fnmatch.fnmatchcase(short(test_id), pattern) for pattern in self.omitted)


def read_entry(entry: dict[str, Any], path: Path, python: str, loop: str) -> list[tuple[str, str]]:
    """The tests of one entry with its reason, if it holds for this Python and this loop."""
    reason, tests = entry.pop("reason", "").strip(), entry.pop("tests", [])
    pythons, loops = entry.pop("pythons", [python]), entry.pop("loops", [loop])
    if not reason or not tests or entry:
        raise SystemExit(
            f"conformance: {path.name}: an entry has tests, a reason, perhaps pythons and loops: {tests}"
        )
    return [(name, reason) for name in tests] if python in pythons and loop in loops else []


@dataclass
class Verdict:
    """The answers of one module, sorted by what they mean."""

    module: str
    absent: str = ""
    on_loop: int = 0
    passed: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    accepted: dict[str, str] = field(default_factory=dict)
    failed: dict[str, Answer] = field(default_factory=dict)
    control: dict[str, Answer] = field(default_factory=dict)
    unsteady: dict[str, Answer] = field(default_factory=dict)
    surprises: list[str] = field(default_factory=list)
    seconds: float = 0.0


def judge(run: ModuleRun, differences: Differences) -> Verdict:
    """Sort the answers of one module."""
    verdict = Verdict(run.module, run.absent)
    for test_id, answer in run.answers.items():
        name = short(test_id)
        verdict.seconds += answer.seconds
        verdict.on_loop += answer.loops > 0
        if answer.bad and name in differences.accepted:
            verdict.accepted[name] = differences.accepted[name]
        elif answer.bad:
            verdict.failed[test_id] = answer
        elif answer.status == "skipped":
            verdict.skipped[name] = answer.why
        elif name in differences.accepted:
            verdict.surprises.append(name)
        else:
            verdict.passed.append(name)
    return verdict
