"""`maypole.trace.record`: what is recorded, what becomes of mistakes, and that all is as before then."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import json
import threading
import time
import types
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import maypole
import pytest
from maypole.trace import record
from maypole.trace.recording import all_loops, documents
from maypole.trace.recording.summary import summary


def document_of(recording: record) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(recording.document)
    return found


def names_of_tasks(document: dict[str, Any]) -> list[str]:
    return [document["strings"][name] for name in document["tasks"]["name"]]


async def main() -> str:
    await asyncio.create_task(asyncio.sleep(0.001), name="child")
    return "done"


def test_around_a_run_its_loop_is_recorded_from_start_to_end() -> None:
    with record() as recording:
        assert maypole.run(main()) == "done"
    document = document_of(recording)
    assert names_of_tasks(document)[:2] == ["Task-1", "child"] or "child" in names_of_tasks(document)
    assert document["program"]["ended"] == "returned"
    assert document["complete"]
    assert document["dropped_events"] == 0


@pytest.mark.parametrize("asynchronously", [True, False])
def test_in_a_coroutine_the_running_loop_is_recorded_from_there(asynchronously: bool) -> None:
    async def part() -> record:
        await asyncio.create_task(asyncio.sleep(0), name="before")
        if asynchronously:
            async with record() as recording:
                await main()
        else:
            with record() as recording:
                await main()
        await asyncio.create_task(asyncio.sleep(0), name="after")
        return recording

    document = document_of(maypole.run(part()))
    assert "child" in names_of_tasks(document)
    assert not {"before", "after"} & set(names_of_tasks(document))
    assert document["program"]["ended"] == "running"


def test_a_task_has_the_name_that_it_was_given_last() -> None:
    async def names() -> None:
        task = asyncio.create_task(asyncio.sleep(0.001), name="first")
        await asyncio.sleep(0)
        task.set_name("last")
        await task

    with record() as recording:
        maypole.run(names())
    named = names_of_tasks(document_of(recording))
    assert "last" in named
    assert "first" not in named


def test_several_loops_become_one_document_on_one_time_axis() -> None:
    with record() as recording:
        for number in range(3):
            maypole.run(asyncio.sleep(0.001, number))
    document = document_of(recording)
    tasks = document["tasks"]
    assert len(set(tasks["id"])) == len(tasks["id"])
    sleeps = [
        created
        for created, function in zip(tasks["created_ns"], tasks["function"], strict=True)
        if document["strings"][document["sites"]["function"][function]] == "sleep"
    ]
    assert len(sleeps) == 3
    assert sleeps == sorted(sleeps)
    assert sleeps[2] - sleeps[0] >= 2_000_000
    for group in ("steps", "turns", "polls"):
        ends = document[group]["end_ns"]
        assert ends == sorted(ends)
        assert ends[-1] <= document["duration_ns"]
    assert set(document["steps"]["task"]) <= set(tasks["id"])


def test_loops_of_several_threads_are_recorded_together() -> None:
    with record() as recording:
        threads = [threading.Thread(target=lambda: maypole.run(main())) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert names_of_tasks(document_of(recording)).count("child") == 2


def test_pauses_of_the_collector_are_in() -> None:
    async def collects() -> None:
        gc.collect()
        gc.collect(1)

    with record() as recording:
        maypole.run(collects())
    pauses = document_of(recording)["gc"]
    assert {1, 2} <= set(pauses["generation"])
    assert all(begin <= end for begin, end in zip(pauses["begin_ns"], pauses["end_ns"], strict=True))


def job() -> str:
    time.sleep(0.005)
    return threading.current_thread().name


def test_jobs_of_executors_are_in_with_the_task_that_handed_them_in() -> None:
    async def hands_in() -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, job)
        with ThreadPoolExecutor(1) as own:
            await loop.run_in_executor(own, job)
        await asyncio.to_thread(job)
        with contextlib.suppress(ZeroDivisionError):
            await loop.run_in_executor(None, divmod, 1, 0)

    async def parent() -> None:
        await asyncio.create_task(hands_in(), name="hands-in")

    with record() as recording:
        maypole.run(parent())
    document = document_of(recording)
    jobs = document["executor"]
    assert [document["strings"][name] for name in jobs["name"]][:4] == ["job", "job", "job", "divmod"]
    by_id = dict(zip(document["tasks"]["id"], names_of_tasks(document), strict=True))
    assert {by_id[task] for task in jobs["task"][:4]} == {"hands-in"}
    for submitted, begin, end in zip(jobs["submitted_ns"], jobs["begin_ns"], jobs["end_ns"], strict=True):
        assert submitted <= begin <= end
    waits = document["waits"]
    own = [kind for kind, task in zip(waits["kind"], waits["task"], strict=True) if by_id[task] == "hands-in"]
    # From Python 3.14 on, a job that is done before it is waited for makes no wait.
    assert set(own) == {"executor"}


def test_what_the_block_raises_goes_on_and_the_recording_is_there() -> None:
    async def fails() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), record() as recording:
        maypole.run(fails())
    document = document_of(recording)
    assert document["program"]["ended"] == "raised"
    assert "raised" in document["tasks"]["outcome"]


def test_after_a_recording_everything_is_as_before() -> None:
    async def look(loop: asyncio.AbstractEventLoop) -> tuple[dict[str, Any], list[Any]]:
        return dict(vars(loop)), list(gc.callbacks)

    loop = maypole.new_event_loop()
    before = loop.run_until_complete(look(loop))
    with record():
        loop.run_until_complete(main())
    assert loop.run_until_complete(look(loop)) == before
    assert all_loops._running is None
    loop.close()


def test_a_loop_that_is_closed_in_the_block_is_recorded_to_its_end() -> None:
    with record() as recording:
        loop = maypole.new_event_loop()
        loop.run_until_complete(main())
        loop.close()
    assert "child" in names_of_tasks(document_of(recording))


def test_two_recordings_at_once_are_refused_in_one_sentence_and_the_first_goes_on() -> None:
    with record() as first:
        with pytest.raises(RuntimeError, match="a recording is running already in this process"), record():
            raise AssertionError
        maypole.run(main())
    assert "child" in names_of_tasks(document_of(first))


def test_a_recording_is_made_once() -> None:
    recording = record()
    with pytest.raises(RuntimeError, match="is not over"):
        _ = recording.document
    with recording:
        with pytest.raises(RuntimeError, match="is made once"):
            recording.__enter__()
        maypole.run(main())
    with pytest.raises(RuntimeError, match="is made once"), recording:
        raise AssertionError


def test_another_kind_of_loop_is_refused_in_one_sentence() -> None:
    async def inside() -> None:
        with record():
            raise AssertionError

    with (
        pytest.raises(
            RuntimeError, match=r"needs a loop of maypole, and a .* runs here: use maypole.run\(\)"
        ),
        asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner,
    ):
        runner.run(inside())
    with (
        pytest.raises(RuntimeError, match="no loop of maypole ran"),
        record(),
        asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner,
    ):
        runner.run(asyncio.sleep(0))
    assert all_loops._running is None


def test_a_recording_does_without_its_watchdog_where_no_thread_can_be_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_thread(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    async def tries() -> bool:
        loop: Any = asyncio.get_running_loop()
        monkeypatch.setattr("maypole.trace.watchdog.Watchdog.start", no_thread)
        with record() as recording:
            await asyncio.sleep(0)
        monkeypatch.undo()
        assert json.loads(recording.document)["steps"]["task"]
        return bool(loop._trace_is_on) or all_loops._running is not None

    callbacks = list(gc.callbacks)
    assert maypole.run(tries()) is False
    assert gc.callbacks == callbacks


@pytest.mark.parametrize("capacity", [0, -1, True, 1.5, "many"])
def test_a_capacity_that_makes_no_sense_is_refused(capacity: Any) -> None:
    with pytest.raises(ValueError, match="a number above 0, not"), record(capacity=capacity):
        raise AssertionError
    assert all_loops._running is None


def test_a_small_capacity_drops_the_oldest_and_counts_them() -> None:
    async def many() -> None:
        for _ in range(1_000):
            await asyncio.sleep(0)

    with record(capacity=100) as recording:
        maypole.run(many())
    assert document_of(recording)["dropped_events"] > 1_000


def test_page_and_perfetto_are_written_at_the_end(tmp_path: Path) -> None:
    page, perfetto = tmp_path / "out.html", tmp_path / "out.perfetto"
    with record(page, perfetto=perfetto) as recording:
        maypole.run(main())
    assert b"maypole-trace" in page.read_bytes()
    assert perfetto.stat().st_size > 100
    with record(tmp_path / "out.json") as recording:
        maypole.run(main())
    assert (tmp_path / "out.json").read_bytes() == recording.document
    assert {path.name for path in tmp_path.iterdir()} == {"out.html", "out.json", "out.perfetto"}


def test_a_file_that_cannot_be_written_is_told_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file or directory"), record(tmp_path / "no" / "out.html"):
        raise AssertionError
    with pytest.raises(IsADirectoryError), record(perfetto=tmp_path):
        raise AssertionError
    assert all_loops._running is None


def test_a_file_that_fails_at_the_end_hides_no_error_of_the_block(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    with pytest.raises(ZeroDivisionError), record(folder / "out.html"):
        maypole.run(main())
        folder.rmdir()
        raise ZeroDivisionError
    assert "the recording was not written" in caplog.text
    folder.mkdir()
    with pytest.raises(OSError, match="No such file"), record(folder / "out.html"):
        maypole.run(main())
        folder.rmdir()


def test_a_large_document_gets_its_program_without_being_parsed() -> None:
    about = documents.program(1, "exited")
    text = b'{"format":"maypole-trace","version":1,"program":{},"duration_ns":1,"complete":true, and no JSON'
    found = documents.with_program(text, about, complete=False)
    assert b'"ended": "exited"' in found
    assert b'"complete": false' in found
    assert found.endswith(b"and no JSON")
    other = documents.with_program(b'{"format": "maypole-trace", "complete": true}', about, complete=False)
    assert json.loads(other)["program"] == about
    assert json.loads(other)["complete"] is False


def closure_over(cargo: object) -> Callable[[], None]:
    def called() -> None:
        assert cargo is not None

    return called


def test_a_recording_keeps_nothing_alive_that_the_program_has_let_go() -> None:
    class Cargo:
        pass

    async def main() -> list[weakref.ref[Cargo]]:
        loop = asyncio.get_running_loop()
        seen = []
        for _ in range(3):
            cargo = Cargo()
            seen.append(weakref.ref(cargo))
            loop.call_soon(lambda held: held and None, cargo)
            loop.call_soon(closure_over(cargo))
            loop.call_soon(functools.partial(str, cargo))
            await asyncio.gather(*(asyncio.sleep(0, cargo) for _ in range(3)))
            del cargo
        await asyncio.sleep(0)
        return [one for one in seen if one() is not None]

    gc.disable()
    try:
        with record():
            assert maypole.run(main()) == []
    finally:
        gc.enable()


def test_a_wait_at_a_place_that_was_met_before_makes_no_frame_object() -> None:
    """The collector has to look at each of them; they were the dearest part of a recording."""

    async def inner(gate: asyncio.Event) -> None:
        await gate.wait()

    async def outer(gate: asyncio.Event) -> None:
        await inner(gate)

    async def crowd(count: int) -> int:
        gate = asyncio.Event()
        tasks = [asyncio.create_task(outer(gate)) for _ in range(count)]
        await asyncio.sleep(0.001)
        frames = sum(isinstance(found, types.FrameType) for found in gc.get_objects())
        gate.set()
        await asyncio.gather(*tasks)
        return frames

    async def main() -> tuple[int, int]:
        await crowd(1)
        return await crowd(1), await crowd(50)

    with record():
        few, many = maypole.run(main())
    assert many - few < 10


def test_the_summary_of_a_part_tells_who_waited_all_the_time_and_not_who_goes_on() -> None:
    async def sleeper() -> None:
        await asyncio.get_running_loop().create_future()

    async def busy() -> None:
        while True:
            await asyncio.sleep(0)

    async def main() -> bytes:
        tasks = [asyncio.create_task(sleeper(), name="sleeper"), asyncio.create_task(busy(), name="busy")]
        await asyncio.sleep(0)
        async with record() as recording:
            await asyncio.sleep(0.001)
        for task in tasks:
            task.cancel()
        return recording.document

    told = [line for line in summary(maypole.run(main())) if "task '" in line and not line.startswith("busy")]
    [line] = told
    assert line.startswith("did not run meanwhile: task 'sleeper', waits for future at ")
    assert line.endswith(
        "in test_the_summary_of_a_part_tells_who_waited_all_the_time_and_not_who_goes_on.<locals>.sleeper"
    )
