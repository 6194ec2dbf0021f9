"""Run the test suites of libraries on asyncio and on maypole, and tell what fails on maypole alone.

    python tests/conformance/suites.py                 all of suites.toml, into docs/reference/conformance.md
    python tests/conformance/suites.py uvicorn redis   these only; nothing is written
    python tests/conformance/suites.py redis -- -x     what follows are arguments for pytest

Each suite comes from the library's source distribution and runs in a venv of its own. A test that fails on
maypole and not on asyncio is run again, and counts if it fails again. The exit code is 1 if one counts that
is not accepted.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from page import ROOT, write_section
from run import let_tests_interrupt

HERE = Path(__file__).resolve().parent
CONTROL, OURS = "asyncio:new_event_loop", "maypole:new_event_loop"
SUITE_TIMEOUT_S = 1800
KEPT = ("tests", "pyproject.toml", "pytest.ini", "setup.cfg", "docs", "README.md", "README.rst")
#: What each kind of server is called, and what makes its data folder.
PROGRAMS: dict[str, list[tuple[str, ...]]] = {
    "redis": [("redis-server", "valkey-server")],
    "postgres": [("postgres",), ("initdb",)],
}


def say(text: str) -> None:
    """Tell the reader what happens; standard output is for the table."""
    print(f"suites: {text}", file=sys.stderr, flush=True)


@dataclass
class Outcome:
    """What came of one run of a suite."""

    tests: dict[str, str] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)
    loops: int = 0
    ended: str = ""

    def __str__(self) -> str:
        return f"{self.count('passed')} passed, {len(self.failed())} failed. {self.ended}".strip()

    def count(self, outcome: str) -> int:
        return sum(found == outcome for found in self.tests.values())

    def failed(self) -> set[str]:
        return {name for name, outcome in self.tests.items() if outcome in ("failed", "crashed")}


@dataclass
class Suite:
    """One library's suite, in its folder and venv."""

    name: str
    version: str
    requires: list[str]
    arguments: list[str]
    server: str = ""
    kept: list[str] = field(default_factory=list)
    accepted: list[dict[str, Any]] = field(default_factory=list)

    @property
    def place(self) -> Path:
        minor = f"{sys.version_info.major}.{sys.version_info.minor}"
        return ROOT / ".venv" / f"suites-{minor}" / f"{self.name}-{self.version}"

    @property
    def python(self) -> Path:
        return self.place / "venv" / "bin" / "python"

    @property
    def sources(self) -> Path:
        return self.place / f"{self.name.replace('-', '_')}-{self.version}"

    def prepare(self) -> None:
        """Fetch the source distribution and make the venv, unless it is there.

        Raises:
            subprocess.CalledProcessError: pip could not.
        """
        ready = self.place / "ready"
        if ready.exists() and ready.read_text() == repr(self.requires):
            return
        say(f"installing what {self.name}'s suite needs")
        shutil.rmtree(self.place, ignore_errors=True)
        pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run_quietly(sys.executable, "-m", "venv", str(self.place / "venv"))
        run_quietly(str(self.python), *pip, *self.requires)
        self.fetch()
        (path,) = (self.place / "venv").glob("lib/python3.*/site-packages")
        (path / "maypole.pth").write_text(f"{ROOT / 'python'}\n")
        ready.write_text(repr(self.requires))

    def fetch(self) -> None:
        """Unpack the tests of the source distribution, and not the library: that is the installed one.

        Where the tests lie inside the library, ``kept`` names its folder, and that is what is tested.
        """
        wanted = f"{self.name}=={self.version}"
        where = ["--no-deps", "--no-binary", self.name, "--dest", str(self.place), wanted]
        run_quietly(
            str(self.python), "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *where
        )
        # Ends the search for pytest's settings here: a suite without any does not get those of this project.
        (self.place / "pytest.ini").touch()
        (archive,) = self.place.glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            members = [
                member
                for member in packed.getmembers()
                if member.name.split("/")[1:2] and member.name.split("/")[1] in (*KEPT, *self.kept)
            ]
            packed.extractall(self.place, members, filter="data")

    def run(self, loop: str, arguments: list[str]) -> Outcome:
        """Run pytest on one loop."""
        report, log = self.place / "report", self.place / f"log-{loop.partition(':')[0]}"
        report.write_text("")
        environment = {**os.environ, "CONFORMANCE_LOOP": loop, "CONFORMANCE_REPORT": str(report)}
        environment["PYTHONPATH"] = str(HERE)
        environment.pop("PYTHONASYNCIODEBUG", None)
        outcome = Outcome()
        with self.started() as address, log.open("w") as output:
            command = [str(self.python), "-m", "pytest", "--rootdir=.", "-p", "on_loop"]
            command += ["-p", "no:cacheprovider"]
            command += [text.replace("{port}", address.get("port", "")) for text in arguments]
            process = subprocess.Popen(
                command,
                cwd=self.sources,
                env=environment | address,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                process.wait(SUITE_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                outcome.ended = f"no end within {SUITE_TIMEOUT_S} s"
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, 9)
                process.wait()
        read(report, outcome, process.returncode)
        return outcome

    @contextlib.contextmanager
    def started(self) -> Iterator[dict[str, str]]:
        """The server that the suite talks to; what the environment says of it."""
        if not self.server:
            yield {}
            return
        sys.path.insert(0, str(ROOT / "tests"))
        from frameworks import servers

        programs = list(filter(None, (servers.find(*names) for names in PROGRAMS[self.server])))
        if len(programs) < len(PROGRAMS[self.server]):
            raise SystemExit(f"suites: {self.name} needs {self.server}, which is not installed here")
        if self.server == "redis":
            with servers.redis_server(programs[0]) as port:
                yield {"port": str(port)}
        else:
            with servers.postgres_server(programs[0], programs[1]) as url:
                host = urlsplit(url)
                yield {
                    "PGHOST": str(host.hostname),
                    "PGPORT": str(host.port),
                    "PGUSER": str(host.username),
                    "PGDATABASE": host.path.strip("/"),
                }


def run_quietly(*command: str) -> None:
    """Run a step whose output interests nobody unless it fails."""
    subprocess.run(command, stdout=sys.stderr, check=True)


def read(report: Path, outcome: Outcome, exit_code: int) -> None:
    """Take over the lines of the report."""
    running, done = "", False
    for text in report.read_text().splitlines():
        event = json.loads(text)
        kind = event["event"]
        if kind == "start":
            running = event["id"]
        elif kind == "end":
            running = ""
            outcome.tests[event["id"]] = event["outcome"]
            outcome.why[event["id"]] = event["why"]
        else:
            outcome.loops, done = event["loops"], True
    if running:
        outcome.tests[running] = "crashed"
        outcome.why[running] = outcome.ended or f"the process ended with exit code {exit_code}"
    if not done and not outcome.ended:
        outcome.ended = f"the process ended with exit code {exit_code}"


@dataclass
class Comparison:
    """A suite on both loops, and what fails on maypole alone: again, in a second run of its own."""

    suite: Suite
    control: Outcome
    ours: Outcome
    alone: dict[str, str]
    accepted: dict[str, str]

    @classmethod
    def of(cls, suite: Suite, extra: list[str]) -> Comparison:
        control = suite.run(CONTROL, [*suite.arguments, *extra])
        say(f"{suite.name} on asyncio: {control}")
        ours = suite.run(OURS, [*suite.arguments, *extra])
        say(f"{suite.name} on maypole: {ours}")
        suspects = sorted(ours.failed() - control.failed())
        alone: dict[str, str] = {}
        if suspects:
            options = [option for option in suite.arguments if option.startswith("--")]
            again = suite.run(OURS, [*options, *suspects])
            for name in suspects:
                if again.tests.get(name) in ("passed", "skipped"):
                    say(f"unsteady: {name} passed in a second run")
                else:
                    alone[name] = again.why.get(name) or ours.why[name]
        accepted = {name: entry["reason"] for entry in suite.accepted for name in entry["tests"]}
        return cls(suite, control, ours, alone, accepted)

    @property
    def wrong(self) -> list[str]:
        """What must not be: tests that fail on maypole alone, a run without an end, or without a loop."""
        found = [
            f"{name}: {why.strip().splitlines()[-1:]}"
            for name, why in self.alone.items()
            if name not in self.accepted
        ]
        if self.ours.ended:
            found.append(f"on maypole {self.ours.ended}")
        if not self.ours.loops:
            found.append("no loop of maypole was made")
        return found

    def line(self) -> str:
        """The row of the table."""
        accepted = len(set(self.alone) & set(self.accepted))
        numbers = [self.control.count("passed"), len(self.control.failed()), self.ours.count("passed")]
        numbers += [len(self.ours.failed()), accepted, len(self.alone) - accepted]
        numbers += [self.ours.count("skipped"), self.ours.loops]
        return f"| {self.suite.name} {self.suite.version} | {' | '.join(map(str, numbers))} |\n"


HEAD = (
    "| Suite | Passed on asyncio | Failed | Passed on maypole | Failed | Accepted | On maypole alone |"
    " Skipped | Loops of maypole |\n"
    "|---|--:|--:|--:|--:|--:|--:|--:|--:|\n"
)


def suites() -> dict[str, Suite]:
    """The suites that the file beside this one describes."""
    return {
        name: Suite(name, **entry)
        for name, entry in tomllib.loads((HERE / "suites.toml").read_text()).items()
    }


def main() -> int:
    """Run the suites that the command line names."""
    summary, _, rest = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=summary, epilog=rest, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = suites()
    ours, _, extra = " ".join(sys.argv[1:]).partition(" -- ")
    parser.add_argument("names", nargs="*", help=f"{', '.join(known)} (all)")
    arguments = parser.parse_args(ours.split())
    unknown = set(arguments.names) - set(known)
    if unknown:
        parser.error(f"no suite {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    let_tests_interrupt()
    text, wrong = f"Python {platform.python_version()}:\n\n{HEAD}", 0
    for name in arguments.names or known:
        try:
            known[name].prepare()
        except subprocess.CalledProcessError as error:
            say(f"{name}: {' '.join(map(str, error.cmd[1:5]))} … failed; its suite is left out")
            text += f"| {name} {known[name].version} | not installable here | | | | | | | |\n"
            continue
        comparison = Comparison.of(known[name], extra.split())
        text += comparison.line()
        wrong += len(comparison.wrong)
        for sentence in comparison.wrong:
            say(f"{name}: {sentence}")
    print(text)
    if not arguments.names:
        write_section("suites", text)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
