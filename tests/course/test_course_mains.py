"""The five mains as a reader runs them: with ``python`` and with ``maypole run``, each in its own process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

COURSE = Path(__file__).resolve().parents[2] / "course" / "0x01-python_async_function"
PYTHON = [sys.executable]
REAL = [sys.executable, "-m", "maypole", "run"]
VIRTUAL = [sys.executable, "-m", "maypole", "run", "--clock", "virtual"]
FLOAT = r"\d+\.\d+(?:e-\d+)?"


def run_main(command: list[str], main: str, folder: Path = COURSE) -> str:
    """Run one main and return what it prints; it must say nothing else."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    done = subprocess.run(
        [*command, main], cwd=folder, env=environment, capture_output=True, text=True, timeout=55
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def ascending(out: str) -> str:
    """Bring the numbers of each list into order."""
    lines = [str(sorted(floats(line))) if line.startswith("[") else line for line in out.splitlines()]
    return "".join(f"{line}\n" for line in lines)


def floats(line: str) -> list[float]:
    assert re.fullmatch(rf"\[?(?:{FLOAT}(?:, )?)+\]?", line)
    return [float(number) for number in re.findall(FLOAT, line)]


def check_0(out: str) -> None:
    lines = out.splitlines()
    assert len(lines) == 3
    for line, most in zip(lines, (10, 5, 15), strict=True):
        (delay,) = floats(line)
        assert not line.startswith("[")
        assert 0 <= delay <= most


def check_1(out: str) -> None:
    lines = out.splitlines()
    assert len(lines) == 3
    for line, n, most in zip(lines, (5, 10, 10), (5, 7, 0), strict=True):
        delays = floats(line)
        assert line.startswith("[")
        assert len(delays) == n
        assert delays == sorted(delays)
        assert delays[-1] <= most
    assert lines[2] == "[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]"


def check_2(out: str) -> None:
    (average,) = floats(out.strip())
    assert 0 < average <= 9 / 5 + 0.1


def check_3(out: str) -> None:
    assert out == "<class '_asyncio.Task'>\n"


def check_4(out: str) -> None:
    (line,) = out.splitlines()
    delays = floats(line)
    assert len(delays) == 5
    assert delays == sorted(delays)
    assert delays[-1] <= 6


CHECKS = {
    "0-main.py": check_0,
    "1-main.py": check_1,
    "2-main.py": check_2,
    "3-main.py": check_3,
    "4-main.py": check_4,
}


@pytest.mark.parametrize("main", CHECKS)
def test_a_main_on_the_virtual_clock(main: str) -> None:
    CHECKS[main](run_main(VIRTUAL, main))


@pytest.mark.parametrize("command", [PYTHON, REAL], ids=["python", "maypole"])
def test_a_task_has_the_class_that_every_task_has_in_real_time(command: list[str]) -> None:
    check_3(run_main(command, "3-main.py"))


@pytest.mark.parametrize("command", [PYTHON, REAL], ids=["python", "maypole"])
@pytest.mark.parametrize("main", ["0-main.py", "1-main.py", "2-main.py", "4-main.py"])
def test_a_main_in_real_time(command: list[str], main: str, tmp_path: Path) -> None:
    """The waits are cut to a hundredth, and so close that their order is chance: only the rest is checked."""
    for path in COURSE.glob("*.py"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    source = tmp_path / "0-basic_async_syntax.py"
    source.write_text(source.read_text().replace("asyncio.sleep(delay)", "asyncio.sleep(delay / 100)"))
    CHECKS[main](ascending(run_main(command, main, tmp_path)))


def test_all_mains_together_on_the_virtual_clock(capsys: pytest.CaptureFixture[str]) -> None:
    """How long they take is printed, not asserted: a busy machine is no error."""
    start = time.perf_counter()
    for main, check in CHECKS.items():
        check(run_main(VIRTUAL, main))
    with capsys.disabled():
        sys.stdout.write(f" five mains on the virtual clock: {time.perf_counter() - start:.2f} s ")
