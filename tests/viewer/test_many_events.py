"""More than a hundred thousand events: what is drawn depends on the screen, not on the trace."""

from __future__ import annotations

import pytest
from viewer.chromium import Page
from viewer.conftest import Show

from viewer import documents

# Bars, lines and texts: two for each column of pixels and lane would be 36,000.
DRAWN_MOST = 12_000
ELEMENTS_MOST = 3_000


@pytest.fixture(scope="module")
def crowd() -> bytes:
    """Three thousand tasks and a hundred and fifty thousand events."""
    document = documents.crowd()
    assert documents.events_in(document) > 100_000
    return documents.encoded(document)


@pytest.fixture
def page(show: Show, crowd: bytes) -> Page:
    """The page of the crowd."""
    return show(crowd)


def drawn(page: Page) -> int:
    """How much the last picture took."""
    page.settle()
    count: int = page.run("maypoleTimeline.statistics.drawn")
    return count


def test_each_picture_is_bounded(page: Page) -> None:
    counts = [drawn(page)]
    for key in "wwdsdawwwwddss":
        page.key(key)
        counts.append(drawn(page))
    assert max(counts) < DRAWN_MOST
    assert min(counts) > 100


def test_a_change_is_one_picture(page: Page) -> None:
    page.settle()
    before = page.run("maypoleTimeline.statistics.frames")
    page.run("for (let turn = 0; turn < 50; turn++) maypoleTimeline.state.view.pan(turn % 2 ? 9 : -8)")
    page.settle()
    assert page.run("maypoleTimeline.statistics.frames") == before + 1


def test_only_lanes_on_the_screen_exist(page: Page) -> None:
    for place in (0, 20_000, 1e9):
        page.run(f"document.getElementById('lanes').scrollTop = {place}")
        page.settle()
        page.settle()
        assert page.run("document.querySelectorAll('*').length") < ELEMENTS_MOST
        assert page.run("maypoleTimeline.statistics.lanes") < 40
        assert 5 < page.run("document.querySelectorAll('[role=treeitem]').length") < 60
    assert page.run("[...document.querySelectorAll('[role=treeitem]')].at(-1).ariaLabel").endswith(
        "lane 3031 of 3031"
    )


def test_one_lane_with_all_steps_is_bounded(show: Show) -> None:
    document = documents.crowd(tasks=100, rounds=2)
    steps = 120_000
    document["steps"] = {
        "task": [1] * steps,
        "ready_ns": [row * 25_000 for row in range(steps)],
        "begin_ns": [row * 25_000 + 1_000 for row in range(steps)],
        "end_ns": [row * 25_000 + 9_000 for row in range(steps)],
        "waker": ["task"] * steps,
        "waker_task": [row % 50 + 2 for row in range(steps)],
    }
    page = show(document)
    assert drawn(page) < DRAWN_MOST
    page.key("e")
    assert drawn(page) < DRAWN_MOST
    page.wait_until(
        "document.getElementById('status').textContent.includes('Some arrows are left out: zoom in')"
    )


def test_tables_show_the_first_rows_and_more_on_request(page: Page) -> None:
    rows = "document.querySelectorAll('#table-panel tbody tr').length"
    assert page.run(rows) == 100
    assert "100 of 3,031 rows" in page.text("#table-panel .more")
    page.click_on("#table-panel .more button")
    assert page.run(rows) == 600


def test_the_text_of_the_window_is_bounded(page: Page) -> None:
    page.click_on("#tab-window")
    assert page.run("document.querySelectorAll('#table-panel tbody tr').length") <= 100
    assert "as text: lanes 1 to" in page.text("#table-panel caption")
