"""Hooks into a loop: which are called when, and what happens to one that fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import maypole
import pytest
from maypole.trace import Instrument, add_instrument, remove_instrument


def create_task(coroutine: Coroutine[Any, Any, Any], name: str | None = None) -> asyncio.Task[Any]:
    """Make a task that has its name at once: on Python 3.11 ``asyncio.create_task`` gives it later."""
    return asyncio.get_running_loop().create_task(coroutine, name=name)


class Everything(Instrument):
    """Writes down every hook about a task of this name, and every other hook."""

    def __init__(self, name: str = "watched") -> None:
        self.name = name
        self.calls: list[str] = []
        self.made_by: str | None = None

    def note(self, hook: str, task: asyncio.Task[Any]) -> None:
        if task.get_name() == self.name:
            self.calls.append(hook)

    def before_run(self) -> None:
        self.calls.append("before_run")

    def after_run(self) -> None:
        self.calls.append("after_run")

    def task_spawned(self, task: asyncio.Task[Any], /) -> None:
        self.note("spawned", task)
        maker = asyncio.current_task()
        if task.get_name() == self.name and maker is not None:
            self.made_by = maker.get_name()

    def task_scheduled(self, task: asyncio.Task[Any], /) -> None:
        self.note("scheduled", task)

    def before_task_step(self, task: asyncio.Task[Any], /) -> None:
        self.note("before_step", task)

    def after_task_step(self, task: asyncio.Task[Any], /) -> None:
        self.note("after_step", task)

    def task_exited(self, task: asyncio.Task[Any], /) -> None:
        self.note("exited", task)


class Spawned(Instrument):
    def __init__(self) -> None:
        self.names: list[str] = []

    def task_spawned(self, task: asyncio.Task[Any], /) -> None:
        self.names.append(task.get_name())


def test_the_life_of_a_task_in_order() -> None:
    seen = Everything()

    async def main() -> None:
        add_instrument(seen)
        future = asyncio.get_running_loop().create_future()

        async def child() -> None:
            await future

        task = create_task(child(), name="watched")
        await asyncio.sleep(0)
        future.set_result(None)
        await task
        remove_instrument(seen)

    async def named() -> None:
        await create_task(main(), name="maker")

    maypole.run(named())
    step = ["before_step", "after_step"]
    assert seen.calls == ["spawned", "scheduled", *step, "scheduled", *step, "exited"]
    assert seen.made_by == "maker"


def test_a_task_that_only_gives_up_its_turn_is_scheduled_again() -> None:
    seen = Everything()

    async def child() -> None:
        await asyncio.sleep(0)

    async def main() -> None:
        add_instrument(seen)
        await create_task(child(), name="watched")
        remove_instrument(seen)

    maypole.run(main())
    first = ["before_step", "scheduled", "after_step"]
    assert seen.calls == ["spawned", "scheduled", *first, "before_step", "after_step", "exited"]


@pytest.mark.parametrize("outcome", ["returns", "raises", "is cancelled"])
def test_every_end_of_a_task_is_an_exit(outcome: str) -> None:
    ended: list[tuple[str, bool]] = []

    class Ends:
        def task_exited(self, task: asyncio.Task[Any]) -> None:
            ended.append((task.get_name(), task.done()))

    async def child() -> None:
        if outcome == "raises":
            raise ValueError
        await asyncio.sleep(0 if outcome == "returns" else 3600)

    async def main() -> None:
        add_instrument(Ends())
        task = create_task(child(), name="child")
        await asyncio.sleep(0)
        if outcome == "is cancelled":
            task.cancel()
        await asyncio.wait([task])
        if outcome == "raises":
            assert isinstance(task.exception(), ValueError)

    maypole.run(main())
    assert ended[0] == ("child", True)


def test_runs_and_waits() -> None:
    calls: list[tuple[str, float | None]] = []

    class Waits:
        def before_run(self) -> None:
            calls.append(("before_run", None))

        def after_run(self) -> None:
            calls.append(("after_run", None))

        def before_io_wait(self, timeout: float | None) -> None:
            calls.append(("before_io_wait", timeout))

        def after_io_wait(self, timeout: float | None) -> None:
            calls.append(("after_io_wait", timeout))

    loop = maypole.new_event_loop()
    add_instrument(Waits(), loop)
    loop.call_later(0.01, loop.stop)
    loop.run_forever()
    loop.close()
    names = [name for name, _ in calls]
    assert (names[0], names[-1]) == ("before_run", "after_run")
    waits = calls[1:-1]
    assert waits
    for (before, given), (after, then) in zip(waits[::2], waits[1::2], strict=True):
        assert (before, after) == ("before_io_wait", "after_io_wait")
        assert given == then
    assert any(timeout is not None and 0 < timeout <= 0.011 for _, timeout in waits)


def test_after_run_is_told_when_a_callback_ends_the_program() -> None:
    calls: list[str] = []

    class Runs:
        def after_run(self) -> None:
            calls.append("after_run")

    def leave() -> None:
        raise SystemExit(3)

    loop = maypole.new_event_loop()
    add_instrument(Runs(), loop)
    loop.call_soon(leave)
    with pytest.raises(SystemExit):
        loop.run_forever()
    loop.close()
    assert calls == ["after_run"]


def test_several_instruments_are_called_in_the_order_of_their_adding() -> None:
    order: list[str] = []

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def task_spawned(self, task: asyncio.Task[Any]) -> None:
            order.append(self.name)

    async def main() -> None:
        first, second, third = (Named(name) for name in ("first", "second", "third"))
        for one in (first, second, third):
            add_instrument(one)
        await create_task(asyncio.sleep(0))
        remove_instrument(second)
        await create_task(asyncio.sleep(0))
        remove_instrument(first)
        remove_instrument(third)
        await create_task(asyncio.sleep(0))

    maypole.run(main())
    assert order == ["first", "second", "third", "first", "third"]


@pytest.mark.parametrize("others", [0, 2])
def test_a_hook_that_raises_is_reported_once_and_its_instrument_removed(others: int) -> None:
    reported: list[dict[str, Any]] = []

    class Broken:
        calls = 0

        def before_task_step(self, task: asyncio.Task[Any]) -> None:
            self.calls += 1
            raise ZeroDivisionError("in a hook")

        def after_task_step(self, task: asyncio.Task[Any]) -> None:
            raise AssertionError("the whole instrument is removed")

    broken, good = Broken(), [Spawned() for _ in range(others)]

    async def main() -> str:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: reported.append(context))
        for one in (*good, broken):
            add_instrument(one)
        await create_task(asyncio.sleep(0), name="one")
        await create_task(asyncio.sleep(0), name="two")
        with pytest.raises(KeyError):
            remove_instrument(broken)
        return "done"

    assert maypole.run(main()) == "done"
    assert broken.calls == 1
    [context] = reported
    assert isinstance(context["exception"], ZeroDivisionError)
    assert context["instrument"] is broken
    assert "before_task_step" in context["message"]
    assert all(one.names[:2] == ["one", "two"] for one in good)


def test_an_instrument_may_remove_itself_and_add_another_from_a_hook() -> None:
    second = Spawned()

    class Once:
        calls = 0

        def task_spawned(self, task: asyncio.Task[Any]) -> None:
            self.calls += 1
            remove_instrument(self)
            add_instrument(second)

    first = Once()

    async def main() -> None:
        add_instrument(first)
        await create_task(asyncio.sleep(0), name="one")
        await create_task(asyncio.sleep(0), name="two")
        remove_instrument(second)

    maypole.run(main())
    assert (first.calls, second.names) == (1, ["two"])


def test_only_overridden_hooks_are_called() -> None:
    class Nothing(Instrument):
        pass

    async def main() -> None:
        with pytest.raises(TypeError, match="has none of the hooks before_run, "):
            add_instrument(Nothing())
        with pytest.raises(TypeError, match="has none of the hooks"):
            add_instrument(object())

    maypole.run(main())


def test_an_instrument_is_added_from_another_thread() -> None:
    spawned = Spawned()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        thread = threading.Thread(target=add_instrument, args=(spawned, loop))
        thread.start()
        thread.join()
        await create_task(asyncio.sleep(0), name="after")
        remove_instrument(spawned)

    maypole.run(main())
    assert spawned.names == ["after"]


def test_bad_input_is_refused_in_one_sentence() -> None:
    async def main() -> None:
        spawned = Spawned()
        with pytest.raises(KeyError):
            remove_instrument(spawned)
        add_instrument(spawned)
        with pytest.raises(ValueError, match="is on this loop already"):
            add_instrument(spawned)

        class Odd:
            task_spawned = 3

        with pytest.raises(TypeError, match=r"the hook task_spawned of .*Odd is not callable"):
            add_instrument(Odd())

    maypole.run(main())
    with pytest.raises(RuntimeError, match="no loop runs in this thread"):
        add_instrument(Spawned())
    closed = maypole.new_event_loop()
    closed.close()
    with pytest.raises(RuntimeError, match="Event loop is closed"):
        add_instrument(Spawned(), closed)
    other = asyncio.SelectorEventLoop()
    with pytest.raises(TypeError, match="needs a loop of maypole, not _UnixSelectorEventLoop"):
        add_instrument(Spawned(), other)
    other.close()
