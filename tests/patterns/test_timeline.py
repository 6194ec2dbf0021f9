"""What patterns do stands on the timeline of whatever records, at its time and in its task."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import maypole
import maypole.trace
import pytest
from maypole import marks
from maypole.patterns import Bulkhead, CircuitBreaker, CircuitOpen, Pool, RateLimit, RetryBudget, supervise
from maypole.patterns import events as events_module
from maypole.patterns.timeline import text_of
from maypole.testing import run_virtual

Mark = tuple[float, str | None, str]


@pytest.fixture(autouse=True)
def nothing_records_afterwards() -> Iterator[None]:
    yield
    assert events_module._subscribers == ()
    assert marks._takers == ()


def marks_of(document: bytes) -> list[Mark]:
    """The marks of a recording: seconds since it began, the name of the task, the text."""
    found = json.loads(document)
    names = {
        number: found["strings"][name]
        for number, name in zip(found["tasks"]["id"], found["tasks"]["name"], strict=True)
    }
    rows = found["marks"]
    return [
        (round(at_ns / 1e9, 3), names.get(task), found["strings"][text])
        for at_ns, task, text in zip(rows["at_ns"], rows["task"], rows["text"], strict=True)
    ]


def recorded(main: Callable[[], Any], run: Callable[..., Any] = run_virtual) -> list[Mark]:
    """The marks of a program; on the virtual clock their times are exact."""
    with maypole.trace.record() as recording:
        run(main())
    return marks_of(recording.document)


async def call(breaker: CircuitBreaker, error: BaseException | None) -> None:
    async with breaker:
        await asyncio.sleep(0.1)
        if error is not None:
            raise error


async def in_task(name: str, work: Any) -> None:
    """Run something in a task of that name; refusals and failures of the remote are what it is about."""
    try:
        await asyncio.create_task(work, name=name)
    except (CircuitOpen, OSError):
        pass


@pytest.mark.not_in_debug_mode("a recording does not see the tasks of debug mode")
@pytest.mark.not_in_mode("c", "a recording does not see asyncio's own tasks")
def test_an_outage_stands_on_the_timeline_in_order_with_its_tasks() -> None:
    async def main() -> None:
        breaker = CircuitBreaker("db", consecutive=2, open_for=1, jitter=0, probes=2)
        for name in ("first", "second"):
            await in_task(name, call(breaker, OSError("no route")))
        await in_task("refused", call(breaker, None))
        await asyncio.sleep(1)
        await in_task("probe", call(breaker, OSError("no route")))
        await asyncio.sleep(2)
        for name in ("third", "fourth", "fifth"):
            await in_task(name, call(breaker, None))

    assert recorded(main) == [
        (0.2, "second", "breaker db: closed → open (consecutive)"),
        (0.2, "refused", "breaker db: reject (open)"),
        (1.2, "probe", "breaker db: open → half-open (open time over)"),
        (1.2, "probe", "breaker db: probe"),
        (1.3, "probe", "breaker db: half-open → open (probes fail)"),
        (3.3, "third", "breaker db: open → half-open (open time over)"),
        (3.3, "third", "breaker db: probe"),
        (3.4, "fourth", "breaker db: probe"),
        (3.5, "fourth", "breaker db: half-open → closed (probes work)"),
    ]


def test_what_each_pattern_decides_is_marked_and_who_waits_is_not() -> None:
    async def fail() -> None:
        raise OSError("broken")

    async def create() -> str:
        return "an item"

    async def close(item: str) -> None:
        assert item == "an item"

    async def main() -> None:
        limit, places, budget = RateLimit("1/s", name="api"), Bulkhead(1, name="places"), RetryBudget()
        async with places:
            assert not places.try_acquire()
        await limit.acquire()
        await limit.acquire()  # waits, and is let through
        assert not limit.try_acquire()
        while budget.try_acquire():
            pass
        pool = Pool(create, close, max_size=1, is_broken=lambda item: True, name="items")
        async with pool, pool.acquire() as item:
            assert item == "an item"
        with pytest.raises(Exception, match="would need restart 2"):
            await supervise(fail, name="worker", max_restarts=1)

    texts = [text for _, _, text in recorded(main)]
    assert texts == [
        "bulkhead places: reject (no place is free)",
        "rate limit api: reject (not there)",
        "retry budget: reject",
        "pool items: create",
        "pool items: broken",
        "pool items: close",
        "supervisor worker: restart (OSError)",
        "supervisor worker: give up (OSError)",
    ]


@pytest.mark.not_in_debug_mode("a recording does not see the tasks of debug mode")
@pytest.mark.not_in_mode("c", "a recording does not see asyncio's own tasks")
def test_what_a_timer_or_another_thread_decides_belongs_to_no_task() -> None:
    limit = RateLimit("1/h", name="api")

    async def main() -> None:
        assert limit.try_acquire()
        asyncio.get_running_loop().call_soon(limit.try_acquire)
        await asyncio.sleep(0)
        await asyncio.to_thread(limit.try_acquire)
        await asyncio.sleep(0)
        limit.try_acquire()

    tasks = [task for _, task, _ in recorded(main, run=maypole.run)]
    assert tasks[:2] == [None, None]
    assert isinstance(tasks[2], str)
    assert len(tasks) == 3


@pytest.mark.not_in_debug_mode("a recording does not see the tasks of debug mode")
@pytest.mark.not_in_mode("c", "a recording does not see asyncio's own tasks")
def test_a_loop_has_the_marks_of_its_own_tasks() -> None:
    both_run = threading.Barrier(2)

    async def main(name: str) -> None:
        both_run.wait(10)
        RateLimit(1, name=name).pause(1)
        both_run.wait(10)

    def other() -> None:
        with asyncio.Runner(loop_factory=maypole.new_event_loop) as runner:
            runner.run(main("of the thread"))

    thread = threading.Thread(target=other)
    with maypole.trace.record() as recording:
        thread.start()
        maypole.run(main("of the first"))
        thread.join()
    found = {(task, text) for _, task, text in marks_of(recording.document)}
    assert {text for _, text in found} == {
        "rate limit of the first: pause",
        "rate limit of the thread: pause",
    }
    assert None not in {task for task, _ in found}


def test_a_part_of_a_program_has_the_marks_of_that_part() -> None:
    async def main() -> bytes:
        limit = RateLimit(1, name="api")
        limit.pause(1)
        async with maypole.trace.record() as recording:
            limit.set_rate(2)
        limit.pause(1)
        return recording.document

    texts = [text for _, _, text in marks_of(maypole.run(main()))]
    assert texts == ["rate limit api: rate"]


def test_a_listener_that_raises_keeps_nothing_from_the_timeline(caplog: pytest.LogCaptureFixture) -> None:
    def listener(event: Any) -> None:
        raise ValueError("bad listener")

    async def main() -> None:
        RateLimit(1, name="api", on_event=listener).pause(1)

    with caplog.at_level(logging.ERROR, "maypole.patterns"):
        assert [text for _, _, text in recorded(main)] == ["rate limit api: pause"]
    assert len(caplog.records) == 1


class Taker:
    """Takes the marks of a loop that nobody runs."""

    def __init__(self, *, fails: bool = False) -> None:
        self.loop: Any = object()
        self.taken: list[str] = []
        self._fails = fails

    def mark(self, source: str, text: str, /) -> None:
        if self._fails:
            raise RuntimeError("no room")
        self.taken.append(text)


def test_sources_run_from_the_first_recording_to_the_last() -> None:
    told: list[str] = []

    def begin() -> Callable[[], None]:
        told.append("begins")
        return lambda: told.append("ends")

    source = marks._Source(begin)
    marks._sources.append(source)
    try:
        first_ends, second_ends = marks.take(Taker()), marks.take(Taker())
        first_ends()
        first_ends()
        assert told == ["begins"]
        second_ends()
        assert told == ["begins", "ends"]
    finally:
        marks._sources.remove(source)


def test_a_source_that_comes_later_begins_at_once(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []

    def begin() -> Callable[[], None]:
        told.append("begins")
        raise RuntimeError("bad source")

    end = marks.take(Taker())
    before = list(marks._sources)
    with caplog.at_level(logging.ERROR, "maypole"):
        marks.while_taken(begin)
    end()
    marks._sources[:] = before
    assert told == ["begins"]
    assert len(caplog.records) == 1


def test_a_recording_that_fails_to_take_a_mark_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    end = marks.take(Taker(fails=True))
    with caplog.at_level(logging.ERROR, "maypole"):
        RateLimit(1).pause(1)
    end()
    assert [record.message for record in caplog.records] == ["a mark was not written: rate limit: pause"]


def test_without_a_recording_no_text_is_made() -> None:
    marks.write("maypole.patterns", "nobody takes it")
    limit = RateLimit(1)
    assert not limit.events  # so no event is built


def test_long_texts_are_cut_and_equal_events_have_equal_texts() -> None:
    def refusal(reason: str, name: str = "api") -> str:
        detail = {"n": 1, "reason": reason}
        return text_of(events_module.PatternEvent("bulkhead", name, "reject", 1.0, detail))

    assert refusal("no place came free in 0.2 s") == refusal("no place came free in 0.3 s")
    assert refusal("full") == "bulkhead api: reject (full)"
    assert len(refusal("full", "a" * 500)) == 120
