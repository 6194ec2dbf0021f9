"""Where maypole cannot run, importing it says so in one sentence."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import maypole
import pytest
from maypole import platform


def test_this_python_is_taken() -> None:
    platform.check()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("abiflags", "t", "the interpreter lock, this is a free-threaded build of Python"),
        ("abiflags", "td", "the interpreter lock, this is a free-threaded build of Python"),
        ("version_info", (3, 10, 13), "CPython 3.11 or newer, this is CPython"),
        ("implementation", SimpleNamespace(name="pypy"), "CPython 3.11 or newer, this is"),
        ("platform", "darwin", r"epoll\), this is"),
    ],
)
def test_what_cannot_work_is_refused_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object, words: str
) -> None:
    monkeypatch.setattr(sys, name, value)
    with pytest.raises(ImportError, match=words) as refused:
        platform.check()
    assert re.fullmatch(r"maypole [^\n]+", str(refused.value))


def free_threaded_pythons() -> list[str]:
    """The free-threaded interpreters on PATH, and those of pyenv."""
    on_path = [shutil.which(f"python3.{minor}t") for minor in range(13, 16)]
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    return [*filter(None, on_path), *(str(path) for path in sorted(versions.glob("3.*t/bin/python3")))]


@pytest.mark.parametrize("lock", [{}, {"PYTHON_GIL": "0"}, {"PYTHON_GIL": "1"}], ids=["plain", "off", "on"])
def test_a_free_threaded_python_is_refused_in_one_sentence(lock: dict[str, str]) -> None:
    pythons = free_threaded_pythons()
    if not pythons:
        pytest.skip("no free-threaded Python here (python3.13t, python3.14t, python3.15t, or one of pyenv)")
    package = Path(maypole.__file__).parent.parent
    for python in pythons:
        done = subprocess.run(
            [python, "-c", "import maypole"],
            env={**os.environ, **lock, "PYTHONPATH": str(package)},
            capture_output=True,
            text=True,
            timeout=50,
        )
        assert done.returncode == 1, (python, done)
        said = done.stderr.splitlines()[-1]
        assert said.startswith("ImportError: maypole needs the interpreter lock, this is a free-thr"), said


EVERY_MODULE = """
import importlib, pkgutil, maypole
for module in pkgutil.walk_packages(maypole.__path__, "maypole."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
async def main(): ...
maypole.run(main())
maypole.run(main(), debug=True)
"""


def test_importing_every_module_and_running_on_it_gives_no_warning() -> None:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path for path in sys.path if path))
    command = [sys.executable, "-W", "error", "-c", EVERY_MODULE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")
