"""What a reader does with mouse, keyboard and fingers, and what the page makes of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from viewer.chromium import Page
from viewer.conftest import Show

from viewer import documents

MS = 1_000_000
SHIFT = 8


@pytest.fixture
def page(show: Show, service: documents.Document) -> Page:
    """The page of the service."""
    return show(service)


def window(page: Page) -> tuple[float, float]:
    """Begin and span of the window that is shown, in nanoseconds."""
    begin, span = page.run("[maypoleTimeline.state.view.begin, maypoleTimeline.state.view.span]")
    return begin, span


def time_at(page: Page, x: float) -> float:
    """The moment that stands at a place of the window."""
    time: float = page.run(
        f"(() => {{ const box = document.getElementById('lane-canvas').getBoundingClientRect();"
        f" return maypoleTimeline.state.view.time({x} - box.x); }})()"
    )
    return time


def lane_place(page: Page, task: int, time_ns: float) -> tuple[float, float]:
    """Where a moment of a task is on the screen."""
    x, y = page.run(
        f"""(() => {{
          const box = document.getElementById("lane-canvas").getBoundingClientRect();
          const {{ view, lanes }} = maypoleTimeline.state;
          const top = lanes.rowOf[{task}] * 22 - document.getElementById("lanes").scrollTop;
          return [box.x + view.x({time_ns}), box.y + top + 11];
        }})()"""
    )
    return x, y


def focused(page: Page) -> str:
    """What the element with the focus is."""
    return str(page.run("document.activeElement.getAttribute('aria-label') ?? document.activeElement.id"))


def test_the_wheel_zooms_around_the_pointer(page: Page) -> None:
    before, (_, span) = time_at(page, 700), window(page)
    page.wheel(700, 420, 0, -120)
    assert window(page)[1] < span
    assert time_at(page, 700) == pytest.approx(before, abs=span / 500)
    page.wheel(700, 420, 0, 120)
    assert window(page)[1] == pytest.approx(span, rel=0.01)


def test_shift_and_the_wheel_move_in_time(page: Page) -> None:
    page.wheel(700, 420, 0, -240)
    begin, span = window(page)
    page.wheel(700, 420, 0, 100, SHIFT)
    assert window(page)[0] > begin
    assert window(page)[1] == span


def test_a_drag_takes_the_timeline_along(page: Page) -> None:
    page.wheel(700, 420, 0, -240)
    before = time_at(page, 700)
    page.drag(700, 420, -150, -44)
    assert time_at(page, 550) == pytest.approx(before, rel=0.001)
    assert page.run("document.getElementById('lanes').scrollTop") == 44
    assert page.text("#details") == "", "a drag is no click"


def test_a_click_tells_about_what_is_there(page: Page) -> None:
    page.click(*lane_place(page, 0, 250 * MS))
    about = page.text("#details")
    assert "Task-1: waiting for several tasks for 52" in about
    assert "main at /srv/app/service.py:92" in about


def test_a_stall_leads_to_its_line_and_task(page: Page) -> None:
    page.click_on("#findings li:nth-child(1) button")
    about = page.text("#details")
    assert "The loop was held for 300 ms" in about
    assert "handler at /srv/app/service.py:38" in about
    _, span = window(page)
    assert span == pytest.approx(450 * MS, rel=0.01)
    page.click_on("#details dd button")
    assert page.text("#details h2") == "req-7"


def test_details_of_a_task_name_parent_error_and_states(page: Page) -> None:
    page.click_on("#search")
    page.write("req-9")
    page.key("Enter")
    about = page.text("#details")
    for part in (
        "raised ValueError: no such row 9",
        "handler at /srv/app/service.py:30",
        "Made by",
        "server",
        "running",
        "lock",
    ):
        assert part in about
    page.click_on("#details dd button")
    assert page.text("#details h2") == "server"


def test_who_waits_for_whom_is_told_and_leads_there(show: Show) -> None:
    document = documents.service(3)
    document["waits"]["on_task"] = [4 for _ in document["waits"]["on_task"]]
    page = show(document)
    page.click(*lane_place(page, 0, 40 * MS))
    assert "It waits for\nupstream" in page.text("#details")


def test_search_finds_by_name_and_by_function(page: Page) -> None:
    page.key("/")
    assert focused(page) == "search"
    page.write("handler")
    assert page.text("#search-answer") == "14 tasks"
    page.key("Enter")
    page.key("Enter")
    assert page.text("#search-answer") == "2 of 14"
    assert page.text("#details h2") == "req-1"
    page.key("Enter", SHIFT)
    assert page.text("#details h2") == "req-0"
    page.key("Escape")
    assert page.text("#search-answer") == ""
    page.key("/")
    page.write("no such task")
    assert page.text("#search-answer") == "no task"


def test_search_opens_the_branch_that_hides_a_task(page: Page) -> None:
    page.key("x")
    assert page.run("maypoleTimeline.state.lanes.rows.length") == 1
    page.key("/")
    page.write("req-13")
    page.key("Enter")
    assert page.run("maypoleTimeline.state.lanes.rows.length") == 20
    assert page.run("document.querySelector('.lane-name.chosen .task-name').textContent") == "req-13"


def test_keys_zoom_pan_and_fit(page: Page) -> None:
    begin, span = window(page)
    page.key("w")
    page.key("+")
    assert window(page)[1] == pytest.approx(span / 1.4**2)
    begin = window(page)[0]
    page.key("d")
    page.key("ArrowRight")
    assert window(page)[0] > begin
    page.key("a")
    page.key("ArrowLeft")
    assert window(page)[0] == pytest.approx(begin)
    page.key("s")
    page.key("-")
    page.key("f")
    assert window(page)[1] == pytest.approx(span)


def test_the_window_stays_on_the_recording(page: Page) -> None:
    _, span = window(page)
    for _ in range(60):
        page.run("maypoleTimeline.state.view.zoom(0.5)")
    assert window(page)[1] == 200, "no nearer than the clock can tell"
    page.run("maypoleTimeline.state.view.zoom(1e12)")
    page.run("maypoleTimeline.state.view.pan(-1e9)")
    assert window(page)[1] == pytest.approx(span, rel=0.01)
    assert abs(window(page)[0]) < span * 0.02


def test_tab_goes_through_the_lanes_and_enter_tells_about_them(page: Page) -> None:
    page.run("document.querySelector('[data-task=\"0\"]').focus()")
    page.key("Tab")
    assert focused(page).startswith("consumer")
    page.key("ArrowDown")
    assert focused(page).startswith("Task-3")
    page.key("ArrowUp")
    page.key("Enter")
    assert page.text("#details h2") == "consumer"
    assert page.run("document.activeElement.id") == "details-title"
    page.key("Escape")
    assert page.run("document.getElementById('details').hidden")


def test_tab_reaches_lanes_below_the_screen(show: Show) -> None:
    page = show(documents.service(60))
    page.run("document.querySelector('[data-task=\"0\"]').focus()")
    for _ in range(40):
        page.key("Tab")
    assert ", lane 41 of 66" in focused(page)
    _, y, _, _ = page.place(":focus")
    top = page.run("document.getElementById('lanes').getBoundingClientRect().top")
    assert top < y < 800


def test_keys_go_from_bar_to_bar(page: Page) -> None:
    page.run("document.querySelector('[data-task=\"1\"]').focus()")
    page.key(".")
    first = page.text("#details h2")
    page.key(".")
    page.key(".")
    assert page.text("#details h2") != first
    page.key(",")
    page.key(",")
    assert page.text("#details h2") == first
    page.key("z")
    assert window(page)[1] < 10 * MS


def test_a_branch_closes_and_opens(page: Page) -> None:
    rows = "maypoleTimeline.state.lanes.rows.length"
    page.click_on("[data-task='4'] .twist")
    assert page.run(rows) == 6
    assert page.run("document.querySelector('[data-task=\"4\"]').ariaExpanded") == "false"
    page.run("document.querySelector('[data-task=\"4\"]').focus()")
    page.key(" ")
    assert page.run(rows) == 20


def test_lanes_without_a_part_in_the_window_can_be_left_out(page: Page) -> None:
    rows = "maypoleTimeline.state.lanes.rows.length"
    names = "[...document.querySelectorAll('.task-name')].map((item) => item.textContent)"
    page.click_on("#findings li:nth-child(1) button")
    page.key("v")
    page.wait_until(f"{rows} < 20")
    assert "req-7" in page.run(names)
    assert "req-1" not in page.run(names)
    page.key("f")
    page.wait_until(f"{rows} === 20")
    page.key("v")
    page.run("maypoleTimeline.state.view.place(400e6, 1e6)")
    page.settle()
    assert page.run(rows) == 20


def test_arrows_appear_for_the_chosen_task_and_for_all(page: Page) -> None:
    arrows = "maypoleTimeline.statistics.arrows"
    assert page.run(arrows) == 0
    page.click_on("[data-task='4']")
    of_server = page.run(arrows)
    assert of_server > 0
    page.key("Escape")
    assert page.run(arrows) == 0
    page.key("e")
    assert page.run(arrows) > of_server
    assert page.run("document.getElementById('arrows').ariaPressed") == "true"


def test_fingers_pinch_and_drag(page: Page) -> None:
    _, span = window(page)
    page.touch([(600, 420), (700, 420)], [(560, 420), (740, 420)], [(500, 420), (800, 420)])
    near = window(page)
    assert near[1] == pytest.approx(span / 3, rel=0.1)
    page.touch([(700, 420)], [(640, 420)], [(560, 420)])
    assert window(page)[0] > near[0]
    assert window(page)[1] == pytest.approx(near[1])


def test_the_overview_moves_the_window(page: Page) -> None:
    page.key("w")
    page.key("w")
    x, y, width, _ = page.place("#overview")
    page.click(x + width / 2 - 5, y)
    begin, span = window(page)
    assert begin + span > 500 * MS


def test_the_theme_switch_goes_round(page: Page) -> None:
    theme = "document.documentElement.dataset.theme"
    assert page.run(theme) == "light"
    page.prefer("dark")
    page.wait_until(f"{theme} === 'dark'")
    page.click_on("#theme")
    assert (page.run(theme), page.text("#theme")) == ("light", "Theme: light")
    page.key("t")
    assert (page.run(theme), page.text("#theme")) == ("dark", "Theme: dark")
    page.key("t")
    assert page.text("#theme") == "Theme: system"


def column(page: Page, index: int) -> list[str]:
    """The texts of one column of the table that is open."""
    rows = "[...document.querySelectorAll('#table-panel tbody tr')]"
    cells: list[str] = page.run(f"{rows}.map((row) => row.children[{index}].innerText)")
    return cells


def test_tables_are_sorted_by_a_press_on_a_heading(page: Page) -> None:
    assert column(page, 0)[0] == "req-7", "first by the time that it ran"
    page.click_on("#table-panel thead th:nth-child(1) button")
    assert column(page, 0)[:3] == ["consumer", "report", "req-0"]
    assert page.run("document.querySelector('#table-panel thead th').ariaSort") == "ascending"
    page.click_on("#table-panel thead th:nth-child(1) button")
    assert column(page, 0)[0] == "upstream"
    assert page.run("document.querySelector('#table-panel thead th').ariaSort") == "descending"


@pytest.mark.parametrize(
    ("tab", "first"),
    [
        ("functions", "handler at service.py:30"),
        ("steps", "req-7"),
        ("waits", "Task-3"),
        ("turns", "117 ms"),
        ("lost", "Task-3"),
    ],
)
def test_each_table_has_its_rows(page: Page, tab: str, first: str) -> None:
    page.click_on(f"#tab-{tab}")
    assert first in column(page, 0)


def test_the_worst_turn_names_its_contributors(page: Page) -> None:
    page.click_on("#tab-turns")
    assert column(page, 1)[0].startswith("30")
    assert column(page, 3)[0].startswith("handler 30")


def test_waits_are_summed_by_kind_and_line(page: Page, service: documents.Document) -> None:
    page.click_on("#tab-places")
    places = set(zip(column(page, 0), column(page, 1), strict=True))
    assert {
        ("an item from a queue", "consumer at service.py:52"),
        ("a lock", "handler at service.py:33"),
        ("the network or a pipe", "handler at service.py:31"),
    } <= places


def test_stalls_are_listed_with_their_line(page: Page) -> None:
    page.click_on("#tab-stalls")
    assert [column(page, index) for index in (1, 2, 3)] == [
        ["300 ms"],
        ["handler at service.py:38"],
        ["req-7"],
    ]


def test_arrow_keys_go_from_tab_to_tab(page: Page) -> None:
    page.click_on("#tab-tasks")
    before = window(page)
    page.key("ArrowRight")
    assert page.run("document.activeElement.id") == "tab-functions"
    page.key("ArrowLeft")
    page.key("ArrowLeft")
    assert page.run("document.activeElement.id") == "tab-window"
    assert window(page) == before, "they do not move the timeline"


def test_the_visible_window_is_there_as_text(page: Page) -> None:
    page.click_on("#findings li:nth-child(1) button")
    page.click_on("#tab-window")
    states = set(zip(column(page, 1), column(page, 2), strict=True))
    assert {("req-7", "running"), ("req-8", "ready, waiting for its turn")} <= states
    rows = len(column(page, 0))
    page.key("w")
    page.key("w")
    page.key("w")
    page.wait_until(f"document.querySelectorAll('#table-panel tbody tr').length < {rows}")
    assert " of 20, " in page.text("#table-panel caption")


def test_a_row_of_a_table_leads_into_the_timeline(page: Page) -> None:
    page.click_on("#tab-lost")
    page.click_on("#table-panel tbody tr:nth-child(1) td:nth-child(3)")
    assert page.text("#details h2") in ("upstream", "consumer", "req-9", "Task-3")
    assert page.run("document.querySelectorAll('.lane-name.chosen').length") == 1


def test_the_tables_can_make_room(page: Page) -> None:
    _, _, _, height = page.place("#timeline")
    page.key("b")
    assert page.place("#timeline")[3] > height + 100
    assert page.run("document.getElementById('show-tables').ariaPressed") == "false"
    page.click_on("#show-tables")
    assert page.place("#timeline")[3] == height


def test_help_names_the_keys(page: Page) -> None:
    page.key("?")
    assert "previous and next lane" in page.text("#help")
    page.key("w")
    assert window(page)[1] > 500 * MS, "keys rest while it is open"
    page.key("Escape")
    assert not page.run("document.getElementById('help').open")


def test_hovering_tells_in_a_few_words(page: Page) -> None:
    x, y = lane_place(page, 2, 250 * MS)
    page.mouse("mouseMoved", x, y)
    page.settle()
    assert "Task-3: waiting for an event for 527 ms" in page.text("#tooltip")
    page.mouse("mouseMoved", 20, 20)
    page.settle()
    assert page.run("document.getElementById('tooltip').hidden")


def test_another_trace_can_be_opened(page: Page, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(documents.encoded(documents.service(3)))
    found = page.send("Runtime.evaluate", expression="document.getElementById('file')")["result"]
    page.send("DOM.setFileInputFiles", files=[str(other)], objectId=found["objectId"])
    page.wait_until("maypoleTimeline.state.model.tasks.length === 9")
    assert "9 tasks" in page.text("#facts")


def test_another_trace_can_be_dropped(page: Page) -> None:
    text = documents.encoded(documents.service(3)).decode()
    script = """((text) => {
      const dataTransfer = new DataTransfer();
      dataTransfer.items.add(new File([text], "other.json"));
      document.body.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true }));
    })"""
    page.run(f"{script}({json.dumps(text)})")
    page.wait_until("maypoleTimeline.state.model.tasks.length === 9")


def test_nothing_is_drawn_while_nothing_changes(page: Page) -> None:
    page.run("new Promise((done) => setTimeout(done, 300))")
    before = page.run("maypoleTimeline.statistics.frames")
    page.run("new Promise((done) => setTimeout(done, 300))")
    assert page.run("maypoleTimeline.statistics.frames") == before
