"""While tasks are tracked, each has an age and the line that made it, and lost ones are told."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import maypole
import pytest
from maypole.trace import LostTask, track_tasks, tree
from maypole.trace.tasks import births


async def waits_for_nobody() -> None:
    await asyncio.get_running_loop().create_future()


def lose(name: str) -> None:
    asyncio.create_task(waits_for_nobody(), name=name)  # noqa: RUF006


def test_a_tracked_task_has_age_line_and_parent() -> None:
    async def parent() -> Any:
        child = asyncio.create_task(asyncio.sleep(60), name="child")
        await asyncio.sleep(0)
        found = tree()
        child.cancel()
        return found

    async def main() -> Any:
        with track_tasks():
            return await asyncio.create_task(parent(), name="parent")

    found = maypole.run(main())
    child = found.task("child")
    assert child.created_at.source == 'child = asyncio.create_task(asyncio.sleep(60), name="child")'
    assert 0 <= child.age_s < 60
    assert found.children(found.task("parent").id) == (child,)
    assert f"made at {child.created_at}" in str(found)
    assert " s old" in str(found)


def test_a_lost_task_is_told_with_age_and_both_lines() -> None:
    told: list[tuple[str, str]] = []  # and no task: one that is kept would live on

    async def main() -> list[LostTask]:
        asyncio.get_running_loop().set_exception_handler(
            lambda _, context: told.append((context["message"], context["made_at"]))
        )
        with track_tasks() as tracked:
            lose("lost")
            await asyncio.sleep(0)
            gc.collect()
            return list(tracked.lost)

    [lost] = maypole.run(main())
    assert lost.name == "lost"
    assert lost.coroutine == "waits_for_nobody"
    assert lost.made_at is not None
    assert lost.made_at.endswith(" in lose")
    assert lost.waited_at is None or lost.waited_at.endswith(" in waits_for_nobody")
    assert lost.age_s is not None
    assert str(lost).startswith("task 'lost' (waits_for_nobody) was destroyed while it was pending, 0.")
    assert told == [("Task was destroyed but it is pending!", lost.made_at)]


def test_the_default_message_of_a_lost_task_has_it_too(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with track_tasks():
            lose("lost")
            await asyncio.sleep(0)
            gc.collect()

    maypole.run(main())
    assert "Task was destroyed but it is pending!" in caplog.text
    assert "made_at: '" in caplog.text
    assert "in lose'" in caplog.text


def test_a_lost_task_that_raises_when_it_is_looked_at_is_reported_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Rude(asyncio.Task[Any]):
        def get_coro(self) -> Any:
            raise ZeroDivisionError

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with track_tasks():
            Rude(waits_for_nobody(), loop=loop, name="rude")
            await asyncio.sleep(0)
            gc.collect()

    maypole.run(main())
    assert "Task was destroyed but it is pending!" in caplog.text


def test_what_has_ended_is_forgotten() -> None:
    async def main() -> int:
        with track_tasks() as tracked:
            await asyncio.gather(*(asyncio.sleep(0) for _ in range(50)))
            return len(tracked._noted)

    assert maypole.run(main()) == 0


def test_tracking_ends_with_the_last_who_asked_and_leaves_the_loop_as_it_was() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        before = dict(vars(loop))
        with track_tasks() as outer:
            with track_tasks(loop) as inner:
                assert inner is outer
            task = asyncio.create_task(asyncio.sleep(0))
            assert births.of(task) is not None
            await task
        assert vars(loop) == before
        task = asyncio.create_task(asyncio.sleep(0))
        assert births.of(task) is None
        await task

    maypole.run(main())


def test_a_loop_may_be_closed_while_it_is_tracked() -> None:
    loop = maypole.new_event_loop()
    with track_tasks(loop):
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
    assert loop.is_closed()


def test_another_kind_of_loop_is_refused() -> None:
    loop = asyncio.SelectorEventLoop()
    with pytest.raises(TypeError, match="a loop of maypole"), track_tasks(loop):
        raise AssertionError
    loop.close()
