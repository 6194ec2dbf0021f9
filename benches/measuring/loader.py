"""Where the load generator and the floor servers are."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def find_load(given: Path | None) -> Path | None:
    """The folder of the load generator, built if need be; None when it cannot be had, which is then shown."""
    if given:
        if not (given / "maypole-load").exists():
            sys.stderr.write(f"there is no maypole-load in {given}: servers are not measured\n")
            return None
        return given
    if shutil.which("cargo") is None:
        sys.stderr.write("cargo is not on PATH, so there is no load generator: servers are not measured\n")
        return None
    sys.stderr.write("building the load generator\n")
    words = ["cargo", "build", "--release", "--quiet", "--package", "maypole-load"]
    if subprocess.run(words, cwd=ROOT, check=False).returncode:
        sys.stderr.write("the load generator does not build: servers are not measured\n")
        return None
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
