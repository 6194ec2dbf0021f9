"""``maypole doctor``: what it says of a machine, of what is installed, and of a loop that is broken."""

from __future__ import annotations

import asyncio
import os
import re
import resource
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from docs.blocks import ROOT
from maypole.cli import doctor, installed, machine, self_test
from maypole.cli.self_test import Verdict

HERE = [sys.executable, "-W", "error", "-m", "maypole", "doctor"]


def test_every_probe_passes_here_and_the_exit_code_says_so() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(HERE, env=environment, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    _, _, probes = done.stdout.partition("Self-test\n")
    for name in self_test.PROBES:
        assert re.search(rf"^  (ok|skipped) +{name} +\S", probes, re.M), probes
    assert "  ok      TCP " in probes


def test_a_failure_is_counted_and_is_exit_code_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(self_test, "ask", lambda name: Verdict("failed", name, "ValueError: no"))
    assert doctor.examine() == 1
    shown = capsys.readouterr().out
    assert "  failed  timers           ValueError: no\n" in shown
    assert shown.endswith(f"\n{len(self_test.PROBES)} failed\n")


@pytest.mark.parametrize(
    ("child", "state", "text"),
    [
        ("print('fine')", "ok", "fine"),
        ("print('skipped: no OpenSSL')", "skipped", "no OpenSSL"),
        ("raise ValueError('bytes differ')", "failed", "ValueError: bytes differ"),
        ("print('fine'); import sys; sys.stderr.write('never retrieved')", "failed", "never retrieved"),
        ("import os; os._exit(3)", "failed", "exit code 3"),
        ("print('fine'); import os, sys; sys.stdout.flush(); os._exit(3)", "failed", "exit code 3"),
        ("import os; os.abort()", "failed", "the process was ended by SIGABRT"),
        ("import time; time.sleep(60)", "failed", "no answer within 1 s"),
    ],
)
def test_whatever_a_probe_does_becomes_a_line(
    monkeypatch: pytest.MonkeyPatch, child: str, state: str, text: str
) -> None:
    monkeypatch.setattr(self_test, "CHILD", child)
    timeout_s = 1.0 if "sleep" in child else 30.0
    assert self_test.ask("timers", timeout_s) == (state, "timers", text)


class Hasty(asyncio.SelectorEventLoop):
    """A loop whose timers are early."""

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        return super().call_at(when - 0.005, callback, *args, context=context)


class Disorderly(asyncio.SelectorEventLoop):
    """A loop whose first timer comes last."""

    calls = 0

    def call_at(self, when: float, callback: Any, *args: Any, context: Any = None) -> Any:  # type: ignore[override]
        self.calls += 1
        late = 0.1 if self.calls == 1 else 0.0
        return super().call_at(when + late, callback, *args, context=context)


def test_early_timers_are_noticed() -> None:
    with (
        asyncio.Runner(loop_factory=Hasty) as runner,
        pytest.raises(AssertionError, match=r"timers were early, by \d"),
    ):
        runner.run(self_test.timers())


def test_timers_out_of_order_are_noticed() -> None:
    with (
        asyncio.Runner(loop_factory=Disorderly) as runner,
        pytest.raises(AssertionError, match="order of their deadlines"),
    ):
        runner.run(self_test.timers())


def words(text: str) -> set[str]:
    return set(re.split(r"[\s,;:()`{}]+", text)) - {""}


@pytest.mark.parametrize("package", installed.PACKAGES, ids=lambda package: package.name)
def test_every_switch_stands_in_the_guide(package: installed.Package) -> None:
    if package.name == "uvloop":
        return  # two lines of Python beside each other
    pages = [path.read_text() for path in (ROOT / "docs" / "guide").glob("*.md")]
    said = words(package.switch) - {"a", "client", "class", "in", "on", "app", "UvicornWorker", "then", "…"}
    assert any(said <= words(page) for page in pages), package.switch


def test_packages_are_found_without_importing_them() -> None:
    found, absent = installed.look()
    assert {package.name for package, _ in found} | {package.name for package in absent} == {
        package.name for package in installed.PACKAGES
    }
    for package, version in found:
        assert version == metadata.version(package.name)


def test_an_old_package_is_told_from_which_version_on_it_can_be_switched(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    package = installed.Package("uvicorn", "uvicorn app:app --loop maypole:new_event_loop", "0.36")
    monkeypatch.setattr(installed, "look", lambda: ([(package, "0.35.1")], []))
    assert list(doctor.switches()) == [
        "  uvicorn 0.35.1  uvicorn app:app --loop maypole:new_event_loop",
        "                  needs uvicorn 0.36 or newer for this",
    ]


@pytest.mark.parametrize(
    ("soft", "hard", "state", "word"),
    [
        (1024, 4096, "note", "LimitNOFILE"),
        (1024, 1 << 20, "note", "`ulimit -n 10240`"),
        (1024, resource.RLIM_INFINITY, "note", "`ulimit -n 10240`"),
        (10_240, 10_240, "ok", "enough for 10,000 connections"),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, "ok", "unlimited"),
    ],
)
def test_few_descriptors_are_a_note_that_says_how_to_have_more(
    soft: int, hard: int, state: str, word: str
) -> None:
    finding = machine.open_files(soft, hard)
    assert finding.state == state
    assert word in finding.text


def test_a_small_backlog_and_one_that_cannot_be_read_are_notes(tmp_path: Path) -> None:
    setting = tmp_path / "somaxconn"
    assert machine.backlog(setting).state == "note"
    setting.write_text("128\n")
    assert "128 connections may wait" in machine.backlog(setting).text
    setting.write_text("4096\n")
    assert machine.backlog(setting).state == "ok"


def test_a_kernel_without_pidfds_is_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(pid: int) -> int:
        raise OSError(38, os.strerror(38))

    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert machine.children().state == "note"
    assert "Function not implemented" in machine.children().text
