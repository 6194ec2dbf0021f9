"""``Queue``, ``LifoQueue``, ``PriorityQueue``: order, room, the line, cancellation, shutdown, subclasses."""

from __future__ import annotations

import asyncio
import collections
import gc
import re
import sys
import weakref
from typing import Any

import maypole
import pytest
from harness.kinds import NewLoop

KINDS = ["Queue", "LifoQueue", "PriorityQueue"]
QueueShutDown: Any = getattr(asyncio, "QueueShutDown", None)
can_shut_down = pytest.mark.skipif(sys.version_info < (3, 13), reason="shutdown came with Python 3.13")


@pytest.fixture(params=KINDS)
def new_queue(api: Any, request: pytest.FixtureRequest) -> Any:
    """One of the three classes."""
    return getattr(api, request.param)


async def let_run(times: int = 1) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


def in_order_of(kind: Any, items: list[int]) -> list[int]:
    """How the items come out of this kind of queue."""
    orders = {"Queue": items, "LifoQueue": items[::-1], "PriorityQueue": sorted(items)}
    return orders[kind.__name__]


def test_items_come_out_in_order(new_queue: Any, run: Any) -> None:
    items = [3, 1, 2, 5, 4]

    async def main() -> list[int]:
        queue = new_queue()
        for item in items:
            await queue.put(item)
        return [await queue.get() for _ in items]

    assert run(main()) == in_order_of(new_queue, items)


def test_equal_items_and_items_that_cannot_be_compared(api: Any, run: Any) -> None:
    async def main() -> None:
        queue = api.PriorityQueue()
        queue.put_nowait((1, "a"))
        queue.put_nowait((1, "a"))
        assert queue.get_nowait() == (1, "a")
        with pytest.raises(TypeError, match="not supported between instances"):
            queue.put_nowait("text")

    run(main())


def test_what_a_comparison_raises_comes_out(api: Any) -> None:
    class Broken:
        def __lt__(self, other: object) -> bool:
            raise LookupError("broken")

    queue = api.PriorityQueue()
    queue.put_nowait(Broken())
    with pytest.raises(LookupError, match="broken"):
        queue.put_nowait(Broken())


@pytest.mark.parametrize(("maxsize", "room"), [(0, None), (-1, None), (1, 1), (3, 3), (True, 1), (2.5, 3)])
def test_there_is_room_for_so_many(new_queue: Any, maxsize: Any, room: int | None) -> None:
    queue = new_queue(maxsize)
    assert queue.maxsize == maxsize
    for number in range(room or 10):
        assert not queue.full()
        queue.put_nowait(number)
    assert queue.qsize() == (room or 10)
    if room is None:
        assert not queue.full()
        return
    assert queue.full()
    with pytest.raises(asyncio.QueueFull):
        queue.put_nowait(0)


def test_an_empty_queue_has_nothing(new_queue: Any) -> None:
    queue = new_queue()
    assert queue.empty()
    assert queue.qsize() == 0
    with pytest.raises(asyncio.QueueEmpty):
        queue.get_nowait()


def test_put_waits_for_room_and_get_for_an_item(new_queue: Any, run: Any) -> None:
    async def main() -> tuple[list[str], list[int]]:
        queue, seen = new_queue(1), list[str]()

        async def produce() -> None:
            for number in range(3):
                await queue.put(number)
                seen.append(f"put {number}")

        producing = asyncio.ensure_future(produce())
        await let_run(3)
        before = list(seen)
        got = [await queue.get() for _ in range(3)]
        await producing
        return before, got

    assert run(main()) == (["put 0"], [0, 1, 2])


def test_getters_are_served_in_order(new_queue: Any, run: Any) -> None:
    async def main() -> list[tuple[str, int]]:
        queue, got = new_queue(), list[tuple[str, int]]()

        async def get(name: str) -> None:
            got.append((name, await queue.get()))

        tasks = [asyncio.ensure_future(get(name)) for name in "abc"]
        await let_run()
        for number in range(3):
            queue.put_nowait(number)
            await let_run()
        await asyncio.gather(*tasks)
        return got

    assert run(main()) == [("a", 0), ("b", 1), ("c", 2)]


def test_a_cancelled_getter_takes_nothing(new_queue: Any, run: Any) -> None:
    async def main() -> tuple[int, bool]:
        queue = new_queue()
        first, second = (asyncio.ensure_future(queue.get()) for _ in range(2))
        await let_run()
        queue.put_nowait(7)  # wakes the first
        first.cancel()
        return await second, first.cancelled()

    assert run(main()) == (7, True)


def test_a_cancelled_putter_puts_nothing(new_queue: Any, run: Any) -> None:
    async def main() -> list[int]:
        queue = new_queue(1)
        queue.put_nowait(0)
        first, second = (asyncio.ensure_future(queue.put(number)) for number in (1, 2))
        await let_run()
        got = [queue.get_nowait()]  # wakes the first
        first.cancel()
        await second
        assert first.cancelled()
        return [*got, queue.get_nowait(), queue.qsize()]

    assert run(main()) == [0, 2, 0]


def test_a_getter_that_times_out_leaves_the_line(new_queue: Any, run: Any) -> None:
    async def main() -> object:
        queue = new_queue()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.get(), 0.001)
        assert len(queue._getters) == 0
        queue.put_nowait("kept")
        return await queue.get()

    assert run(main()) == "kept"


def test_who_is_faster_takes_the_item(new_queue: Any, run: Any) -> None:
    async def main() -> list[int]:
        queue = new_queue()
        waiting = asyncio.ensure_future(queue.get())
        await let_run()
        queue.put_nowait(1)
        taken = queue.get_nowait()  # before the getter runs, which then waits again
        await let_run(2)
        assert not waiting.done()
        queue.put_nowait(2)
        return [taken, await waiting]

    assert run(main()) == [1, 2]


def test_closing_a_getter_leaves_the_line(new_queue: Any, run: Any) -> None:
    async def main() -> object:
        queue = new_queue()
        getting = queue.get()
        getting.send(None)
        getting.close()
        queue.put_nowait("kept")
        return queue.get_nowait()

    assert run(main()) == "kept"


def test_join_waits_for_the_work(new_queue: Any, run: Any) -> None:
    async def main() -> list[str]:
        queue, seen = new_queue(), list[str]()
        await queue.join()

        async def join(name: str) -> None:
            await queue.join()
            seen.append(name)

        for number in range(2):
            queue.put_nowait(number)
        tasks = [asyncio.ensure_future(join(name)) for name in "abc"]
        await let_run()
        tasks[1].cancel()
        for _ in range(2):
            seen.append(f"{await queue.get()} is done")
            queue.task_done()
        await asyncio.gather(*tasks, return_exceptions=True)
        return [seen[-2], seen[-1]]

    assert run(main()) == ["a", "c"]


def test_more_done_than_put_is_an_error(new_queue: Any) -> None:
    queue = new_queue()
    queue.put_nowait(1)
    queue.task_done()
    with pytest.raises(ValueError, match=r"task_done\(\) called too many times"):
        queue.task_done()


def test_it_shows_what_is_in_it(api: Any, run: Any) -> None:
    async def main() -> list[str]:
        queue = api.Queue(2)
        texts = [str(queue)]
        queue.put_nowait("a")
        queue.put_nowait("b")
        putting = asyncio.ensure_future(queue.put("c"))
        await let_run()
        texts.append(str(queue))
        putting.cancel()
        other = api.LifoQueue()
        getting = asyncio.ensure_future(other.get())
        await let_run()
        texts.append(re.sub(r"0x\w+", "0x", repr(other)))
        getting.cancel()
        return texts

    assert run(main()) == [
        "<Queue maxsize=2>",
        "<Queue maxsize=2 _queue=['a', 'b'] _putters[1] tasks=2>",
        "<LifoQueue at 0x maxsize=0 _getters[1]>",
    ]


def test_it_belongs_to_the_loop_where_somebody_waited(new_queue: Any, new_loop: NewLoop) -> None:
    async def wait(queue: Any) -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.get(), 0.001)

    async def wait_elsewhere(queue: Any) -> None:
        with pytest.raises(RuntimeError, match=r"<\w*Queue at .*> is bound to a different event loop"):
            await queue.get()

    queue = new_queue()
    new_loop().run_until_complete(wait(queue))
    new_loop().run_until_complete(wait_elsewhere(queue))


@can_shut_down
@pytest.mark.parametrize("immediate", [False, True])
def test_a_queue_that_is_shut_down_takes_nothing_more(new_queue: Any, run: Any, immediate: bool) -> None:
    async def main() -> None:
        queue = new_queue(2)
        queue.put_nowait(1)
        queue.put_nowait(2)
        putting, joining = asyncio.ensure_future(queue.put(3)), asyncio.ensure_future(queue.join())
        await let_run()
        queue.shutdown(immediate=immediate)
        for outcome in await asyncio.gather(putting, return_exceptions=True):
            assert isinstance(outcome, QueueShutDown)
        with pytest.raises(QueueShutDown):
            await queue.put(4)
        with pytest.raises(QueueShutDown):
            queue.put_nowait(4)
        if not immediate:
            assert sorted([await queue.get(), queue.get_nowait()]) == [1, 2]
            assert not joining.done()
            queue.task_done()
            queue.task_done()
        with pytest.raises(QueueShutDown):
            await queue.get()
        with pytest.raises(QueueShutDown):
            queue.get_nowait()
        await joining

    run(main())


@can_shut_down
def test_shutting_down_wakes_who_waits_for_an_item(new_queue: Any, run: Any) -> None:
    async def main() -> None:
        queue = new_queue()
        getting = [asyncio.ensure_future(queue.get()) for _ in range(3)]
        await let_run()
        queue.shutdown()
        for outcome in await asyncio.gather(*getting, return_exceptions=True):
            assert isinstance(outcome, QueueShutDown)
        assert "shutdown" in str(queue)

    run(main())


def test_a_queue_without_shutdown_is_asyncios_too(api: Any) -> None:
    assert hasattr(api.Queue, "shutdown") == (sys.version_info >= (3, 13))


def test_a_subclass_may_order_items_its_own_way(api: Any, run: Any) -> None:
    class Unique(api.Queue):  # type: ignore[misc]
        def _init(self, maxsize: int) -> None:
            self._queue: Any = collections.OrderedDict()

        def _put(self, item: object) -> None:
            self._queue[item] = None

        def _get(self) -> object:
            return self._queue.popitem(last=False)[0]

    async def main() -> list[object]:
        queue = Unique(maxsize=2)
        for item in ("a", "a", "b"):
            await queue.put(item)
        assert queue.full()
        return [await queue.get(), queue.get_nowait(), queue.empty()]

    assert run(main()) == ["a", "b", True]


def test_a_subclass_may_change_what_asyncio_gives(api: Any, run: Any) -> None:
    seen: list[str] = []

    class Noted(api.LifoQueue):  # type: ignore[misc]
        def put_nowait(self, item: object) -> None:
            seen.append(f"put {item}")
            super().put_nowait(item)

        def get_nowait(self) -> object:
            item = super().get_nowait()
            seen.append(f"get {item}")
            return item

        def full(self) -> bool:
            return bool(self.qsize() >= 2)

    async def main() -> None:
        queue = Noted()
        putting = asyncio.ensure_future(asyncio.gather(*(queue.put(number) for number in range(3))))
        await let_run(3)
        assert queue.qsize() == 2
        for _ in range(3):
            await queue.get()
            await let_run()
        await putting

    run(main())
    assert seen == ["put 0", "put 1", "get 1", "put 2", "get 2", "get 0"]


def test_a_subclass_keeps_its_items_where_asyncio_keeps_them(api: Any) -> None:
    class Peeking(api.Queue):  # type: ignore[misc]
        def peek(self) -> object:
            return self._queue[0]

    queue = Peeking()
    for number in range(3):
        queue.put_nowait(number)
    assert queue.peek() == 0
    assert [queue.get_nowait(), queue.peek(), queue.get_nowait(), queue.qsize()] == [0, 1, 1, 1]


def test_what_is_done_to_the_container_counts(new_queue: Any) -> None:
    queue = new_queue()
    for number in range(4):
        queue.put_nowait(number)
    assert list(queue._queue) == [0, 1, 2, 3]
    queue._queue.remove(2)
    assert queue.qsize() == 3
    queue.put_nowait(9)
    assert [queue.get_nowait() for _ in range(4)] == in_order_of(new_queue, [0, 1, 3, 9])


def test_a_type_parameter_is_allowed(new_queue: Any) -> None:
    assert new_queue[int].__args__ == (int,)


def test_a_cycle_through_the_items_is_collected(new_queue: Any) -> None:
    class Item:
        def __lt__(self, other: object) -> bool:
            return False

    item = Item()
    gone = weakref.ref(item)
    queue = new_queue()
    item.queue = queue  # type: ignore[attr-defined]
    queue.put_nowait(item)
    del item, queue
    gc.collect()
    assert gone() is None


def test_items_are_freed_as_they_are_taken(new_queue: Any, run: Any) -> None:
    class Item:
        def __lt__(self, other: object) -> bool:
            return False

    async def main() -> bool:
        queue = new_queue()
        item: Item | None = Item()
        gone = weakref.ref(item)
        await queue.put(item)
        item = None
        assert gone() is not None
        item = await queue.get()
        item = None
        return gone() is None

    assert run(main())


def test_nothing_is_made_when_nobody_waits(run: Any) -> None:
    async def main() -> int:
        queue = maypole.Queue[int](10)

        async def use(times: int) -> None:
            for number in range(times):
                await queue.put(number)
                await queue.get()

        await use(10)
        gc.collect()
        before = sys.getallocatedblocks()
        await use(1000)
        return sys.getallocatedblocks() - before

    assert run(main()) < 100


@pytest.mark.parametrize("loop_name", ["asyncio", "maypole"])
def test_a_deadlock_names_what_a_task_waits_for(api: Any, loop_name: Any) -> None:
    from maypole.testing import Deadlock, run_virtual

    async def main() -> None:
        await api.Queue().get()

    with pytest.raises(Deadlock) as caught:
        run_virtual(main(), loop=loop_name)
    assert [wait.awaits for wait in caught.value.tasks] == ["Queue.get"]
