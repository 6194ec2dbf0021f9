"""Build maypole's wheel with a profile of how it is used (profile-guided optimisation).

The compiler builds twice: once with counters, with which `tools/training` runs, and once by what was counted.
Merging the counters takes `llvm-profdata` of the compiler's LLVM or a newer one: a component of rustup
(llvm-tools), or a package of Debian. The wheel is kept in Cargo's target folder and built anew when a source
or the compiler has changed.

Source: https://doc.rust-lang.org/rustc/profile-guided-optimization.html
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from steps import ROOT, run

#: What the built library depends on.
SOURCES = ("Cargo.toml", "Cargo.lock", "pyproject.toml", "crates", "python", "tools/training")


class Untrainable(Exception):
    """There is nothing to merge profiles with; the message says how to get it."""


def wheel(interpreter: Path, target: Path) -> Path:
    """The trained wheel of these sources, built first if there is none yet.

    Args:
        interpreter: the Python it is for, with maturin.
        target: Cargo's target folder for this Python.

    Raises:
        Untrainable: when `llvm-profdata` is missing or too old.
        subprocess.CalledProcessError: when a build fails.
    """
    folder = target / "trained" / digest()
    if not any(folder.glob("*.whl")):
        build(interpreter, target, folder)
    return next(folder.glob("*.whl"))


def build(interpreter: Path, target: Path, folder: Path) -> None:
    """Build the wheel into the folder; what older sources gave is removed."""
    profdata = find_profdata()
    shutil.rmtree(folder.parent, ignore_errors=True)
    with tempfile.TemporaryDirectory() as first_on_path:
        # maturin takes the one on PATH, and on many machines that belongs to an older LLVM.
        (Path(first_on_path) / "llvm-profdata").symlink_to(profdata)
        command = [str(interpreter), "-m", "maturin", "build", "--profile", "release", "--pgo"]
        run(
            [*command, "--interpreter", str(interpreter), "--out", str(folder)],
            CARGO_TARGET_DIR=str(target),
            PATH=os.pathsep.join([first_on_path, os.environ.get("PATH", "")]),
        )


def digest() -> str:
    """What tells these sources and this compiler from others."""
    seen = hashlib.sha256(subprocess.check_output(["rustc", "-vV"]))
    seen.update(os.environ.get("RUSTFLAGS", "").encode())
    for path in sorted(source_files()):
        seen.update(f"{path.relative_to(ROOT)}\n".encode())
        seen.update(path.read_bytes())
    return seen.hexdigest()[:16]


def source_files() -> Iterator[Path]:
    """All files of the sources."""
    for name in SOURCES:
        path = ROOT / name
        if path.is_file():
            yield path
        else:
            found = (file for file in path.rglob("*") if file.suffix not in (".so", ".pyc"))
            yield from (file for file in found if file.is_file())


def find_profdata() -> Path:
    """The newest `llvm-profdata` of this machine, if it reads what this compiler writes.

    Raises:
        Untrainable: when there is none.
    """
    verbose = subprocess.check_output(["rustc", "-vV"], text=True)
    wanted = int(search(r"LLVM version: (\d+)", verbose))
    newest = newest_profdata(verbose)
    if newest[0] < wanted and may_install(wanted):
        newest = newest_profdata(verbose)
    if newest[0] < wanted:
        raise Untrainable(
            f"no llvm-profdata of LLVM {wanted} or newer: install it with `rustup component add llvm-tools` "
            f"or Debian's package llvm-{wanted}"
        )
    return newest[1]


def newest_profdata(verbose: str) -> tuple[int, Path]:
    """The newest that is there, behind its LLVM; version 0 when there is none."""
    return max(((version(path), path) for path in candidates(verbose)), default=(0, Path()))


def candidates(verbose: str) -> Iterator[Path]:
    """Each `llvm-profdata`: rustup's own, and those on PATH, also with a version in their names."""
    sysroot = subprocess.check_output(["rustc", "--print", "sysroot"], text=True).strip()
    host = search(r"host: (\S+)", verbose)
    folders = [Path(sysroot, "lib", "rustlib", host, "bin")]
    folders += [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep)]
    for folder in folders:
        yield from folder.glob("llvm-profdata*")


def version(profdata: Path) -> int:
    """The LLVM of one `llvm-profdata`; 0 when it does not say."""
    said = subprocess.run([str(profdata), "--version"], capture_output=True, text=True)
    found = re.search(r"LLVM version (\d+)", said.stdout)
    return int(found[1]) if found else 0


def may_install(llvm: int) -> bool:
    """Install Debian's package where this is root; whether it went well."""
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return False
    options = ["-y", "-qq", "--no-install-recommends", f"llvm-{llvm}"]
    try:
        run(["apt-get", "update", "-qq"])
        run(["apt-get", "install", *options], DEBIAN_FRONTEND="noninteractive")
    except subprocess.CalledProcessError:
        return False
    return True


def search(pattern: str, text: str) -> str:
    """The group of a pattern that the compiler's own description always holds."""
    found = re.search(pattern, text)
    if found is None:
        raise Untrainable(f"rustc does not say its {pattern.partition(':')[0]}")
    return found[1]
