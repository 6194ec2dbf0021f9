"""``gather``: results in order, the first failure, cancellation in both directions, what it accepts."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import re
import sys
import weakref
from collections.abc import Generator
from typing import Any

import pytest
from harness.kinds import NewLoop


async def give(value: Any, turns: int = 1) -> Any:
    """Return a value after some turns; raise it if it is an exception."""
    for _ in range(turns):
        await asyncio.sleep(0)
    if isinstance(value, BaseException):
        raise value
    return value


def test_results_come_in_the_order_of_the_arguments(api: Any, run: Any) -> None:
    async def main() -> list[int]:
        return await api.gather(*(give(number, turns=5 - number) for number in range(5)))  # type: ignore[no-any-return]

    assert run(main()) == [0, 1, 2, 3, 4]


def test_nothing_gathered_is_an_empty_list(api: Any, run: Any) -> None:
    async def main() -> tuple[object, bool]:
        future = api.gather()
        return await future, future.done()

    assert run(main()) == ([], True)


def test_anything_that_can_be_awaited_may_be_gathered(api: Any, run: Any) -> None:
    class Awaitable:
        def __await__(self) -> Generator[Any, None, str]:
            yield from asyncio.sleep(0).__await__()
            return "awaitable"

    async def main() -> list[object]:
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        loop.call_soon(future.set_result, "future")
        stock: asyncio.Future[str] = asyncio.Future(loop=loop)
        loop.call_soon(stock.set_result, "asyncio's future")
        return await api.gather(  # type: ignore[no-any-return]
            give("coroutine"),
            asyncio.create_task(give("task")),
            future,
            stock,
            Awaitable(),
            api.sleep(0, "sleep"),
        )

    assert run(main()) == ["coroutine", "task", "future", "asyncio's future", "awaitable", "sleep"]


@pytest.mark.parametrize("given", [1, None, "text", print])
def test_anything_else_is_a_type_error(api: Any, run: Any, given: Any) -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match=r"An asyncio\.Future, a coroutine or an awaitable is required"):
            await api.gather(given)

    run(main())


def test_a_future_of_concurrent_futures_is_refused(api: Any, run: Any) -> None:
    async def main() -> None:
        with pytest.raises(TypeError):
            await api.gather(concurrent.futures.Future())

    run(main())


def test_futures_of_two_loops_are_refused(api: Any, new_loop: NewLoop) -> None:
    first, second = new_loop(), new_loop()

    async def main() -> None:
        with pytest.raises(ValueError, match="belongs to a different loop"):
            await api.gather(first.create_future(), second.create_future())

    first.run_until_complete(main())


def test_a_future_given_twice_counts_twice(api: Any, run: Any) -> None:
    async def main() -> list[object]:
        coroutine, task = give("coroutine"), asyncio.create_task(give("task"))
        return await api.gather(coroutine, task, coroutine, task)  # type: ignore[no-any-return]

    assert run(main()) == ["coroutine", "task", "coroutine", "task"]


def test_the_first_failure_comes_out_and_the_others_go_on(api: Any, run: Any) -> None:
    ended: list[int] = []

    async def end(number: int) -> None:
        await give(None, turns=5)
        ended.append(number)

    async def main() -> None:
        with pytest.raises(LookupError, match="first"):
            await api.gather(end(1), give(LookupError("first"), 2), give(ValueError("second"), 3), end(2))
        assert ended == []
        await give(None, turns=6)

    run(main())
    assert ended == [1, 2]


def test_failures_may_be_results(api: Any, run: Any) -> None:
    failure = LookupError()

    async def main() -> list[object]:
        cancelled = asyncio.create_task(give(1, turns=9))
        cancelled.cancel("enough")
        found = await api.gather(give(failure), cancelled, give(3), return_exceptions=True)
        return [found[0], repr(found[1]), found[2]]

    assert run(main()) == [failure, "CancelledError('')", 3]


def test_a_cancelled_child_cancels_who_waits(api: Any, run: Any) -> None:
    async def main() -> None:
        child = asyncio.create_task(give(1, turns=9))
        gathering = api.gather(child, give(2))
        asyncio.get_running_loop().call_soon(child.cancel)
        with pytest.raises(asyncio.CancelledError):
            await gathering
        assert not gathering.cancelled()

    run(main())


@pytest.mark.parametrize("return_exceptions", [False, True])
def test_cancelling_it_cancels_every_child(api: Any, run: Any, return_exceptions: bool) -> None:
    async def main() -> tuple[list[bool], bool]:
        children = [asyncio.create_task(give(number, turns=9)) for number in range(3)]
        gathering = api.gather(*children, return_exceptions=return_exceptions)
        await asyncio.sleep(0)
        assert gathering.cancel("enough")
        with pytest.raises(asyncio.CancelledError):
            await gathering
        return [child.cancelled() for child in children], gathering.cancel()

    assert run(main()) == ([True, True, True], False)


def test_the_word_of_a_cancellation_is_that_of_the_last_argument(api: Any, run: Any) -> None:
    async def main() -> Any:
        slow, quick = asyncio.create_task(give(1, turns=9)), asyncio.create_task(give(2, turns=9))
        gathering = api.gather(slow, quick, return_exceptions=True)
        await asyncio.sleep(0)
        quick.cancel("mine")
        await asyncio.sleep(0)
        gathering.cancel("yours")
        with pytest.raises(asyncio.CancelledError) as caught:
            await gathering
        return caught.value.args

    assert run(main()) == ("mine",)


def test_a_child_may_refuse_to_be_cancelled(api: Any, run: Any) -> None:
    async def refuse() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "refused"
        return "slept"

    async def main() -> str:
        child = asyncio.create_task(refuse())
        gathering = api.gather(child)
        await asyncio.sleep(0)
        gathering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gathering
        return child.result()

    assert run(main()) == "refused"


def test_a_cancelled_task_cancels_what_it_gathers(api: Any, run: Any) -> None:
    async def main() -> list[bool]:
        children: list[asyncio.Task[Any]] = []

        async def gather() -> None:
            children.extend(asyncio.create_task(give(number, turns=9)) for number in range(3))
            await api.gather(api.gather(*children[:2]), children[2])

        task = asyncio.create_task(gather())
        await give(None, turns=2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return [child.cancelled() for child in children]

    assert run(main()) == [True, True, True]


def test_a_shielded_child_survives(api: Any, run: Any) -> None:
    async def main() -> str:
        child = asyncio.create_task(give("alive", turns=5))
        gathering = api.gather(asyncio.shield(child))
        await asyncio.sleep(0)
        gathering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gathering
        return str(await child)

    assert run(main()) == "alive"


@pytest.mark.not_in_debug_mode("a repr then tells where the object was made")
def test_it_is_a_future(api: Any, run: Any) -> None:
    async def main() -> list[object]:
        gathering = api.gather(give(1))
        assert isinstance(gathering, asyncio.Future)
        assert asyncio.isfuture(gathering)
        assert re.fullmatch(r"<_GatheringFuture pending>", repr(gathering))
        assert gathering.get_loop() is asyncio.get_running_loop()
        told: list[object] = []
        gathering.add_done_callback(told.append)
        await asyncio.wait({gathering})
        return [told == [gathering], gathering.result(), gathering.exception()]

    assert run(main()) == [True, [1], None]


def test_the_children_are_tasks(api: Any, run: Any) -> None:
    async def main() -> int:
        gathering = api.gather(*(give(number) for number in range(5)))
        count = len(asyncio.all_tasks())
        await gathering
        return count

    assert run(main()) == 6


def test_children_that_are_done_are_seen_when_asyncio_sees_them(run: Any, api: Any) -> None:
    async def main() -> bool:
        futures: list[asyncio.Future[int]] = [asyncio.get_running_loop().create_future() for _ in range(3)]
        for number, future in enumerate(futures):
            future.set_result(number)
        gathering = api.gather(*futures)
        done = gathering.done()
        assert await gathering == [0, 1, 2]
        return bool(done)

    at_once = sys.version_info >= (3, 12)
    assert run(main()) == at_once


def test_who_waits_runs_when_asyncio_would_run_it(run: Any, api: Any) -> None:
    """The callbacks of children, what is queued between them, and the waiting task keep their order."""
    seen: list[str] = []

    async def child(name: str) -> None:
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(seen.append, f"{name} called")
        seen.append(f"{name} ended")

    async def main() -> None:
        loop = asyncio.get_running_loop()
        gathering = api.gather(child("a"), child("b"))
        gathering.add_done_callback(lambda _: seen.append("told"))
        await gathering
        seen.append("gathered")
        loop.call_soon(seen.append, "after")
        await asyncio.sleep(0)

    run(main())
    assert seen == ["a ended", "b ended", "a called", "b called", "told", "gathered", "after"]


def test_a_failure_that_nobody_sees_is_not_reported_twice(api: Any, run: Any, caplog: Any) -> None:
    async def main() -> None:
        with pytest.raises(LookupError):
            await api.gather(give(LookupError()), give(ValueError(), 2))
        await give(None, turns=4)
        gc.collect()

    run(main())
    assert caplog.records == []


def test_a_failure_that_nobody_waits_for_is_reported(api: Any, run: Any, caplog: Any) -> None:
    async def main() -> None:
        gathering = api.gather(give(LookupError("lost")))
        await give(None, turns=4)
        assert gathering.done()

    run(main())
    gc.collect()
    assert [record.getMessage().splitlines()[0] for record in caplog.records] == [
        "_GatheringFuture exception was never retrieved"
    ]


def test_only_return_exceptions_is_a_keyword(api: Any, run: Any) -> None:
    async def main() -> None:
        coroutine = give(1)
        with pytest.raises(TypeError, match=r"gather\(\) got an unexpected keyword argument 'loop'"):
            api.gather(coroutine, loop=None)
        coroutine.close()

    run(main())


def test_task_factories_and_replaced_methods_make_the_children(api: Any, loop_factory: Any) -> None:
    made: list[str] = []

    def factory(loop: Any, coroutine: Any, **keywords: Any) -> Any:
        made.append("factory")
        return asyncio.Task(coroutine, loop=loop, **keywords)

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        loop.set_task_factory(factory)
        await api.gather(give(1), give(2))
        loop.set_task_factory(None)
        original = loop.create_task

        def create_task(*arguments: Any, **keywords: Any) -> Any:
            made.append("method")
            return original(*arguments, **keywords)

        loop.create_task = create_task
        await api.gather(give(1))
        del loop.create_task

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(main())
    assert made == ["factory", "factory", "method"]


def test_a_gathering_that_nobody_keeps_is_freed(api: Any, run: Any) -> None:
    async def main() -> bool:
        gathering = api.gather(give(1), give(2))
        gone = weakref.ref(gathering)
        await gathering
        del gathering
        await asyncio.sleep(0)
        gc.collect()
        return gone() is None

    assert run(main())


def test_a_gathering_dies_with_its_loop(api: Any, loop_factory: Any) -> None:
    class Marker:
        pass

    async def wait(_: Marker) -> None:
        await asyncio.get_running_loop().create_future()

    async def gather(marker: Marker) -> None:
        await api.gather(wait(marker), wait(marker))

    marker = Marker()
    gone = weakref.ref(marker)
    loop = loop_factory()
    task = loop.create_task(gather(marker))
    task._log_destroy_pending = False
    loop.call_soon(loop.call_soon, loop.stop)
    loop.run_forever()
    loop.close()
    del marker, task, loop
    gc.collect()
    assert gone() is None
