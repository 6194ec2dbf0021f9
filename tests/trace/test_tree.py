"""The tree of tasks says where each stands, what it waits for, and who waits for whom."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import maypole
import pytest
from harness.kinds import Loop
from maypole.trace.tasks.nodes import TaskNode, Tree
from maypole.trace.tasks.tree import tree

HERE = "test_tree.py"


def run(loop: Loop, main: Coroutine[Any, Any, Tree]) -> Tree:
    """Run a scenario and cancel what it leaves."""

    async def then_cancel() -> Tree:
        found = await main
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        return found

    return loop.run_until_complete(then_cancel())


async def after_starting(*coroutines: Coroutine[Any, Any, object]) -> Tree:
    """Show the tree once these, called a, b, c, wait."""
    tasks = [
        asyncio.create_task(coroutine, name=name)
        for name, coroutine in zip("abcdefgh", coroutines, strict=False)
    ]
    for _ in range(6):
        await asyncio.sleep(0)
    found = tree()
    assert len(tasks) == len(coroutines)
    return found


@pytest.fixture(params=[asyncio, maypole], ids=["helpers-of-asyncio", "native-helpers"])
def helpers(request: pytest.FixtureRequest) -> ModuleType:
    """Where Lock, Queue, sleep and the others come from."""
    module: ModuleType = request.param
    return module


async def entered(manager: Any, then: Callable[[], Awaitable[object]]) -> None:
    async with manager:
        await then()


async def awaits(awaitable: Awaitable[object]) -> object:
    return await awaitable


def own_line(node: TaskNode) -> str:
    """The innermost line of this file, without its number."""
    return next(place.source for place in reversed(node.stack) if place.own)


def waits(name: str) -> Callable[[ModuleType], Coroutine[Any, Any, object]]:
    """A coroutine that waits in one of the helpers."""

    async def sleep(helpers: ModuleType) -> None:
        await helpers.sleep(60)

    async def lock(helpers: ModuleType) -> None:
        taken = helpers.Lock()
        await taken.acquire()
        await taken.acquire()

    async def semaphore(helpers: ModuleType) -> None:
        await helpers.Semaphore(0).acquire()

    async def event(helpers: ModuleType) -> None:
        await helpers.Event().wait()

    async def queue(helpers: ModuleType) -> None:
        await helpers.Queue().get()

    async def io(helpers: ModuleType) -> None:
        await helpers.StreamReader().read(1)

    async def executor(helpers: ModuleType) -> None:
        await asyncio.get_running_loop().run_in_executor(None, gate.wait, 30)

    async def future(helpers: ModuleType) -> None:
        await asyncio.get_running_loop().create_future()

    async def gather(helpers: ModuleType) -> None:
        await helpers.gather(helpers.sleep(60), helpers.sleep(60))

    gate = threading.Event()
    found: dict[str, Callable[[ModuleType], Coroutine[Any, Any, object]]] = dict(locals())
    gates[name] = gate
    return found[name]


gates: dict[str, threading.Event] = {}


@pytest.fixture
def open_gates() -> Iterator[None]:
    """Let the threads of a test end."""
    yield
    for gate in gates.values():
        gate.set()


KINDS = ["sleep", "lock", "semaphore", "event", "queue", "io", "executor", "future", "gather"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_wait_has_its_kind_and_its_line(
    kind: str, loop: Loop, helpers: ModuleType, open_gates: None
) -> None:
    async def main() -> Tree:
        found = await after_starting(waits(kind)(helpers))
        gates[kind].set()
        await asyncio.sleep(0.01 if kind == "executor" else 0)
        return found

    node = run(loop, main()).task("a")
    assert (node.state, node.kind, node.note) == ("waiting", kind, "")
    assert node.coroutine.endswith(f"<locals>.{kind}")
    assert own_line(node).startswith("await ")
    assert node.stack[0].file.endswith(HERE)
    loop.run_until_complete(loop.shutdown_default_executor())


def test_a_task_that_waits_for_its_turn_is_ready(loop: Loop, helpers: ModuleType) -> None:
    async def turn() -> None:
        while True:
            await helpers.sleep(0)

    async def main() -> Tree:
        new = asyncio.create_task(helpers.sleep(0), name="new")
        running = asyncio.create_task(turn(), name="turn")
        await asyncio.sleep(0)
        found = await awaits(after_starting())  # a coroutine of its own
        assert isinstance(found, Tree)
        running.cancel()
        await new
        return found

    found = run(loop, main())
    assert found.task("turn").state == "ready"


def test_the_running_task_shows_what_it_calls(loop: Loop) -> None:
    def called() -> Tree:
        return tree()

    async def main() -> Tree:
        return called()

    [node] = run(loop, main()).tasks
    assert node.state == "running"
    assert [place.function.rpartition(".")[2] for place in node.stack] == ["then_cancel", "main", "called"]


def test_the_stack_goes_through_asynchronous_generators(loop: Loop) -> None:
    async def values(event: asyncio.Event) -> AsyncIterator[int]:
        await event.wait()
        yield 1

    async def consumer(event: asyncio.Event) -> None:
        async for _ in values(event):
            pass

    async def main() -> Tree:
        return await after_starting(consumer(asyncio.Event()))

    node = run(loop, main()).task("a")
    assert [place.source for place in node.stack if place.own] == [
        "async for _ in values(event):",
        "await event.wait()",
    ]


def wait_for_all(tasks: list[asyncio.Task[Any]]) -> Coroutine[Any, Any, object]:
    return asyncio.wait(tasks)


async def group_of(helpers: ModuleType) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(helpers.sleep(60), name="child")


@pytest.mark.parametrize("how", ["await", "shield", "wait_for", "gather", "wait", "as_completed"])
def test_who_is_waited_for_stands_below_who_waits(how: str, loop: Loop, helpers: ModuleType) -> None:
    if how == "as_completed" and (sys.version_info < (3, 13) or helpers is maypole):
        pytest.skip("this one does not say what it waits for")

    async def parent(child: asyncio.Task[None]) -> None:
        if how == "await":
            await child
        elif how == "shield":
            await asyncio.shield(child)
        elif how == "wait_for":
            await asyncio.wait_for(child, 60)
        elif how == "gather":
            await helpers.gather(child)
        elif how == "wait":
            await asyncio.wait([child])
        else:
            for first in asyncio.as_completed([child]):
                await first

    async def main() -> Tree:
        child = asyncio.create_task(helpers.sleep(60), name="child")
        return await after_starting(parent(child))

    found = run(loop, main())
    top = found.task("a")
    assert top.waits_for == (found.task("child").id,)
    assert found.children(top.id) == (found.task("child"),)
    assert top.kind == ("gather" if how == "gather" else "task")
    assert top.has_timeout == (how == "wait_for")


def test_the_tasks_of_a_group_stand_below_it(loop: Loop, helpers: ModuleType) -> None:
    async def main() -> Tree:
        return await after_starting(group_of(helpers))

    found = run(loop, main())
    assert [node.name for node in found.children(found.task("a").id)] == ["child"]


def test_a_lock_names_who_holds_it(loop: Loop, helpers: ModuleType) -> None:
    async def main() -> Tree:
        lock = helpers.Lock()
        return await after_starting(
            entered(lock, lambda: helpers.sleep(60)), entered(lock, lambda: helpers.sleep(0))
        )

    found = run(loop, main())
    assert found.task("b").kind == "lock"
    assert found.task("b").held
    assert found.task("b").waits_for == (found.task("a").id,)
    assert "held by a" in str(found)
    assert found.deadlocks == ()


def test_two_locks_in_opposite_order_are_a_deadlock(loop: Loop, helpers: ModuleType) -> None:
    async def main() -> Tree:
        one, two = helpers.Lock(), helpers.Lock()

        async def both(first: Any, second: Any) -> None:
            async with first:
                await helpers.sleep(0)
                async with second:
                    raise AssertionError

        return await after_starting(both(one, two), both(two, one))

    found = run(loop, main())
    [circle] = found.deadlocks
    assert circle.text == "deadlock: a waits for b waits for a"
    assert not circle.has_timeout
    assert circle.text in str(found)


def test_tasks_that_await_each_other_are_a_deadlock_and_a_timeout_is_told(loop: Loop) -> None:
    async def main() -> Tree:
        tasks: list[asyncio.Task[object]] = []

        async def first() -> object:
            await asyncio.sleep(0)
            async with asyncio.timeout(60):
                return await asyncio.gather(asyncio.shield(tasks[1]))

        async def second() -> object:
            return await asyncio.wait([tasks[0]])

        tasks += [
            asyncio.create_task(first(), name="first"),
            asyncio.create_task(second(), name="second"),
        ]
        found = await after_starting()
        tasks[1].cancel()
        await asyncio.wait(tasks)
        return found

    [circle] = run(loop, main()).deadlocks
    assert circle.text == "deadlock: first waits for second waits for first, until a timeout ends it"
    assert circle.has_timeout


def test_waiting_for_the_first_of_several_is_no_deadlock_while_one_can_end(loop: Loop) -> None:
    async def main() -> Tree:
        tasks: list[asyncio.Task[object]] = []

        async def either() -> object:
            await asyncio.sleep(0)
            return await asyncio.wait(tasks[1:], return_when=asyncio.FIRST_COMPLETED)

        async def back() -> object:
            return await asyncio.wait(tasks[:1])

        tasks += [
            asyncio.create_task(either(), name="either"),
            asyncio.create_task(back(), name="back"),
            asyncio.create_task(asyncio.sleep(60), name="free"),
        ]
        return await after_starting()

    found = run(loop, main())
    assert found.task("either").one_is_enough
    assert found.deadlocks == ()


class Rude:
    """Everything that can raise raises."""

    def __repr__(self) -> str:
        raise ZeroDivisionError

    def __str__(self) -> str:
        raise ZeroDivisionError

    def __await__(self) -> Generator[Any, Any, object]:
        return asyncio.get_running_loop().create_future().__await__()


class RudeTask(asyncio.Task[Any]):
    """A task whose own answers raise."""

    def __repr__(self) -> str:
        raise ZeroDivisionError

    def get_name(self) -> str:
        raise ZeroDivisionError

    def get_coro(self) -> Any:
        raise ZeroDivisionError


def test_objects_that_raise_when_they_are_shown_break_nothing(loop: Loop) -> None:
    async def main() -> Tree:
        rude = RudeTask(asyncio.sleep(60), loop=asyncio.get_running_loop())
        found = await after_starting(awaits(Rude()))
        rude.cancel()
        return found

    found = run(loop, main())
    assert found.task("a").kind == "future"
    rude = found.task("<no name: ZeroDivisionError>")
    assert rude.note == "cannot be looked at: ZeroDivisionError"
    assert rude.note in str(found)


def test_the_tree_of_a_loop_that_is_stuck_is_read_from_another_thread(loop: Loop) -> None:
    seen: list[Tree] = []

    def stuck() -> None:
        look = threading.Thread(target=lambda: seen.append(tree(loop)))
        look.start()
        look.join(20)

    async def main() -> None:
        stuck()

    loop.run_until_complete(main())
    [node] = seen[0].tasks
    assert node.state == "running"
    own = [place.function.rpartition(".")[2] for place in node.stack if place.own]
    assert own == ["main", "stuck"]


def test_debug_mode_knows_the_line_that_made_a_task(loop: Loop) -> None:
    loop.set_debug(True)

    async def main() -> Tree:
        made = asyncio.create_task(asyncio.sleep(60), name="made")
        await asyncio.sleep(0)
        found = tree()
        made.cancel()
        return found

    made_at = run(loop, main()).task("made").created_at
    assert made_at is not None
    assert made_at.source == 'made = asyncio.create_task(asyncio.sleep(60), name="made")'


def test_without_a_note_the_text_says_that_age_and_line_are_unknown(loop: Loop) -> None:
    async def main() -> Tree:
        return await after_starting()

    found = run(loop, main())
    assert found.tasks[0].created_at is None
    assert found.tasks[0].age_s is None
    assert "is not known" in str(found)


def test_without_a_loop_there_is_no_tree() -> None:
    with pytest.raises(RuntimeError, match=r"tree\(\) needs a loop: none runs in this thread"):
        tree()


@contextmanager
def closed(loop: Loop) -> Iterator[Loop]:
    loop.close()
    yield loop


def test_a_closed_loop_has_no_tasks(loop: Loop) -> None:
    with closed(loop):
        assert str(tree(loop)).endswith("not running: no task")


def test_the_tree_goes_through_json(loop: Loop) -> None:
    import json

    async def main() -> Tree:
        return await after_starting(asyncio.sleep(60))

    found = run(loop, main())
    again = json.loads(json.dumps(found.as_dict()))
    assert [task["name"] for task in again["tasks"]] == [task.name for task in found.tasks]
