"""Scripts in processes of their own: for signals, exit codes and what happens when the interpreter ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.kinds import LoopKind

TIMEOUT_S = 30
#: How many times as long a child may take: under a checker of memory everything is slower.
PATIENCE = float(os.environ.get("MAYPOLE_TEST_PATIENCE", "1"))
TESTS = Path(__file__).resolve().parent.parent

PRELUDE = """
import asyncio, os, signal, sys
from importlib import import_module

def new_loop():
    module, _, name = {spec!r}.partition(":")
    loop = getattr(import_module(module), name)()
    if {debug}:
        loop.set_debug(True)
    return loop

def ready():
    print("ready", flush=True)
"""


@dataclass(frozen=True)
class Finished:
    """How a script ended. A signal that killed it is a negative exit code, as in ``subprocess``."""

    exit_code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """The lines of standard output, without the ``ready`` that the parent waited for."""
        return [line for line in self.out.splitlines() if line != "ready"]


RunScript = Callable[..., Finished]


def run_script(kind: LoopKind, body: str, *, send: signal.Signals | None = None, **env: str) -> Finished:
    """Run a script that calls ``new_loop()`` for its loop.

    With ``send`` the script calls ``ready()`` at some point, and then gets that signal. The kind says whether
    the loop is in debug mode, not the environment of the tests.
    """
    script = PRELUDE.format(spec=kind.spec, debug=kind.debug) + textwrap.dedent(body)
    child = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONASYNCIODEBUG": "", **env},
    )
    first = ""
    try:
        if send is not None:
            assert child.stdout is not None
            first = child.stdout.readline()
            child.send_signal(send)
        out, err = child.communicate(timeout=TIMEOUT_S * PATIENCE)
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
    return Finished(child.returncode, first + out, err)


def run_module(name: str, *arguments: object, timeout_s: float = TIMEOUT_S, **env: str) -> Finished:
    """Run a module of the tests, ``torture.interrupts`` for one, in a process of its own."""
    child = start_module(name, *arguments, **env)
    try:
        out, err = child.communicate(timeout=timeout_s * PATIENCE)
    finally:
        if child.poll() is None:
            child.kill()
            child.communicate()
    return Finished(child.returncode, out, err)


def start_module(name: str, *arguments: object, **env: str) -> subprocess.Popen[str]:
    """Start a module of the tests; the caller waits for it. A crash prints where each thread was."""
    path = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH", "")]))
    return subprocess.Popen(
        [sys.executable, "-P", "-X", "faulthandler", "-m", name, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **env, "PYTHONPATH": path},
    )
