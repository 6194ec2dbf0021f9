"""Make the project venv of one Python and build maypole into it.

    python tools/build.py 3.12                      .venv/3.12, the profile for tests
    python tools/build.py 3.12 --profile release    the same venv, the profile for users
    python tools/build.py 3.12 --profile trained    the same, by a profile of how it is used: for benchmarks
    python tools/build.py 3.12 --wheel              print the path of the trained wheel instead
    python tools/build.py 3.12 --with frameworks    also what the framework tests need

The last line on standard output is the path of the venv's interpreter; all else goes to standard error. Each
Python has a Cargo target folder of its own, so that going from one to the next compiles nothing twice.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pythons
import trained
from steps import ROOT, pip_install, run, say

TOOLS = ROOT / "tools"


def make_venv(python: pythons.Python) -> Path:
    """Create ``.venv/<version>`` unless it is there and made by this very interpreter."""
    folder = ROOT / ".venv" / python.version
    interpreter = folder / "bin" / "python"
    stamp = folder / "made-by"
    made_by = f"{python.full_version} {python.path}\n"
    if stamp.exists() and stamp.read_text() == made_by and interpreter.exists():
        return interpreter
    if folder.exists():
        shutil.rmtree(folder)
    say(f"making {folder.relative_to(ROOT)} with Python {python.full_version}")
    run([python.path, "-m", "venv", str(folder)])
    stamp.write_text(made_by)
    return interpreter


def require(interpreter: Path, name: str) -> None:
    """Install the pinned requirements of that name, unless this venv has them already."""
    wanted = TOOLS / f"requirements-{name}.txt"
    stamp = interpreter.parent.parent / f"has-{name}"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == digest:
        return
    say(f"installing {wanted.relative_to(ROOT)}")
    if not pip_install(interpreter, "-r", str(wanted)):
        if name != "frameworks":
            raise SystemExit(f"build: pip could not install {wanted.relative_to(ROOT)}")
        install_one_by_one(interpreter, wanted)
    stamp.write_text(digest)


def install_one_by_one(interpreter: Path, wanted: Path) -> None:
    """Install each framework that has a wheel for this Python; the other tests say so."""
    lines = [line.split("#")[0].strip() for line in wanted.read_text().splitlines()]
    for requirement in filter(None, lines):
        if not pip_install(interpreter, "--only-binary=:all:", requirement):
            say(f"{requirement} has no wheel for this Python; its tests will be skipped")


def target_folder(python: pythons.Python) -> Path:
    """Cargo's target folder of one Python."""
    return Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target") / f"py{python.version}"


def build_extension(interpreter: Path, python: pythons.Python, profile: str) -> None:
    """Compile the native module for this Python into the source tree, and link the tree into the venv."""
    started = time.monotonic()
    run(
        [str(interpreter), "-m", "maturin", "develop", "--profile", profile],
        CARGO_TARGET_DIR=str(target_folder(python)),
        VIRTUAL_ENV=str(interpreter.parent.parent),
    )
    say(f"maypole for Python {python.version}, profile {profile}: {time.monotonic() - started:.1f} s")


def install_trained(interpreter: Path, python: pythons.Python) -> None:
    """Install the trained wheel into the venv; the release profile where no wheel can be trained."""
    try:
        wheel = trained.wheel(interpreter, target_folder(python))
    except trained.Untrainable as error:
        say(f"{error}; without it this is the plain release profile, about a tenth slower in the loop itself")
        build_extension(interpreter, python, "release")
        return
    if not pip_install(interpreter, "--force-reinstall", "--no-deps", str(wheel)):
        raise SystemExit(f"build: pip could not install {wheel}")
    say(f"maypole for Python {python.version}, trained")


def main() -> int:
    """Build for the Python that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("version", help="3.11, 3.12, … (see tools/pythons.py)")
    parser.add_argument("--profile", default="testing", help="a Cargo profile, or trained (testing)")
    parser.add_argument("--wheel", action="store_true", help="build the trained wheel and print its path")
    parser.add_argument("--requirements", default="test", choices=["build", "test"])
    parser.add_argument("--with", dest="extra", action="append", default=[], choices=["frameworks"])
    arguments = parser.parse_args()
    found, _ = pythons.find()
    chosen = next((python for python in found if python.version == arguments.version), None)
    if chosen is None:
        raise SystemExit(f"build: no Python {arguments.version} was found; tools/pythons.py lists them")
    interpreter = make_venv(chosen)
    for name in [arguments.requirements, *arguments.extra]:
        require(interpreter, name)
    if arguments.wheel:
        print(trained.wheel(interpreter, target_folder(chosen)))
        return 0
    if arguments.profile == "trained":
        install_trained(interpreter, chosen)
    else:
        build_extension(interpreter, chosen, arguments.profile)
    print(interpreter)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except trained.Untrainable as error:
        sys.exit(f"build: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(f"build: {' '.join(map(str, error.cmd))} failed with exit code {error.returncode}")
