"""Where maypole cannot run, importing it says so in one sentence."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from types import SimpleNamespace

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
