"""Run a part of the tests under AddressSanitizer or valgrind.

    python tools/memory_checks.py asan 3.13 PYTHON [pytest arguments]
    python tools/memory_checks.py valgrind 3.13 PYTHON [pytest arguments]

PYTHON is the interpreter of the project's venv. AddressSanitizer needs a nightly Rust and gcc's libasan;
valgrind is installed when it is absent and we are root on Debian. Both run with ``PYTHONMALLOC=malloc``, so
that each object is a block of its own. Leaks are not looked for: an interpreter keeps what it needs until it
ends.
"""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pythons

ROOT = Path(__file__).resolve().parent.parent
TARGET = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
TRIPLE = "x86_64-unknown-linux-gnu"

#: What both run: everything in the native module that handles memory by hand.
CHOSEN = ["parity", "natives", "transports", "torture"]
#: Measured in memory, bound by it, or built on fork: nothing that makes sense under a checker.
LEFT_OUT = "not soak and not memory and not closing and not forks"
#: valgrind is fifty times slower: what runs once per callback, task, timer and packet.
CHOSEN_SLOW = [
    "parity/test_call_soon.py",
    "parity/test_timers.py",
    "parity/test_tasks.py",
    "parity/test_handles.py",
    "natives/test_queues.py",
    "transports/test_datagram.py",
]
#: valgrind keeps the signal for itself by which a deadlock on the virtual clock is seen.
LEFT_OUT_SLOW = "not deadlock"
#: How many times as long tests and their children may take, on a machine that does other things besides.
PATIENCE_ASAN, PATIENCE_VALGRIND = 20, 200
TEST_TIMEOUT_S = 60
#: A frame of instrumented code takes several times the stack; how deep calls nest is for the interpreter.
STACK_BYTES = 64 << 20
RANDOM_PROGRAM = ROOT / "tests" / "torture" / "random_program.py"


def library(name: str) -> str:
    """A runtime library of gcc.

    Raises:
        SystemExit: gcc or the library is missing.
    """
    gcc = shutil.which("gcc")
    if gcc is None:
        raise SystemExit(f"memory_checks: gcc is missing, which has {name}")
    asked = [gcc, f"-print-file-name={name}"]
    found = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    if not Path(found).is_absolute():
        raise SystemExit(f"memory_checks: gcc has no {name}")
    return found


def build_with_asan(python: pythons.Python) -> Path:
    """Build the native module with AddressSanitizer; returns the folder of the package."""
    target = TARGET / "asan"
    environment = {
        **os.environ,
        "PYO3_PYTHON": str(python.path),
        "PYO3_BUILD_EXTENSION_MODULE": "1",
        "CARGO_TARGET_DIR": str(target),
        "RUSTFLAGS": "-Zsanitizer=address -Cforce-frame-pointers=yes",
    }
    # Only what is built for the target is instrumented, not the build scripts.
    command = ["cargo", "+nightly", "build", "--quiet", "-p", "maypole-py", "--profile", "testing"]
    command += ["--config", "profile.testing.debug=1", "--target", TRIPLE]
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    package = target / "package" / "maypole"
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(
        ROOT / "python" / "maypole", package, ignore=shutil.ignore_patterns("*.so", "__pycache__")
    )
    suffix = python.version.replace(".", "")
    built = target / TRIPLE / "testing" / "lib_maypole.so"
    shutil.copy(built, package / f"_maypole.cpython-{suffix}-x86_64-linux-gnu.so")
    return package.parent


def timeout(patience: int) -> list[str]:
    """The arguments with which pytest is so much more patient than usual."""
    return ["-o", f"timeout={TEST_TIMEOUT_S * patience}"]


def asan(python: pythons.Python, interpreter: str, arguments: list[str]) -> int:
    """The chosen tests with AddressSanitizer; an error ends the process that made it."""
    environment = {
        **os.environ,
        "PYTHONMALLOC": "malloc",
        "MAYPOLE_TEST_PATIENCE": str(PATIENCE_ASAN),
        "PYTHONPATH": str(build_with_asan(python)),
        "LD_PRELOAD": library("libasan.so"),
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1",
    }
    tests = arguments or [*(f"tests/{name}" for name in CHOSEN), "-k", LEFT_OUT]
    most = resource.getrlimit(resource.RLIMIT_STACK)[1]
    resource.setrlimit(resource.RLIMIT_STACK, (STACK_BYTES, most))
    command = [interpreter, "-m", "pytest", "-q", "-x", *timeout(PATIENCE_ASAN), *tests]
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


def install_valgrind() -> None:
    """Install valgrind from Debian if it is missing.

    Raises:
        SystemExit: it cannot be installed.
    """
    if shutil.which("valgrind"):
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SystemExit("memory_checks: valgrind is missing; as root on Debian it would be installed")
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    subprocess.run(["apt-get", "install", "-qq", "--yes", "valgrind"], check=True)


def valgrind(interpreter: str, arguments: list[str]) -> int:
    """The chosen tests, or what the arguments say, under memcheck; an error is exit code 99.

    valgrind 3.19 does not know `epoll_pwait2` and answers ENOSYS, as an old kernel does.
    """
    install_valgrind()
    suppressions = f"--suppressions={ROOT / 'tools' / 'valgrind.supp'}"
    checker = ["valgrind", "--quiet", "--error-exitcode=99", "--num-callers=30", suppressions]
    environment = {**os.environ, "PYTHONMALLOC": "malloc", "MAYPOLE_TEST_PATIENCE": str(PATIENCE_VALGRIND)}
    pytest = [interpreter, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
    pytest += timeout(PATIENCE_VALGRIND)
    tests = arguments or [*(f"tests/{name}" for name in CHOSEN_SLOW), "-k", LEFT_OUT_SLOW]
    programs = [] if arguments else [[interpreter, str(RANDOM_PROGRAM), str(seed), "40"] for seed in (1, 2)]
    for command in [*programs, [*pytest, *tests]]:
        code = subprocess.run([*checker, *command], cwd=ROOT, env=environment).returncode
        if code:
            return code
    return 0


def main() -> int:
    """Run the checker that the command line names."""
    checker, version, interpreter, *arguments = sys.argv[1:]
    if checker == "valgrind":
        return valgrind(interpreter, arguments)
    found, _ = pythons.find()
    return asan(next(python for python in found if python.version == version), interpreter, arguments)


if __name__ == "__main__":
    sys.exit(main())
