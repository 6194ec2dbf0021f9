"""The reference names what the package exports, and nothing else."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys

import pytest
from docs.blocks import ROOT

NAMES = (ROOT / "docs" / "reference" / "names.md").read_text()


def documented(module: str) -> set[str]:
    """The names in the first column of a module's table."""
    section = re.search(rf"^## {re.escape(module)}\n(.*?)(?=^## |\Z)", NAMES, re.M | re.S)
    assert section, f"no section {module}"
    cells = re.findall(r"^\| (`.*?) \|", section[1], re.M)
    return {name for cell in cells for name in re.findall(r"`(\w+)", cell)}


@pytest.mark.parametrize("module", ["maypole", "maypole.metrics", "maypole.testing", "maypole.trace"])
def test_a_module_exports_what_the_reference_names(module: str) -> None:
    assert documented(module) == set(importlib.import_module(module).__all__)


def test_the_reference_of_the_command_names_every_verb() -> None:
    text = (ROOT / "docs" / "reference" / "command.md").read_text()
    shown = subprocess.run(
        [sys.executable, "-m", "maypole", "--help"], capture_output=True, text=True, check=True
    )
    verbs = set(re.findall(r"^ {4}(\w+) ", shown.stdout, re.M))
    assert verbs
    assert {verb for verb in verbs if f"## maypole {verb}" not in text} == set()


def test_decisions_are_numbered_and_have_their_parts() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [path.name[:4] for path in decisions] == [f"{n:04}" for n in range(1, len(decisions) + 1)]
    parts = ["Context", "Decision", "Evidence", "Consequences"]
    for path in decisions:
        assert re.findall(r"^## (.*)$", path.read_text(), re.M) == parts, path.name
