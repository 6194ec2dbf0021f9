"""Find the Pythons that maypole supports on this machine.

    python tools/pythons.py             one line each: version, path
    python tools/pythons.py --versions  the versions alone, oldest first
    python tools/pythons.py 3.12        the path of one of them

``PYTHONS="3.12 /opt/python3.14/bin/python3"`` in the environment names the ones to use instead.
A name on PATH counts only if it runs: version managers leave shims there that do not.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

SUPPORTED = ("3.11", "3.12", "3.13", "3.14", "3.15")
RANGE = f"CPython {SUPPORTED[0]} to {SUPPORTED[-1]}"

PROBE = """
import json, sys, sysconfig
try:
    import ensurepip, venv
    venvs = True
except ImportError:
    venvs = False
print(json.dumps([
    sys.implementation.name, "%d.%d" % sys.version_info[:2], sys.version.split()[0], sys.executable, venvs,
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")), sys.prefix == sys.base_prefix,
]))
"""


class Python(NamedTuple):
    """One interpreter that maypole can be built for."""

    version: str
    full_version: str
    path: str


def probe(command: str) -> Python | str | None:
    """Run ``command`` and ask what it is; a sentence when it cannot be used, None when it does not run."""
    try:
        done = subprocess.run([command, "-I", "-c", PROBE], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if done.returncode != 0:
        return None
    try:
        name, version, full, path, venvs, free_threaded, base = json.loads(done.stdout)
    except ValueError:
        return None
    if name != "cpython" or version not in SUPPORTED or not base:
        return None
    if free_threaded:
        return f"{path} is a free-threaded build of Python {full}: not supported"
    if not venvs:
        return f"{path} cannot make virtual environments (on Debian: apt install python{version}-venv)"
    return Python(version, full, path)


def candidates() -> list[str]:
    """Every place where a supported Python may be, most wanted first."""
    named = [shutil.which(f"python{version}") for version in SUPPORTED]
    on_path = [shutil.which("python3"), *named]
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    by_pyenv = [str(path) for path in sorted(versions.glob("3.*/bin/python3"), reverse=True)]
    return [name for name in [*on_path, *by_pyenv] if name]


def find() -> tuple[list[Python], list[str]]:
    """Find one interpreter per supported version.

    Returns:
        The interpreters, oldest version first, and a sentence for each one that was found but cannot be used.

    Raises:
        LookupError: an entry of ``PYTHONS`` names nothing that can be used.
    """
    found: dict[str, Python] = {}
    remarks: list[str] = []
    for command in candidates():
        answer = probe(command)
        if isinstance(answer, Python):
            found.setdefault(answer.version, answer)
        elif answer is not None and answer not in remarks:
            remarks.append(answer)
    wanted = os.environ.get("PYTHONS", "").split()
    if wanted:
        chosen = [choose(name, found) for name in wanted]
        found = {python.version: python for python in chosen}
    return sorted(found.values(), key=lambda python: SUPPORTED.index(python.version)), remarks


def choose(name: str, found: dict[str, Python]) -> Python:
    """The interpreter that one entry of ``PYTHONS`` names: a version that was found, or a command."""
    if name in found:
        return found[name]
    answer = probe(name)
    if isinstance(answer, Python):
        return answer
    raise LookupError(answer or f"PYTHONS names {name!r}, which is no {RANGE}")


def main(arguments: list[str]) -> int:
    """Print what was found; 1 when there is nothing to build for."""
    try:
        pythons, remarks = find()
    except LookupError as error:
        print(f"pythons: {error}", file=sys.stderr)
        return 1
    for remark in remarks:
        print(f"pythons: {remark}", file=sys.stderr)
    if not pythons:
        print(f"pythons: no {RANGE} was found; set PYTHONS=/path/to/python3", file=sys.stderr)
        return 1
    if arguments == ["--versions"]:
        print(" ".join(python.version for python in pythons))
    elif arguments:
        paths = [python.path for python in pythons if python.version == arguments[0]]
        if not paths:
            print(f"pythons: no Python {arguments[0]} was found", file=sys.stderr)
            return 1
        print(paths[0])
    else:
        for python in pythons:
            print(f"{python.full_version:10} {python.path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
