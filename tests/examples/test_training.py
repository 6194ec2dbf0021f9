"""The program that optimised builds are trained with runs on this build too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TRAINING = Path(__file__).resolve().parents[2] / "tools" / "training"


def test_training_runs_to_its_end() -> None:
    done = subprocess.run([sys.executable, str(TRAINING), "1"], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")
