"""The page of the reference that the tables go into: each has its place between two comments."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "conformance.md"


def replace_section(page: str, name: str, text: str) -> str:
    """The text of the page with one table replaced.

    Raises:
        SystemExit: the page has no place of that name.
    """
    start, end = f"<!-- table {name} -->\n", f"<!-- end {name} -->\n"
    before, found, rest = page.partition(start)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise SystemExit(f"conformance: {PAGE.relative_to(ROOT)} has no place for the table {name}")
    return f"{before}{start}{text}{end}{after}"


def write_section(name: str, text: str) -> None:
    """Replace one table in the page."""
    PAGE.write_text(replace_section(PAGE.read_text(), name, text))
