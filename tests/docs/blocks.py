"""The code blocks of a Markdown page, and what the page says about each.

A comment on the line before a block says what it is for; readers of the page do not see it:

    <!-- file: app.py -->     the block is that file, for the commands of the page
    <!-- serves -->           its command starts a server on port 8000 whose answer names its loop
    <!-- runs -->             its command ends by itself, with success
    <!-- needs: redis -->     it talks to a real server, whose address stands in it
    <!-- skip: reason -->     it is not run, for that reason

A Python block without a comment is a program of its own. A ``text`` block right after it is what it prints.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>\w+)(?:: (?P<about>.*?))? -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.M | re.S,
)
MARKS = {"file", "serves", "runs", "needs", "skip"}


@dataclass(frozen=True)
class Block:
    """One fenced block: where it begins, what it is, what it holds."""

    page: Path
    line: int
    language: str
    text: str
    mark: str = ""
    about: str = ""
    prints: str | None = None

    def __str__(self) -> str:
        """Name the block as an editor finds it."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def pages() -> list[Path]:
    """The pages that hold programs: the front page and the documentation."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order.

    Raises:
        ValueError: for a comment that names no known mark.
    """
    text = page.read_text()
    found: list[Block] = []
    for match in _BLOCK.finditer(text):
        mark, about = match["mark"] or "", match["about"] or ""
        line = text.count("\n", 0, match.start("language")) + 1
        if mark and mark not in MARKS:
            raise ValueError(
                f"{page.relative_to(ROOT)}:{line - 1}: <!-- {mark} --> is none of {sorted(MARKS)}"
            )
        found.append(Block(page, line, match["language"], match["text"], mark, about, _output(text, match)))
    return found


def _output(text: str, match: re.Match[str]) -> str | None:
    """What a ``text`` block right behind this one says that it prints."""
    following = re.compile(r"\n+```text\n(.*?)^```$", re.M | re.S).match(text, match.end())
    return following[1] if match["language"] == "python" and following else None
