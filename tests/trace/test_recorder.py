"""What the native recorder writes down, and that it disturbs nothing."""

from __future__ import annotations

import asyncio
import gc
import json
import random
from collections.abc import Callable, Coroutine
from typing import Any

import maypole
import pytest

CAPACITY = 100_000


class Rows:
    """One group of a document, by column and by row."""

    def __init__(self, columns: dict[str, list[Any]]) -> None:
        self.columns = columns

    def __iter__(self) -> Any:
        names = list(self.columns)
        return (dict(zip(names, row, strict=True)) for row in zip(*self.columns.values(), strict=True))


class Document:
    """A document with its indices followed."""

    def __init__(self, text: bytes) -> None:
        self.raw: dict[str, Any] = json.loads(text)

    def __getattr__(self, group: str) -> list[dict[str, Any]]:
        return list(Rows(self.raw[group]))

    def text(self, index: int) -> str:
        return "" if index < 0 else str(self.raw["strings"][index])

    def task(self, name: str) -> dict[str, Any]:
        (task,) = [task for task in self.tasks if self.text(task["name"]) == name]
        return task

    def function(self, site: int) -> str:
        return self.text(self.raw["sites"]["function"][site])

    def waits_of(self, name: str) -> list[tuple[str, str]]:
        """Kind and operation of each wait of a task."""
        number = self.task(name)["id"]
        waits = [wait for wait in self.waits if wait["task"] == number]
        return [(wait["kind"], self.text(wait["operation"])) for wait in waits]


def record(
    main: Callable[[], Coroutine[Any, Any, Any]], capacity: int = CAPACITY, **options: Any
) -> Document:
    """Run a program on a loop that is recorded from its first turn on."""
    with asyncio.Runner(loop_factory=lambda: maypole.new_event_loop(**options)) as runner:
        loop: Any = runner.get_loop()
        loop._trace_begin(capacity)
        try:
            runner.run(main())
        finally:
            document = loop._trace_end()
    return Document(document)


def test_task_is_told_with_parent_line_and_outcome() -> None:
    async def child() -> None:
        await asyncio.sleep(0.001)

    async def main() -> None:
        await asyncio.create_task(child(), name="child")

    document = record(main)
    child_told, main_told = document.task("child"), document.tasks[0]
    assert child_told["parent"] == main_told["id"]
    assert child_told["outcome"] == main_told["outcome"] == "returned"
    assert document.function(child_told["function"]).endswith("child")
    assert document.function(child_told["created_at"]).endswith("main")


def test_exception_is_told_with_its_type_and_text() -> None:
    async def child() -> None:
        raise LookupError("no such row")

    async def main() -> None:
        await asyncio.gather(asyncio.create_task(child(), name="child"), return_exceptions=True)

    told = (document := record(main)).task("child")
    assert told["outcome"] == "raised"
    assert document.text(told["error"]) == "LookupError: no such row"


def test_exception_whose_text_raises_is_told_by_its_type() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    async def child() -> None:
        raise Mute

    async def main() -> None:
        await asyncio.gather(asyncio.create_task(child(), name="child"), return_exceptions=True)

    told = (document := record(main)).task("child")
    assert document.text(told["error"]).endswith("Mute")


def test_cancellation_is_told_with_who_asked() -> None:
    async def main() -> None:
        child = asyncio.create_task(asyncio.sleep(10), name="child")
        await asyncio.sleep(0)
        child.cancel()
        await asyncio.gather(child, return_exceptions=True)

    document = record(main)
    (cancel,) = [row for row in document.cancels if row["task"] == document.task("child")["id"]]
    assert cancel["by_task"] == document.tasks[0]["id"]
    assert document.task("child")["outcome"] == "cancelled"


@pytest.mark.parametrize("native", [False, True], ids=["asyncio", "maypole"])
def test_wait_is_told_by_kind_and_operation(native: bool) -> None:
    source: Any = maypole if native else asyncio

    async def waiter() -> None:
        await source.sleep(0.001)
        await source.sleep(0)
        queue = source.Queue(1)
        asyncio.get_running_loop().call_later(0.001, queue.put_nowait, 1)
        await queue.get()
        event = source.Event()
        asyncio.get_running_loop().call_later(0.001, event.set)
        await event.wait()
        lock = source.Lock()
        await lock.acquire()
        asyncio.get_running_loop().call_later(0.001, lock.release)
        await lock.acquire()
        await asyncio.create_task(source.sleep(0.001))
        await source.gather(source.sleep(0.001), source.sleep(0.001))
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, None)
        await future

    async def main() -> None:
        await asyncio.create_task(waiter(), name="waiter")

    kinds = [kind for kind, _ in record(main).waits_of("waiter")]
    assert kinds == ["sleep", "turn", "queue", "event", "lock", "task", "gather", "future"]
    operations = [operation for _, operation in record(main).waits_of("waiter")]
    assert operations[0] == "sleep"
    assert operations[2:5] == ["get", "wait", "acquire"]


def test_waker_is_told() -> None:
    async def sleeper() -> None:
        await asyncio.sleep(0.001)

    async def getter(queue: asyncio.Queue[int]) -> None:
        await queue.get()

    async def main() -> None:
        queue: asyncio.Queue[int] = asyncio.Queue()
        tasks = [
            asyncio.create_task(sleeper(), name="sleeper"),
            asyncio.create_task(getter(queue), name="getter"),
        ]
        await asyncio.sleep(0)
        queue.put_nowait(1)
        await asyncio.gather(*tasks)

    document = record(main)

    def wakers(name: str) -> list[tuple[str, int]]:
        number = document.task(name)["id"]
        return [(row["waker"], row["waker_task"]) for row in document.steps if row["task"] == number]

    main_id = document.tasks[0]["id"]
    assert wakers("sleeper") == [("start", main_id), ("timer", 0)]
    assert wakers("getter") == [("start", main_id), ("task", main_id)]


def test_socket_wakes_as_io() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
            writer.write(b"hello\n")
            assert await reader.readline() == b"hello\n"
            writer.close()
            await writer.wait_closed()

    document = record(main)
    assert document.io
    assert ("io", "readline") in document.waits_of(document.text(document.tasks[0]["name"]))


def test_pending_tasks_stand_at_the_end_with_what_they_wait_for() -> None:
    async def main() -> None:
        forever = asyncio.get_running_loop().create_future()

        async def lost() -> None:
            await forever

        task = asyncio.create_task(lost(), name="lost")
        await asyncio.sleep(0)
        document = Document(loop._trace_end())
        assert document.task("lost")["outcome"] == "pending"
        assert document.waits_of("lost") == [("future", "")]
        task.cancel()

    loop: Any = maypole.new_event_loop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop()
        loop._trace_begin(CAPACITY)
        runner.run(main())


def test_recording_that_begins_and_ends_inside_a_step_tells_it() -> None:
    async def main() -> None:
        loop._trace_begin(CAPACITY)
        child = asyncio.create_task(asyncio.sleep(0), name="child")
        document = Document(loop._trace_end())
        await child
        (step,) = document.steps
        assert document.function(document.raw["tasks"]["function"][0]).endswith("main")
        assert step["task"] == document.tasks[0]["id"]
        assert document.task("child")["parent"] == step["task"]

    loop: Any = maypole.new_event_loop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())


def test_virtual_clock_gives_the_times() -> None:
    async def main() -> None:
        await asyncio.sleep(3600)

    document = record(main, clock="virtual")
    assert document.raw["duration_ns"] == 3600 * 10**9
    first, last = document.steps[0], document.steps[-1]
    assert last["begin_ns"] - first["end_ns"] == 3600 * 10**9


def test_full_ring_drops_the_oldest_and_counts_them() -> None:
    async def main() -> None:
        for _ in range(1000):
            await asyncio.sleep(0)

    document = record(main, capacity=50)
    assert document.raw["dropped_events"] > 1000
    assert len(document.steps) + len(document.waits) + len(document.turns) <= 50
    # The task was made long before what is left; its function is still known.
    (task,) = [task for task in document.tasks if document.function(task["function"]).endswith("main")]
    assert task["id"] == document.steps[-1]["task"]


def test_second_recording_at_once_is_refused() -> None:
    loop: Any = maypole.new_event_loop()
    loop._trace_begin(10)
    with pytest.raises(RuntimeError, match="being recorded already"):
        loop._trace_begin(10)
    loop._trace_end()
    with pytest.raises(RuntimeError, match="not being recorded"):
        loop._trace_end()
    with pytest.raises(ValueError, match="at least one event"):
        loop._trace_begin(0)
    loop.close()


def test_recording_outlives_its_closed_loop() -> None:
    loop: Any = maypole.new_event_loop()
    loop._trace_begin(10)
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()
    assert Document(loop._trace_end()).tasks


async def some_program(seed: int) -> list[int]:
    """A program whose answer depends on the order of everything in it."""
    order: list[int] = []
    chance = random.Random(seed)
    queue: asyncio.Queue[int] = asyncio.Queue(2)
    lock = asyncio.Lock()

    async def worker(number: int, delays: list[float]) -> None:
        for delay in delays:
            await asyncio.sleep(delay)
            async with lock:
                order.append(number)
            if delay == 0:
                await queue.put(number)
                order.append(await queue.get())

    async with asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(worker(number, [chance.choice([0, 0, 1, 2]) for _ in range(10)]))
    return order


@pytest.mark.parametrize("seed", range(5))
def test_recorded_program_takes_the_same_steps(seed: int) -> None:
    def order(recorded: bool) -> list[int]:
        loop: Any = maypole.new_event_loop(clock="virtual")
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            if recorded:
                runner.get_loop()
                loop._trace_begin(1_000)
            return runner.run(some_program(seed))

    assert order(recorded=True) == order(recorded=False)


@pytest.mark.parametrize("seed", range(5))
def test_recording_may_begin_and_end_at_any_time(seed: int) -> None:
    async def main() -> list[Document]:
        documents = []
        chance = random.Random(seed)
        loop: Any = asyncio.get_running_loop()
        program = asyncio.create_task(some_program(seed))
        while not program.done():
            if loop._trace_is_on:
                documents.append(Document(loop._trace_end()))
            else:
                loop._trace_begin(chance.choice([10, 1000, CAPACITY]))
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(chance.choice([0, 1]))
        await program
        return documents

    with asyncio.Runner(loop_factory=lambda: maypole.new_event_loop(clock="virtual")) as runner:
        for document in runner.run(main()):
            known = {task["id"] for task in document.tasks}
            assert all(step["task"] in known for step in document.steps)
            ends: dict[int, int] = {}
            for step in document.steps:
                assert ends.get(step["task"], 0) <= step["ready_ns"] <= step["begin_ns"] <= step["end_ns"]
                ends[step["task"]] = step["end_ns"]


def test_recording_keeps_no_task_alive() -> None:
    class Token:
        pass

    async def child(token: Token) -> None:
        await asyncio.sleep(0)

    async def main() -> int:
        for _ in range(100):
            await asyncio.create_task(child(Token()))
        gc.collect()
        return sum(isinstance(one, Token) for one in gc.get_objects())

    loop: Any = maypole.new_event_loop()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.get_loop()
        loop._trace_begin(CAPACITY)
        assert runner.run(main()) == 0
        loop._trace_end()


def test_note_of_an_unknown_group_is_refused() -> None:
    loop: Any = maypole.new_event_loop()
    loop._trace_begin(10)
    loop._trace_note("marks", 5, 5, "breaker\0opened", 0, None)
    loop._trace_note("stalls", 5, 9, "step", 0, [("app.py", 3, "handler"), ("app.py", 9, "main")])
    with pytest.raises(ValueError, match="no group is called 'lunches'"):
        loop._trace_note("lunches", 0, 0, "", 0, None)
    with pytest.raises(TypeError, match="frame of a stack"):
        loop._trace_note("stalls", 0, 0, "step", 0, [("app.py", 3)])
    document = Document(loop._trace_end())
    loop.close()
    (mark,) = document.marks
    assert (document.text(mark["text"]), document.text(mark["source"])) == ("opened", "breaker")
    (stall,) = document.stalls
    assert [document.function(site) for site in stall["stack"]] == ["handler", "main"]
