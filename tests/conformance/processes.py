"""Run CPython's test modules in processes of their own until every test has an answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
MODULE_TIMEOUT_S = 900
RESTART = 77
RESTARTS_MAX = 500


@dataclass(frozen=True)
class Answer:
    """What came of one test: passed, skipped, failed, hung or crashed."""

    status: str
    why: str = ""
    loops: int = 0
    seconds: float = 0.0

    @property
    def bad(self) -> bool:
        return self.status in ("failed", "hung", "crashed")

    @property
    def last_line(self) -> str:
        """The line that says most about a failure: the last one that is not empty."""
        lines = [line.strip() for line in self.why.splitlines() if line.strip()]
        return lines[-1] if lines else ""


@dataclass
class ModuleRun:
    """All answers of one module; ``absent`` says why it has none."""

    module: str
    answers: dict[str, Answer] = field(default_factory=dict)
    classes: dict[str, Answer] = field(default_factory=dict)
    absent: str = ""

    def answer_of_class(self, test_id: str) -> Answer | None:
        """The answer for a test whose class could not be set up: ``setUpClass (module.Class)`` has it."""
        owner = test_id.rpartition(".")[0]
        return next((answer for name, answer in self.classes.items() if f"({owner})" in name), None)


@dataclass(frozen=True)
class Suite:
    """What is run, and how.

    The interpreter, the loop as ``module:factory``, seconds for one test, and folders where the worker looks
    for modules besides.
    """

    python: str
    loop: str
    timeout_s: float
    path: tuple[str, ...] = ()

    def run(self, module: str, wanted: Callable[[str], bool]) -> ModuleRun:
        """Run the tests of a module that are wanted."""
        result = ModuleRun(module)
        with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
            ids = self.listed(module, Path(folder), result)
            self.answer(module, Path(folder), [name for name in ids if wanted(name)], result)
        return result

    def listed(self, module: str, folder: Path, result: ModuleRun) -> list[str]:
        """The ids of the module's tests, or none and the reason in ``absent``."""
        exit_code, events, log = self.process(module, folder, None)
        for event in events:
            if event["event"] == "listed":
                ids: list[str] = event["ids"]
                return ids
            if event["event"] == "absent":
                result.absent = event["why"]
        result.absent = result.absent or f"exit code {exit_code}: {tail(log, 3)}"
        return []

    def answer(self, module: str, folder: Path, todo: list[str], result: ModuleRun) -> None:
        """Run until each test has an answer. A failure, a hang or a crash costs a new process."""
        for _ in range(RESTARTS_MAX):
            if not todo:
                return
            exit_code, events, log = self.process(module, folder, todo)
            finished = self.collect(events, result, exit_code, log)
            left = [name for name in todo if name not in result.answers]
            if finished or len(left) == len(todo):
                break
            todo = left
        for name in todo:
            result.answers.setdefault(name, result.answer_of_class(name) or Answer("crashed", tail(log, 3)))

    def collect(self, events: Iterable[dict[str, Any]], result: ModuleRun, exit_code: int, log: Path) -> bool:
        """Take over what a process reported; whether it came to its end."""
        running = None
        finished = False
        for event in events:
            kind = event.pop("event")
            if kind == "start":
                running = event["id"]
            elif kind == "end":
                running = None
                name = event.pop("id")
                result.answers[name] = Answer(**event)
            elif kind == "class":
                result.classes[event["name"]] = Answer(event["status"], event["why"])
            elif kind == "done":
                finished = True
        if running is not None:
            text = tail(log, 40)
            hung = exit_code == -signal.SIGKILL or "Timeout (" in text
            result.answers[running] = Answer("hung" if hung else "crashed", f"{text}\nexit code {exit_code}")
        return finished

    def environment(self) -> dict[str, str]:
        """This process's environment, with the folders of `path` where Python looks first."""
        folders = [*self.path, *filter(None, [os.environ.get("PYTHONPATH")])]
        return {**os.environ, "PYTHONPATH": os.pathsep.join(folders)} if folders else dict(os.environ)

    def process(
        self, module: str, folder: Path, tests: list[str] | None
    ) -> tuple[int, list[dict[str, Any]], Path]:
        """Start one worker in a session of its own and wait for it; nothing of that session survives."""
        report, log, order = folder / "report", folder / "log", folder / "order"
        report.write_text("")
        order.write_text(
            json.dumps(
                {
                    "loop": self.loop,
                    "module": module,
                    "report": str(report),
                    "timeout": self.timeout_s,
                    "tests": tests,
                }
            )
        )
        (folder / "cwd").mkdir(exist_ok=True)
        command = [self.python, "-X", "faulthandler", str(HERE / "worker.py"), str(order)]
        with log.open("wb") as output:
            worker = subprocess.Popen(
                command,
                cwd=folder / "cwd",
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                exit_code = worker.wait(MODULE_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                exit_code = -signal.SIGKILL
            finally:
                end_session(worker)
        return exit_code, [json.loads(line) for line in report.read_text().splitlines()], log


def end_session(worker: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a worker's session: children that a failed test did not wait for."""
    try:
        os.killpg(worker.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    worker.wait()


def tail(log: Path, lines: int) -> str:
    """The last lines of what a worker printed."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
