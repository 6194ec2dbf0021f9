"""``Lock``, ``Semaphore``, ``Event``, ``Condition``: whose turn it is, what cancellation leaves behind."""

from __future__ import annotations

import asyncio
import gc
import re
import sys
import weakref
from collections.abc import Callable
from typing import Any

import maypole
import pytest
from harness.kinds import NewLoop

LOCKS = ["Lock", "Semaphore", "BoundedSemaphore", "Condition"]
BOUND = [*LOCKS, "Event"]


@pytest.fixture(params=LOCKS)
def new_lock(api: Any, request: pytest.FixtureRequest) -> Callable[[], Any]:
    """Makes something that one task at a time can acquire."""
    made: Callable[[], Any] = getattr(api, request.param)
    return made


def acquirer(lock: Any, name: str, seen: list[str]) -> asyncio.Task[None]:
    """A task that notes when it has the lock, and holds it."""

    async def acquire() -> None:
        await lock.acquire()
        seen.append(name)

    return asyncio.ensure_future(acquire())


async def let_run(times: int = 1) -> None:
    for _ in range(times):
        await asyncio.sleep(0)


def test_acquire_answers_true(new_lock: Any, run: Any) -> None:
    async def main() -> list[object]:
        lock = new_lock()
        answers = [await lock.acquire(), lock.locked()]
        waiting = asyncio.ensure_future(lock.acquire())
        await let_run()
        assert not waiting.done()
        lock.release()
        return [*answers, await waiting, lock.locked()]

    assert run(main()) == [True, True, True, True]


def test_async_with_acquires_and_releases(new_lock: Any, run: Any) -> None:
    async def main() -> list[object]:
        lock = new_lock()
        async with lock as nothing:
            inside = lock.locked()
        after = lock.locked()
        with pytest.raises(LookupError):
            async with lock:
                raise LookupError
        return [nothing, inside, after, lock.locked()]

    assert run(main()) == [None, True, False, False]


def test_who_comes_first_is_served_first(new_lock: Any, run: Any) -> None:
    async def main() -> list[str]:
        lock, seen = new_lock(), list[str]()
        await lock.acquire()
        tasks = [acquirer(lock, name, seen) for name in "abcde"]
        await let_run()
        for task in tasks:
            lock.release()
            await task
        return seen

    assert run(main()) == list("abcde")


def test_nobody_overtakes_who_was_woken(new_lock: Any, run: Any) -> None:
    async def main() -> list[str]:
        lock, seen = new_lock(), list[str]()
        await lock.acquire()
        first = acquirer(lock, "first", seen)
        await let_run()
        lock.release()
        second = acquirer(lock, "second", seen)  # the lock looks free, but is promised
        await first
        lock.release()
        await second
        return seen

    assert run(main()) == ["first", "second"]


def test_a_cancelled_waiter_leaves_the_line(new_lock: Any, run: Any) -> None:
    async def main() -> list[str]:
        lock, seen = new_lock(), list[str]()
        await lock.acquire()
        tasks = [acquirer(lock, name, seen) for name in "abc"]
        await let_run()
        tasks[0].cancel()
        lock.release()
        await tasks[1]
        lock.release()
        await tasks[2]
        assert tasks[0].cancelled()
        return seen

    assert run(main()) == ["b", "c"]


def test_who_is_woken_and_cancelled_hands_on(new_lock: Any, run: Any) -> None:
    async def main() -> list[str]:
        lock, seen = new_lock(), list[str]()
        await lock.acquire()
        tasks = [acquirer(lock, name, seen) for name in "abc"]
        await let_run()
        lock.release()  # wakes a
        tasks[0].cancel()
        await tasks[1]
        lock.release()
        await tasks[2]
        assert tasks[0].cancelled()
        return seen

    assert run(main()) == ["b", "c"]


def test_everybody_cancelled_leaves_a_free_lock(new_lock: Any, run: Any) -> None:
    async def main() -> bool:
        lock = new_lock()
        await lock.acquire()
        tasks = [acquirer(lock, name, []) for name in "abc"]
        await let_run()
        lock.release()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        free = not lock.locked()
        await asyncio.wait_for(lock.acquire(), 5)
        return free

    assert run(main())


def test_a_wait_that_times_out_does_not_hold_the_lock(new_lock: Any, run: Any) -> None:
    async def main() -> bool:
        lock = new_lock()
        await lock.acquire()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(lock.acquire(), 0.001)
        lock.release()
        return bool(lock.locked())

    assert not run(main())


def test_closing_a_wait_leaves_the_line(new_lock: Any, run: Any) -> None:
    async def main() -> bool:
        lock = new_lock()
        await lock.acquire()
        waiting = lock.acquire()
        waiting.send(None)
        waiting.close()
        lock.release()
        return bool(lock.locked())

    assert not run(main())


def test_a_lock_is_acquired_when_it_is_awaited(new_lock: Any, run: Any) -> None:
    async def main() -> list[bool]:
        lock = new_lock()
        acquiring = lock.acquire()
        before = lock.locked()
        await acquiring
        return [before, lock.locked()]

    assert run(main()) == [False, True]


def test_acquiring_without_await_is_warned_about(new_lock: Any) -> None:
    with pytest.warns(RuntimeWarning, match=r"coroutine '\w+\.acquire' was never awaited"):
        new_lock().acquire()
        gc.collect()


def test_releasing_a_free_lock_is_an_error(api: Any, run: Any) -> None:
    async def main() -> None:
        with pytest.raises(RuntimeError, match=r"Lock is not acquired\."):
            api.Lock().release()
        with pytest.raises(ValueError, match="BoundedSemaphore released too many times"):
            api.BoundedSemaphore(2).release()
        semaphore = api.Semaphore(0)
        semaphore.release()
        await semaphore.acquire()

    run(main())


@pytest.mark.parametrize("name", ["Semaphore", "BoundedSemaphore"])
def test_a_semaphore_admits_so_many(api: Any, run: Any, name: str) -> None:
    async def main() -> tuple[int, int]:
        semaphore, inside, most = getattr(api, name)(3), 0, 0

        async def enter() -> None:
            nonlocal inside, most
            async with semaphore:
                inside += 1
                most = max(most, inside)
                await let_run(2)
                inside -= 1

        await asyncio.gather(*(enter() for _ in range(20)))
        return most, semaphore._value

    assert run(main()) == (3, 3)


@pytest.mark.parametrize("name", ["Semaphore", "BoundedSemaphore"])
def test_a_semaphore_needs_a_value_of_at_least_zero(api: Any, name: str) -> None:
    with pytest.raises(ValueError, match="Semaphore initial value must be >= 0"):
        getattr(api, name)(-1)
    with pytest.raises(TypeError):
        getattr(api, name)("1")
    assert getattr(api, name)(0).locked()


@pytest.mark.parametrize("value", [float("inf"), 2**70, 3.0])
def test_a_semaphore_may_admit_everybody(api: Any, run: Any, value: float) -> None:
    async def main() -> bool:
        semaphore = api.Semaphore(value)
        for _ in range(3):
            async with semaphore:
                pass
        return semaphore.locked()  # type: ignore[no-any-return]

    assert run(main()) is False


def test_permits_released_at_once_wake_so_many(api: Any, run: Any) -> None:
    async def main() -> tuple[list[str], bool]:
        semaphore, seen = api.Semaphore(0), list[str]()
        tasks = [acquirer(semaphore, name, seen) for name in "abcd"]
        await let_run()
        for _ in range(3):
            semaphore.release()
        await let_run(2)
        tasks[3].cancel()
        return seen, semaphore.locked()

    assert run(main()) == (["a", "b", "c"], True)


def test_an_event_wakes_everybody_in_order(api: Any, run: Any) -> None:
    async def main() -> list[object]:
        event, seen = api.Event(), list[object]()

        async def wait(name: str) -> None:
            seen.append((name, await event.wait()))

        tasks = [asyncio.ensure_future(wait(name)) for name in "abc"]
        await let_run()
        tasks[1].cancel()
        event.set()
        event.set()
        assert event.is_set()
        event.clear()
        await asyncio.gather(*tasks, return_exceptions=True)
        event.set()
        return [*seen, await event.wait(), event.is_set()]

    assert run(main()) == [("a", True), ("c", True), True, True]


def test_a_condition_wakes_as_many_as_are_notified(api: Any, run: Any) -> None:
    async def main() -> list[str]:
        condition, seen = api.Condition(), list[str]()

        async def wait(name: str) -> None:
            async with condition:
                await condition.wait()
                seen.append(name)

        tasks = [asyncio.ensure_future(wait(name)) for name in "abcd"]
        await let_run()
        async with condition:
            condition.notify(2)
        await let_run(4)
        first = list(seen)
        async with condition:
            condition.notify_all()
        await asyncio.gather(*tasks)
        return [*first, "-", *seen[2:]]

    assert run(main()) == ["a", "b", "-", "c", "d"]


@pytest.mark.parametrize("name", BOUND)
def test_it_belongs_to_the_loop_where_somebody_waited(api: Any, new_loop: NewLoop, name: str) -> None:
    async def wait(shared: Any) -> None:
        waiting = shared.wait() if name == "Event" else shared.acquire()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(waiting, 0.001)

    async def wait_elsewhere(shared: Any) -> None:
        waiting = shared.wait() if name == "Event" else shared.acquire()
        pattern = re.escape(repr(shared._lock if name == "Condition" else shared))
        with pytest.raises(RuntimeError, match=f"{pattern} is bound to a different event loop"):
            await waiting

    async def hold(shared: Any) -> None:
        if name != "Event":
            await shared.acquire()

    shared = getattr(api, name)()
    first, second = new_loop(), new_loop()
    second.run_until_complete(hold(shared))  # at once, hence bound to no loop
    first.run_until_complete(wait(shared))
    second.run_until_complete(wait_elsewhere(shared))


@pytest.mark.parametrize("name", BOUND)
def test_it_takes_no_loop(api: Any, name: str) -> None:
    with pytest.raises(TypeError, match=r"__init__\(\) got an unexpected keyword argument 'loop'"):
        getattr(api, name)(loop=None)


@pytest.mark.parametrize("name", BOUND)
def test_it_shows_its_state(api: Any, run: Any, name: str) -> None:
    async def main() -> list[str]:
        shared = getattr(api, name)()
        texts = [repr(shared)]
        waiting: list[asyncio.Task[Any]] = []
        if name == "Event":
            waiting = [asyncio.ensure_future(shared.wait()) for _ in range(2)]
            await let_run()
        else:
            await shared.acquire()
        texts.append(repr(shared))
        for task in waiting:
            task.cancel()
        if name == "Event":
            shared.set()
            texts.append(repr(shared))
        return [re.sub(r"^<\S+ object at 0x\w+ ", "<", text) for text in texts]

    expected = {
        "Lock": ["<[unlocked]>", "<[locked]>"],
        "Condition": ["<[unlocked]>", "<[locked]>"],
        "Semaphore": ["<[unlocked, value:1]>", "<[locked]>"],
        "BoundedSemaphore": ["<[unlocked, value:1]>", "<[locked]>"],
        "Event": ["<[unset]>", "<[unset, waiters:2]>", "<[set, waiters:2]>"],
    }
    assert run(main()) == expected[name]


@pytest.mark.parametrize("name", ["Lock", "Semaphore", "BoundedSemaphore"])
def test_async_with_uses_the_methods_of_a_subclass(api: Any, run: Any, name: str) -> None:
    seen: list[str] = []
    base: Any = getattr(api, name)

    class Noted(base):  # type: ignore[misc]
        async def acquire(self) -> bool:
            seen.append("acquire")
            await asyncio.sleep(0)
            return bool(await super().acquire())

        def release(self) -> None:
            seen.append("release")
            super().release()

    async def main() -> None:
        lock = Noted()
        for _ in range(2):
            async with lock:
                assert lock.locked()
        entering = asyncio.ensure_future(lock.__aenter__())
        await let_run()
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        assert not lock.locked()

    run(main())
    assert seen == ["acquire", "release", "acquire", "release", "acquire"]


@pytest.mark.parametrize("name", BOUND)
def test_it_has_attributes_and_weak_references(api: Any, name: str) -> None:
    shared = getattr(api, name)()
    shared.remark = "mine"
    assert vars(shared)["remark"] == "mine"
    reference = weakref.ref(shared)
    assert reference() is shared
    del shared
    gc.collect()
    assert reference() is None


@pytest.mark.parametrize("name", BOUND)
def test_a_cycle_through_its_line_is_collected(api: Any, loop_factory: Any, name: str) -> None:
    shared = getattr(api, name)()
    gone = weakref.ref(shared)

    async def wait(shared: Any) -> None:
        if name != "Event":
            await shared.acquire()
        await (shared.wait() if name == "Event" else shared.acquire())

    loop = loop_factory()
    task = loop.create_task(wait(shared))
    task._log_destroy_pending = False
    loop.call_soon(loop.call_soon, loop.stop)
    loop.run_forever()
    loop.close()
    del shared, task, loop
    gc.collect()
    assert gone() is None


def test_nothing_is_made_for_a_free_lock(run: Any) -> None:
    async def main() -> int:
        lock, semaphore, event = maypole.Lock(), maypole.Semaphore(5), maypole.Event()
        event.set()

        async def use(times: int) -> None:
            for _ in range(times):
                async with lock, semaphore:
                    await event.wait()

        await use(10)
        gc.collect()
        before = sys.getallocatedblocks()
        await use(1000)
        return sys.getallocatedblocks() - before

    assert run(main()) < 100


def test_operations_show_what_they_are(run: Any) -> None:
    async def main() -> None:
        lock = maypole.Lock()
        acquiring = lock.acquire()
        assert acquiring.__qualname__ == "Lock.acquire"
        assert acquiring.__name__ == "acquire"
        assert re.fullmatch(r"<coroutine Lock\.acquire at 0x\w+ \(not started\)>", repr(acquiring))
        await acquiring
        waiting = lock.acquire()
        assert waiting.send(None) is waiting
        assert repr(waiting).endswith("(waiting)>")
        assert asyncio.isfuture(waiting)
        waiting.close()
        assert repr(waiting).endswith("(done)>")
        assert not asyncio.isfuture(waiting)
        with pytest.raises(TypeError, match="can't send non-None value to a just-started coroutine"):
            lock.acquire().send(1)

    with pytest.warns(RuntimeWarning, match="never awaited"):
        run(main())


def test_operations_cannot_be_made_by_hand() -> None:
    sleeping = maypole.sleep(0)
    sleeping.close()
    with pytest.raises(TypeError, match="cannot create"):
        type(sleeping)()
