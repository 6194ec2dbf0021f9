"""What patterns wrote down: a row for each of them above the lanes, and each mark can be looked at."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from viewer.chromium import Page
from viewer.conftest import Show

from viewer import documents

OUTAGE = [
    (10, "breaker db: closed → open (consecutive)"),
    *((20 + row, "breaker db: reject (open)") for row in range(30)),
    (60, "breaker db: open → half-open (open time over)"),
    (70, "breaker db: half-open → closed (probes work)"),
    (80, "no colon"),
]
"""Hundredths of the recording, and texts."""


@pytest.fixture
def outage(service: documents.Document) -> documents.Document:
    """The service with the marks of an outage, and none else."""
    return with_marks(service, OUTAGE)


def with_marks(document: documents.Document, rows: list[tuple[int, str]]) -> documents.Document:
    found: Any = copy.deepcopy(document)
    strings = found["strings"]
    at_ns = [found["duration_ns"] * part // 100 for part, _ in rows]
    texts = list(range(len(strings), len(strings) + len(rows)))
    strings += [text for _, text in rows]
    strings.append("a library")
    sources = [len(strings) - 1] * len(rows)
    found["marks"] = {"at_ns": at_ns, "task": [1] * len(rows), "text": texts, "source": sources}
    return documents.Document(found)


def names(page: Page) -> list[str]:
    found: list[str] = page.run("[...document.getElementById('loop-names').children].map(n => n.textContent)")
    return found


def press(page: Page, row: str, part: float) -> str:
    """Press a row of the loop at a part of the recording; returns what is told then."""
    x, y = page.run(
        f"""(() => {{
          const box = document.getElementById("loop").getBoundingClientRect();
          const {{ view, loopRows, model }} = maypoleTimeline.state;
          const row = loopRows.rows.find((each) => each.name === {row!r});
          return [box.x + view.x(model.duration * {part}), box.y + row.top + row.height - 7];
        }})()"""
    )
    page.click(x, y)
    page.settle()
    return str(page.run("document.getElementById('details').textContent"))


def test_each_thing_that_marks_are_about_has_a_row(show: Show, outage: documents.Document) -> None:
    page = show(outage)
    assert names(page)[:3] == ["Time", "breaker db", "a library"]
    assert "breaker db: half-open → closed (probes work)" in press(page, "breaker db", 0.7)
    assert "no colon" in press(page, "a library", 0.8)


def test_what_is_said_again_and_again_is_one_bar(show: Show, outage: documents.Document) -> None:
    page = show(outage)
    rows = "maypoleTimeline.state.loopRows.rows.find((each) => each.name === 'breaker db')"
    assert page.run(f"{rows}.order") == [0, 1, 31, 32]
    assert "breaker db: reject (open)" in press(page, "breaker db", 0.35)


def test_many_things_share_the_last_row(show: Show, service: documents.Document) -> None:
    page = show(with_marks(service, [(number, f"pool {number}: create") for number in range(20)]))
    rows = [name for name in names(page) if name.startswith("pool")]
    assert rows == [f"pool {number}" for number in range(8)]
    assert "pool 15: create" in press(page, "pool 7", 0.15)


def test_without_marks_there_is_no_such_row(show: Show, service: documents.Document) -> None:
    assert names(show(with_marks(service, [])))[:2] == ["Time", "Loop busy"]
