"""``as_completed``: the order of completion, failures, waiting in line, cancellation, what it accepts."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from typing import Any

import maypole
import pytest

# `async for` came with Python 3.13; maypole's own has it on every Python.
NEWEST = sys.version_info >= (3, 13)


async def give(value: Any, turns: int = 1) -> Any:
    """Return a value after some turns; raise it if it is an exception."""
    for _ in range(turns):
        await asyncio.sleep(0)
    if isinstance(value, BaseException):
        raise value
    return value


def test_results_come_in_the_order_of_completion(api: Any, run: Any) -> None:
    async def main() -> list[int]:
        return [await one for one in api.as_completed([give(turns, turns) for turns in (5, 2, 4, 1, 3)])]

    assert run(main()) == [1, 2, 3, 4, 5]


@pytest.mark.skipif(not NEWEST, reason="came with Python 3.13")
def test_async_for_gives_the_futures_themselves(api: Any, run: Any) -> None:
    async def main() -> bool:
        tasks = [asyncio.create_task(give(turns, turns)) for turns in (3, 1, 2)]
        found = [future async for future in api.as_completed(tasks)]
        return found == [tasks[1], tasks[2], tasks[0]]

    assert run(main())


def test_native_ones_can_be_iterated_over_with_async_for() -> None:
    async def main() -> list[int]:
        children: Any = maypole.as_completed([give(turns, turns) for turns in (3, 1, 2)])
        return [future.result() async for future in children]

    assert maypole.run(main()) == [1, 2, 3]


@pytest.mark.parametrize("kind", [list, tuple, set, iter])
def test_any_iterable_will_do(api: Any, run: Any, kind: Any) -> None:
    async def main() -> list[int]:
        children = kind([asyncio.create_task(give(number)) for number in range(5)])
        return sorted([await one for one in api.as_completed(children)])

    assert run(main()) == [0, 1, 2, 3, 4]


def test_nothing_gives_nothing(api: Any, run: Any) -> None:
    async def main() -> list[object]:
        return list(api.as_completed([]))

    assert run(main()) == []


def test_a_future_given_twice_comes_once(api: Any, run: Any) -> None:
    async def main() -> list[str]:
        task, coroutine = asyncio.create_task(give("task")), give("coroutine", 2)
        return [await one for one in api.as_completed([task, coroutine, task, coroutine])]

    assert run(main()) == ["task", "coroutine"]


def test_one_awaitable_is_refused(api: Any, run: Any) -> None:
    async def main() -> None:
        coroutine = give(1)
        with pytest.raises(TypeError, match=r"expect.* iterable of .*, not coroutine"):
            list(api.as_completed(coroutine))
        coroutine.close()
        future = asyncio.get_running_loop().create_future()
        with pytest.raises(TypeError, match=r"expect.* iterable of .*, not (_asyncio\.)?(Future)?"):
            list(api.as_completed(future))

    run(main())


def test_failures_come_out_where_they_are_awaited(api: Any, run: Any) -> None:
    async def main() -> list[object]:
        found: list[object] = []
        children = [give("a", 1), give(LookupError("b"), 2), asyncio.create_task(give("c", 9)), give("d", 4)]
        asyncio.get_running_loop().call_soon(children[2].cancel)  # type: ignore[attr-defined]
        for one in api.as_completed(children):
            try:
                found.append(await one)
            except (LookupError, asyncio.CancelledError) as failure:
                found.append(type(failure).__name__)
        return found

    assert sorted(run(main())) == ["CancelledError", "LookupError", "a", "d"]


def test_futures_that_are_done_come_too(api: Any, run: Any) -> None:
    async def main() -> list[int]:
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[int]] = [loop.create_future() for _ in range(3)]
        futures[1].set_result(1)
        loop.call_soon(futures[2].set_result, 2)
        loop.call_later(0.001, futures[0].set_result, 0)
        return [await one for one in api.as_completed(futures)]

    assert run(main()) == [1, 2, 0]


def test_several_tasks_may_wait_for_the_next_ones(api: Any, run: Any) -> None:
    async def main() -> list[tuple[str, int]]:
        found: list[tuple[str, int]] = []

        async def wait(name: str, one: Any) -> None:
            found.append((name, await one))

        ones = api.as_completed([give(turns, 3 * turns) for turns in (1, 2, 3)])
        waiting = [asyncio.create_task(wait(name, one)) for name, one in zip("abc", ones, strict=True)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.wait(waiting[1:2])
        await asyncio.wait(waiting)
        return found

    assert run(main()) == [("b", 1), ("c", 2)]


def test_who_is_woken_and_cancelled_leaves_it_to_the_next(api: Any, run: Any) -> None:
    async def main() -> str:
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[str]] = [loop.create_future() for _ in range(2)]
        first, second = (asyncio.ensure_future(one) for one in api.as_completed(futures))
        await asyncio.sleep(0)
        futures[0].set_result("kept")
        await asyncio.sleep(0)  # the first is woken, and has not run
        first.cancel()
        found = await second
        assert first.cancelled()
        return str(found)

    assert run(main()) == "kept"


def test_a_timeout_ends_the_wait(api: Any, run: Any) -> None:
    async def main() -> list[object]:
        found: list[object] = []
        children = [asyncio.create_task(give(1)), asyncio.create_task(asyncio.sleep(60))]
        for one in api.as_completed(children, timeout=0.01):
            try:
                found.append(await one)
            except TimeoutError:
                found.append("timeout")
        return found

    assert run(main()) == [1, "timeout"]


@pytest.mark.not_in_debug_mode("a repr then tells where the object was made")
def test_the_children_show_who_watches(run: Any) -> None:
    async def main() -> str:
        task = asyncio.create_task(give(1))
        ones = maypole.as_completed([task])
        text = repr(task)
        for one in ones:
            await one
        return text

    assert "_AsCompletedIterator._child_done()" in maypole.run(main())


def test_what_nobody_awaits_is_warned_about(api: Any, run: Any) -> None:
    async def main() -> None:
        ones = api.as_completed([asyncio.create_task(give(1))])
        with pytest.warns(RuntimeWarning, match="was never awaited"):
            next(iter(ones))
            gc.collect()

    run(main())


def test_an_iterator_that_nobody_keeps_is_freed() -> None:
    class Marker:
        pass

    async def give_marker(marker: Marker) -> Marker:
        return marker

    async def main() -> bool:
        marker: Marker | None = Marker()
        assert marker is not None
        gone = weakref.ref(marker)
        ones = maypole.as_completed([give_marker(marker)])
        marker = None
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del ones
        gc.collect()
        return gone() is None

    assert maypole.run(main())
