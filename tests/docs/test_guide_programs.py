"""Every Python program in the README and below docs runs, and prints what the page says."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from docs.blocks import Block, blocks, pages

PROGRAMS = [
    block for page in pages() for block in blocks(page) if block.language == "python" and block.mark != "file"
]
TIMEOUT_S = 50

ADDRESSES = {"redis": "redis://localhost:6379", "postgres": "postgresql://localhost/postgres"}
"""What the pages write; the test puts the address of a server of its own there."""


def missing_packages(text: str) -> list[str]:
    """The packages that a program imports and that are not installed here."""
    names = re.findall(r"^\s*(?:import|from) ([a-z]\w*)", text, re.M)
    return sorted({name for name in names if importlib.util.find_spec(name) is None})


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_program_runs(block: Block, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if block.mark == "skip":
        pytest.skip(block.about)
    if missing := missing_packages(block.text):
        pytest.skip(f"not installed: {', '.join(missing)}")
    text = block.text
    if block.mark == "needs":
        address = request.getfixturevalue(f"{block.about}_url")
        assert ADDRESSES[block.about] in text
        text = text.replace(ADDRESSES[block.about], address)
    program = tmp_path / "program.py"
    program.write_text(text)
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", program.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    if block.prints is not None:
        assert done.stdout == block.prints


def test_the_front_page_and_the_guide_have_programs() -> None:
    assert {block.page.name for block in PROGRAMS} >= {"README.md", "first-steps.md"}
