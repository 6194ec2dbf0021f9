"""The steps of a build: commands that run from the project's root, and what the reader is told meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def say(text: str) -> None:
    """Tell the reader what happens; standard output is for the answer."""
    print(f"build: {text}", file=sys.stderr, flush=True)


def run(command: list[str], **extra: str) -> None:
    """Run one step; its output is the reader's progress.

    Args:
        command: the program and its arguments.
        extra: environment variables on top of this process's own.

    Raises:
        subprocess.CalledProcessError: when it fails.
    """
    subprocess.run(command, cwd=ROOT, env={**os.environ, **extra}, stdout=sys.stderr, check=True)


def pip_install(interpreter: Path, *what: str) -> bool:
    """Install with the venv's own pip; whether it went well."""
    command = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *what]
    return subprocess.run(command, cwd=ROOT, stdout=sys.stderr).returncode == 0
