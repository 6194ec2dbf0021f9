"""Of what is no good trace the page says so in one sentence, and shows what it can."""

from __future__ import annotations

import json
import math

import pytest
from viewer.conftest import Show

from viewer import documents


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        (
            b"",
            "There is no trace in this page. Open a .json file that maypole trace wrote, or drop one here.",
        ),
        (b"  \n", "There is no trace in this page."),
        (b"hello", "This is no maypole trace: it is not JSON ("),
        (b"[1, 2]", "This is no maypole trace: it is JSON, but not an object."),
        (b"null", "This is no maypole trace: it is JSON, but not an object."),
        (b"{}", "This is no maypole trace: it does not say its format."),
        (b'{"format": "chrome", "version": 1}', 'This is no maypole trace: its format is "chrome".'),
        (
            b'{"format": "maypole-trace", "version": 7}',
            "This trace is of version 7; this page reads version 1.",
        ),
        (b'{"format": "maypole-trace"}', "This trace is of version not given;"),
    ],
)
def test_what_is_no_trace_is_refused_by_name(show: Show, document: bytes, sentence: str) -> None:
    page = show(document)
    problem = page.text("#problems")
    assert problem.startswith(sentence)
    assert "\n" not in problem, "one sentence after the other, in one paragraph"
    assert page.run("getComputedStyle(document.querySelector('main')).display") == "none"
    assert page.run("document.getElementById('open').checkVisibility()")


def test_an_empty_recording_is_shown_as_such(show: Show) -> None:
    page = show(documents.empty())
    assert page.text("#problems") == "The trace holds no events: nothing ran while it was recorded."
    assert "In 1 ms 0 tasks ran 0 steps" in page.text("#findings")


@pytest.mark.parametrize("part", [0.15, 0.4, 0.7, 0.97])
def test_a_trace_that_is_cut_short_shows_what_came_before(
    show: Show, service: documents.Document, part: float
) -> None:
    text = json.dumps(service)
    cut = text[: math.floor(len(text) * part)]
    page = show(cut.encode())
    problem = page.text("#problems")
    assert problem.startswith(
        f"The trace is cut short: it ends after {len(cut):,} characters, in the middle."
    )
    assert "What came before is shown; missing are " in problem
    assert "\n" not in problem
    assert page.run("maypoleTimeline.state.model.duration") >= service["duration_ns"]
    tasks = page.run("maypoleTimeline.state.model.tasks.length")
    assert tasks == (20 if part > 0.3 else tasks)
    assert page.look_at(page.screenshot())["colours"] > 50


def test_every_cut_is_read_or_refused(show: Show) -> None:
    text = json.dumps(documents.service(2))
    page = show(b"")
    script = """((text) => {
      const counts = { shown: 0, refused: 0 };
      for (let end = 0; end < text.length; end += 29) {
        maypoleTimeline.open(text.slice(0, end), "cut");
        counts[document.body.classList.contains("nothing") ? "refused" : "shown"]++;
        if (document.getElementById("problems").innerText === "") throw new Error(`no word about ${end}`);
      }
      return counts;
    })"""
    answers = page.run(f"{script}({json.dumps(text)})")
    assert answers["shown"] > 10 * answers["refused"] > 0


@pytest.mark.parametrize("group", ["tasks", "steps", "waits", "turns", "sites", "stalls"])
def test_a_missing_group_is_named_and_the_rest_shown(
    show: Show, service: documents.Document, group: str
) -> None:
    page = show({name: value for name, value in service.items() if name != group})
    assert page.text("#problems") == f"The trace has no {group}; the page shows the rest."
    assert page.run("maypoleTimeline.state.model.tasks.length") == 20
    assert page.look_at(page.screenshot())["colours"] > 50


def test_only_the_head_is_there(show: Show) -> None:
    page = show(b'{"format": "maypole-trace", "version": 1}')
    assert page.text("#problems").startswith("The trace has no sites, tasks, steps,")
    assert "The trace holds no events" in page.text("#problems")


def test_groups_of_the_wrong_kind_are_named(show: Show, service: documents.Document) -> None:
    page = show({**service, "gc": 7, "polls": "none", "turns": None})
    assert page.text("#problems") == (
        "In the trace turns, polls and gc are no group of columns; the page shows the rest."
    )


def test_what_contradicts_itself_is_shown_as_far_as_it_goes(show: Show) -> None:
    page = show(documents.inconsistent())
    assert "columns of unequal length or of a wrong kind; only whole rows are shown." in page.text(
        "#problems"
    )
    assert page.run("maypoleTimeline.state.lanes.rows.length") == page.run(
        "maypoleTimeline.state.model.tasks.length"
    )
    for tab in page.run("[...document.querySelectorAll('[role=tab]')].map((tab) => tab.id)"):
        page.click_on(f"#{tab}")
        assert page.run("document.getElementById('table-panel').children.length") == 1


def test_rows_and_groups_without_their_times_are_left_out(show: Show, service: documents.Document) -> None:
    waits = {name: column for name, column in service["waits"].items() if name != "begin_ns"}
    polls = {**service["polls"], "end_ns": [None, "x", *service["polls"]["end_ns"][2:]]}
    page = show({**service, "waits": waits, "polls": polls})
    assert page.text("#problems").startswith(
        "2 groups of the trace (waits and polls) have columns of unequal"
    )
    lengths = "[maypoleTimeline.state.model.waits.length, maypoleTimeline.state.model.polls.length]"
    assert page.run(lengths) == [0, len(service["polls"]["end_ns"]) - 2]


def test_what_is_not_known_is_passed_over(show: Show, service: documents.Document) -> None:
    page = show({**service, "tomorrow": {"a": [1]}, "gc": {**service["gc"], "cause": ["x"]}})
    assert page.text("#problems") == ""
