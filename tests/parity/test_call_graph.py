"""asyncio's call graphs (new in Python 3.14): who awaits a task, whatever it is awaited by."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from harness.kinds import Loop
from harness.outcome import SameAsAsyncio, plain

pytestmark = pytest.mark.skipif(sys.version_info < (3, 14), reason="call graphs are new in Python 3.14")

graphs: Any = asyncio  # the type checker reads the oldest Python's asyncio


async def leaf() -> str:
    await asyncio.sleep(0)
    return plain(graphs.format_call_graph())


async def middle() -> str:
    return await leaf()


def named(name: str) -> asyncio.Task[str]:
    return asyncio.create_task(middle(), name=name)


async def by_await() -> str:
    return await named("child")


async def by_gather() -> list[str]:
    return list(await asyncio.gather(named("one"), named("two")))


async def by_group() -> str:
    async with asyncio.TaskGroup() as group:
        child = group.create_task(middle(), name="child")
    return child.result()


async def by_shield() -> str:
    return await asyncio.shield(named("child"))


async def by_timeout() -> str:
    return await asyncio.wait_for(named("child"), 60)


async def by_wait() -> list[str]:
    one, two = named("one"), named("two")
    await asyncio.wait([one, two])
    return [one.result(), two.result()]


async def by_as_completed() -> list[str]:
    return [await done for done in asyncio.as_completed([named("one"), named("two")])]


async def by_two_tasks() -> str:
    child = named("child")

    async def wait() -> str:
        return await child

    waiters = [asyncio.create_task(wait(), name="waiter") for _ in range(2)]
    await asyncio.sleep(0)
    return (await asyncio.gather(*waiters))[0]


async def by_tasks_of_both_kinds() -> list[int]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    async def wait() -> None:
        await future

    waiters = [asyncio.create_task(wait()), asyncio.Task(wait(), loop=loop)]
    await asyncio.sleep(0)
    graph = graphs.capture_call_graph(future)
    assert {entry.future for entry in graph.awaited_by} == set(waiters)
    future.set_result(None)
    await asyncio.wait(waiters)
    return [len(entry.call_stack) for entry in graph.awaited_by]


async def by_nobody_any_more() -> list[str]:
    loop = asyncio.get_running_loop()
    futures = [loop.create_future(), loop.create_future()]
    group = asyncio.gather(*futures)
    waiter = asyncio.create_task(asyncio.wait(futures))
    await asyncio.sleep(0)
    waiter.cancel()
    group.cancel()
    await asyncio.wait([waiter])
    return [plain(graphs.format_call_graph(future)) for future in futures]


WAYS: list[Callable[[], Awaitable[Any]]] = [
    by_await,
    by_gather,
    by_group,
    by_shield,
    by_timeout,
    by_wait,
    by_as_completed,
    by_two_tasks,
    by_tasks_of_both_kinds,
    by_nobody_any_more,
]


@pytest.mark.debug
@pytest.mark.parametrize("way", WAYS)
def test_a_call_graph_is_that_of_asyncio(
    same_as_asyncio: SameAsAsyncio, way: Callable[[], Awaitable[Any]]
) -> None:
    def scenario(loop: Loop) -> Any:
        async def main() -> Any:
            return await way()

        return loop.run_until_complete(loop.create_task(main(), name="main"))

    same_as_asyncio(scenario)


def test_waiters_are_named_and_forgotten_by_asyncios_functions(loop: Loop) -> None:
    async def main() -> None:
        future = loop.create_future()
        task = asyncio.current_task()
        for _ in range(2):
            graphs.future_add_to_awaited_by(future, task)
            graphs.future_add_to_awaited_by(future, 3)
        assert [entry.future for entry in graphs.capture_call_graph(future).awaited_by] == [task]
        for _ in range(2):
            graphs.future_discard_from_awaited_by(future, task)
            graphs.future_discard_from_awaited_by(future, 3)
        assert graphs.capture_call_graph(future).awaited_by == ()
        graphs.future_add_to_awaited_by(3, task)
        graphs.future_discard_from_awaited_by(3, task)
        with pytest.raises(TypeError):
            graphs.future_add_to_awaited_by(future)

    loop.run_until_complete(main())
