"""What a reader sees of a trace, from disk and without a network."""

from __future__ import annotations

import re

import pytest
from viewer.conftest import Show

from viewer import documents

MS = 1_000_000


def test_the_page_opens_from_disk_and_asks_for_nothing(show: Show, service: documents.Document) -> None:
    page = show(service)
    assert page.run("document.title") == "service.py · maypole timeline"
    assert [address.partition(":")[0] for address in page.requests()] == ["file"]
    assert page.text("#program") == "service.py"
    assert "20 tasks" in page.text("#facts")


def test_a_request_from_the_page_would_be_refused_and_seen(show: Show, service: documents.Document) -> None:
    page = show(service)
    assert page.run("fetch('http://127.0.0.1:9/x').then(() => 'sent', () => 'refused')") == "refused"
    assert page.complaints(), "the policy says what it refused"
    page.forget()


def test_the_sentences_on_top_say_what_was_found(show: Show, service: documents.Document) -> None:
    sentences = show(service).text("#findings")
    assert "The loop was held for 300 ms by handler at service.py:38 in task req-7." in sentences
    assert (
        "1 task was still pending at the end: Task-3. "
        "Task-3 waits for an event, in forgotten at service.py:71, and was made by main at service.py:73."
    ) in sentences
    assert "busy for 61 % of the time, most of it in handler at service.py:30 (31" in sentences
    assert "Task req-9 ended with ValueError: no such row 9." in sentences
    assert re.search(r"In 527 ms 20 tasks ran \d+ steps and waited \d+ times; the loop was busy", sentences)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"dropped_events": 12_345},
            "12,345 events did not fit into the recording: the oldest part is missing.",
        ),
        ({"complete": False}, "The recording ends before the program did."),
    ],
)
def test_what_a_recording_lacks_is_said(show: Show, change: dict[str, object], sentence: str) -> None:
    assert sentence in show({**documents.service(3), **change}).text("#findings")


def test_a_program_that_was_killed_could_not_finish_its_tasks(show: Show) -> None:
    document = documents.service(3)
    document["program"]["ended"] = "killed"
    sentences = show(document).text("#findings")
    assert "The recording ends before the program did: it was killed." in sentences
    assert "1 task had not finished by then: Task-3." in sentences
    assert "pending" not in sentences


def test_a_long_step_is_told_without_a_watchdog(show: Show) -> None:
    document = documents.service()
    for column in document["stalls"].values():
        column.clear()
    sentences = show(document).text("#findings")
    assert "The loop was held for 30" in sentences
    assert "by one step of handler at service.py:30 in task req-7." in sentences


def test_a_slow_consumer_is_told_by_those_who_wait_for_room(show: Show) -> None:
    sentences = show(documents.slow_consumer()).text("#findings")
    assert re.search(
        r"3 tasks waited 1\.\d+ s in sum for room in a queue, in producer at pipeline.py:14\.", sentences
    )
    assert "held" not in sentences


def test_many_short_pieces_of_one_turn_are_named_by_the_most_of_them(show: Show) -> None:
    document = documents.service()
    document["stalls"]["kind"] = ["turn"]
    sentences = show(document).text("#findings")
    assert "by many short callbacks and steps together, most of all handler in task req-7." in sentences


def test_a_crowd_is_counted(show: Show) -> None:
    sentences = show(documents.crowd(tasks=700, rounds=1)).text("#findings")
    assert "Up to 700 tasks of worker at crowd.py:10 lived at once." in sentences


def test_stalls_at_the_same_line_are_one_sentence(show: Show) -> None:
    document = documents.service()
    for column in document["stalls"].values():
        column.append(column[0])
    document["stalls"]["end_ns"][1] += 10 * MS
    sentences = show(document).text("#findings")
    assert (
        "The loop was held 2 times by handler at service.py:38, for 310 ms at most in task req-7."
        in sentences
    )


def test_lanes_stand_below_the_task_that_made_them(show: Show, service: documents.Document) -> None:
    page = show(service)
    items = "[...document.querySelectorAll('#tree [role=treeitem]')]"
    lanes = page.run(f"{items}.map((item) => [item.ariaLevel, item.ariaLabel])")
    assert [level for level, _ in lanes[:7]] == ["1", "2", "2", "2", "2", "3", "3"]
    assert lanes[0][1] == "Task-1, main, returned, lane 1 of 20"
    assert lanes[3][1] == "upstream, slow, cancelled, lane 4 of 20"


def test_the_times_of_the_table_are_those_of_the_trace(show: Show, service: documents.Document) -> None:
    totals = show(service).run(
        "maypoleTimeline.state.model.segments.ran[maypoleTimeline.state.model.segments.length]"
    )
    steps = service["steps"]
    assert totals == sum(end - begin for begin, end in zip(steps["begin_ns"], steps["end_ns"], strict=True))


def test_segments_fill_the_life_of_every_task(show: Show, service: documents.Document) -> None:
    segments = show(service).run(
        """(() => {
          const { segments, tasks } = maypoleTimeline.state.model;
          const of = (column, task) => [...column.subarray(segments.start[task], segments.start[task + 1])];
          return [...tasks.id].map((id, task) => [id, of(segments.begin, task), of(segments.end, task)]);
        })()"""
    )
    tasks = service["tasks"]
    for task, begins, ends in segments:
        ended = tasks["ended_ns"][task - 1]
        assert begins[0] == tasks["created_ns"][task - 1]
        assert ends[:-1] == begins[1:], "no gap and no overlap"
        assert ends[-1] == (ended if ended >= 0 else service["duration_ns"])


def test_every_kind_of_wait_has_a_look_of_its_own(show: Show) -> None:
    looks = show(documents.service(3)).run(
        "maypoleTimeline.looks().map((look) => `${look.colour} ${look.pattern} ${look.height}`)"
    )
    assert len(looks) == 14
    assert len(set(looks)) == 14
    assert len({look.split()[1] + look.split()[2] for look in looks}) >= 9, "mostly told apart without colour"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1280, 800), (400, 800)])
def test_the_page_is_not_blank(
    show: Show, service: documents.Document, scheme: str, width: int, height: int
) -> None:
    page = show(service, width, height)
    page.prefer(scheme)
    page.wait_until(f"document.documentElement.dataset.theme === '{scheme}'")
    seen = page.look_at(page.screenshot())
    assert seen["colours"] > 100
    assert seen["edges"] > 1_000
    assert (seen["brightness"] > 128) == (scheme == "light")
    assert page.run("document.documentElement.scrollWidth") <= width, "nothing sticks out to the right"


def test_the_canvases_are_drawn_on(show: Show, service: documents.Document) -> None:
    page = show(service)
    for canvas in ("overview", "loop", "lane-canvas"):
        drawn = page.run(
            f"(() => {{ const canvas = document.getElementById('{canvas}');"
            " const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;"
            " return new Set(new Uint32Array(data.buffer)).size; })()"
        )
        assert drawn > 10, canvas


def test_controls_have_names_and_canvases_alternatives(show: Show, service: documents.Document) -> None:
    page = show(service)
    page.click_on("[data-task='0']")
    page.wait_until("document.getElementById('status').textContent !== ''")  # it is told with a delay
    nameless = page.run(
        """(() => {
          const all = document.querySelectorAll("button, input, [role], canvas, table, aside, section");
          const named = (item) => item.ariaLabel || item.textContent.trim() || item.labels?.length
            || item.getAttribute("aria-labelledby");
          const silent = (item) => item.hidden || item.ariaHidden || item.role === "presentation";
          return [...all].filter((item) => !named(item) && !silent(item)).map((item) => item.outerHTML);
        })()"""
    )
    assert nameless == []
