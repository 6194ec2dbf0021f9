"""The page of conformance says what the files beside the runner say, and has figures for every Python."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
from docs.blocks import ROOT

PAGE = (ROOT / "docs" / "reference" / "conformance.md").read_text()
ACCEPTED = tomllib.loads((ROOT / "tests" / "conformance" / "accepted.toml").read_text())["accepted"]
SUITES = tomllib.loads((ROOT / "tests" / "conformance" / "suites.toml").read_text())


def section(name: str) -> str:
    found = re.search(rf"<!-- table {re.escape(name)} -->\n(.*?)<!-- end {re.escape(name)} -->", PAGE, re.S)
    assert found, f"no place for the table {name}"
    return found[1]


def cells(text: str) -> dict[str, list[str]]:
    """The rows of a table by their first column."""
    rows = [
        [cell.strip() for cell in line.strip("|\n").split("|")] for line in text.splitlines() if "|" in line
    ]
    return {row[0]: row[1:] for row in rows}


@pytest.mark.parametrize("entry", ACCEPTED, ids=lambda entry: entry["tests"][0].rpartition(".")[2])
def test_every_accepted_difference_stands_on_the_page_with_its_reason(entry: dict[str, Any]) -> None:
    listed = section("accepted")
    for name in entry["tests"]:
        assert f"`{name}`" in listed
    assert " ".join(entry["reason"].split()) in listed


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13", "3.14", "3.15"])
def test_no_test_of_cpythons_fails_on_maypole(python: str) -> None:
    rows = cells(section(python))
    ours = [numbers for name, numbers in rows.items() if name.startswith("maypole")]
    assert len(ours) == 3
    for _passed, _on_loop, _accepted, failed, crashed, _skipped in ours:
        assert (failed, crashed) == ("0", "0")
    assert {name.split()[0] for name in rows} >= {"asyncio", "uvloop", "rloop"}


def test_no_test_of_a_library_fails_on_maypole_alone() -> None:
    rows = cells(section("suites"))
    names = {name.split()[0]: numbers for name, numbers in rows.items()}
    assert set(SUITES) <= set(names)
    for name in SUITES:
        assert names[name][5] == "0", name
