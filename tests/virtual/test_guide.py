"""Every Python example of the guide to the virtual clock runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "virtual-clock.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text(), flags=re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(EXAMPLES)))
def test_an_example_of_the_guide_runs(number: int) -> None:
    exec(compile(EXAMPLES[number], f"<example {number}>", "exec"), {})


def test_the_guide_has_examples() -> None:
    assert len(EXAMPLES) >= 4
