"""Locks by key and for readers and writers: order, cancellation, and waits that could never end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maypole.patterns.errors import QueueFull
from maypole.patterns.keyed_lock import KeyedLock
from maypole.patterns.rwlock import RWLock
from maypole.testing import run_virtual

Run = Callable[..., Any]


def now() -> float:
    return asyncio.get_running_loop().time() - 1000


# Locks by key


def test_a_key_waits_for_itself_only(run: Run) -> None:
    async def main() -> list[tuple[str, int, float]]:
        locks: KeyedLock[str] = KeyedLock()
        log = []

        async def use(key: str, number: int) -> None:
            async with locks.hold(key):
                log.append((key, number, now()))
                await asyncio.sleep(1)

        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(use("a", number))
            group.create_task(use("b", 0))
        assert locks.stats().held == 0
        assert locks.stats().contended == 2
        return log

    assert run(main()) == [("a", 0, 0), ("b", 0, 0), ("a", 1, 1), ("a", 2, 2)]


def test_a_key_is_forgotten_when_nobody_uses_it(run_real: Run) -> None:
    async def main() -> None:
        locks: KeyedLock[int] = KeyedLock()
        for key in range(1000):
            async with locks.hold(key):
                pass
        assert locks._entries == {}
        assert locks.stats().acquired == 1000

    run_real(main())


def test_two_tasks_cannot_wait_for_each_other(run: Run) -> None:
    async def main() -> None:
        locks: KeyedLock[int] = KeyedLock()
        done = []

        async def move(*keys: int) -> None:
            async with locks.hold(*keys, timeout=60):
                await asyncio.sleep(1)
                done.append(keys)

        # These come out of a set in the order in which they went in.
        assert list({0, 8}) != list({8, 0})
        async with asyncio.TaskGroup() as group:
            group.create_task(move(0))
            group.create_task(move(8))
            group.create_task(move(0, 8))
            group.create_task(move(8, 0))
            group.create_task(move(8, 0, 8))
        assert len(done) == 5
        assert now() == 4

    run(main())


def test_the_lock_of_a_cancelled_task_goes_to_the_next(run: Run) -> None:
    async def main() -> None:
        locks: KeyedLock[str] = KeyedLock()
        await locks.acquire("k")
        first = asyncio.create_task(locks.acquire("k"))
        second = asyncio.create_task(locks.acquire("k"))
        await asyncio.sleep(1)
        locks.release("k")
        first.cancel()
        await second
        await asyncio.gather(first, return_exceptions=True)
        assert locks.locked("k")
        assert locks.stats().waiting == 0

    run(main())


def test_the_lock_of_the_last_who_was_cancelled_is_free(run: Run) -> None:
    async def main() -> None:
        locks: KeyedLock[str] = KeyedLock()
        await locks.acquire("k")
        waiting = asyncio.create_task(locks.acquire("k"))
        await asyncio.sleep(1)
        locks.release("k")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert not locks.locked("k")
        assert locks.try_acquire("k")

    run(main())


def test_a_timeout_gives_back_what_was_taken_before(run: Run) -> None:
    async def main() -> None:
        locks: KeyedLock[str] = KeyedLock()

        async def hold_b() -> None:
            async with locks.hold("b"):
                await asyncio.sleep(60)

        holder = asyncio.create_task(hold_b())
        await asyncio.sleep(1)
        with pytest.raises(TimeoutError):
            async with locks.hold("a", "b", timeout=5):
                pass
        assert now() == 6
        assert not locks.locked("a")
        holder.cancel()
        await asyncio.gather(holder, return_exceptions=True)

    run(main())


def test_a_task_that_would_wait_for_itself_is_told(run_real: Run) -> None:
    async def main() -> None:
        locks: KeyedLock[str] = KeyedLock(max_waiting=0, name="accounts")
        async with locks.hold("k"):
            with pytest.raises(RuntimeError, match="keyed lock 'accounts': this task holds 'k' already"):
                await locks.acquire("k")
            with pytest.raises(QueueFull):
                await asyncio.create_task(locks.acquire("k"))

            async def steal() -> None:
                locks.release("k")

            with pytest.raises(RuntimeError, match="this task does not hold 'k'"):
                await asyncio.create_task(steal())
            owners = locks.describe()["owners"]
            task = asyncio.current_task()
            assert task is not None
            assert owners == {"k": task.get_name()}
        with pytest.raises(RuntimeError, match="does not hold"):
            locks.release("k")

    run_real(main())
    with pytest.raises(ValueError, match="max_waiting"):
        KeyedLock(max_waiting=-1)


# Readers and writers


def test_readers_share_and_a_writer_is_alone(run: Run) -> None:
    async def main() -> None:
        lock = RWLock()

        async def read() -> None:
            async with lock.read():
                await asyncio.sleep(1)

        async def write() -> None:
            async with lock.write():
                assert lock.stats().reading == 0
                await asyncio.sleep(1)

        async with asyncio.TaskGroup() as group:
            for work in (read, read, read, write, write, read, read):
                group.create_task(work())
        assert now() == 1 + 1 + 1 + 1

    run(main())


def test_neither_side_can_keep_the_other_out(run: Run) -> None:
    async def main() -> list[str]:
        lock = RWLock()
        order = []

        async def use(side: str, name: str) -> None:
            async with lock.read() if side == "r" else lock.write():
                order.append(name)
                await asyncio.sleep(1)

        async with asyncio.TaskGroup() as group:
            for name in ("r1", "w1", "r2", "r3", "w2", "r4"):
                group.create_task(use(name[0], name))
        return order

    assert run(main()) == ["r1", "w1", "r2", "r3", "w2", "r4"]


def test_a_writer_that_gives_up_lets_the_readers_behind_it_in(run: Run) -> None:
    async def main() -> None:
        lock = RWLock()
        await lock.acquire_read()
        writer = asyncio.create_task(lock.acquire_write())
        impatient = asyncio.create_task(lock.acquire_write(timeout=5))
        await asyncio.sleep(0)
        reader = asyncio.create_task(lock.acquire_read())
        await asyncio.sleep(1)
        assert not reader.done()
        writer.cancel()
        await asyncio.sleep(1)
        assert not reader.done()
        await asyncio.wait([impatient])
        await reader
        assert now() == 5
        assert lock.stats().reading == 2
        assert isinstance(impatient.exception(), TimeoutError)

    run(main())


def test_a_grant_to_a_cancelled_task_is_given_back(run: Run) -> None:
    async def main() -> None:
        lock = RWLock()
        await lock.acquire_write()
        tasks = [asyncio.create_task(lock.acquire_write()), asyncio.create_task(lock.acquire_read())]
        await asyncio.sleep(1)
        lock.release_write()  # to the first one
        tasks[0].cancel()
        await tasks[1]
        assert (lock.stats().reading, lock.stats().writing) == (1, False)
        await asyncio.gather(*tasks, return_exceptions=True)

    run(main())


def test_reading_twice_is_no_deadlock_with_a_writer_in_between(run: Run) -> None:
    async def main() -> None:
        lock = RWLock()
        async with lock.read():
            writer = asyncio.create_task(lock.acquire_write())
            await asyncio.sleep(1)
            assert not lock.try_acquire_write()
            async with lock.read(timeout=1):
                assert lock.stats().reading == 2
            stranger = asyncio.create_task(lock.acquire_read(timeout=1))
            await asyncio.wait([stranger])
            assert isinstance(stranger.exception(), TimeoutError)
        await writer

    run(main())


def test_waiting_for_oneself_is_refused(run_real: Run) -> None:
    async def main() -> None:
        lock = RWLock(name="config")
        async with lock.read():
            with pytest.raises(RuntimeError, match="rwlock 'config': this task reads"):
                await lock.acquire_write()
        async with lock.write():
            with pytest.raises(RuntimeError, match="this task writes already"):
                await lock.acquire_write()
            with pytest.raises(RuntimeError, match="this task writes already"):
                await lock.acquire_read()
        with pytest.raises(RuntimeError, match="does not hold the read side"):
            lock.release_read()
        with pytest.raises(RuntimeError, match="does not hold the write side"):
            lock.release_write()
        with pytest.raises(RuntimeError, match="does not hold the write side"):
            lock.downgrade()
        assert lock.stats().reading == 0

    run_real(main())


def test_a_writer_can_turn_into_a_reader(run: Run) -> None:
    async def main() -> None:
        lock = RWLock()
        async with lock.write():
            writer = asyncio.create_task(lock.acquire_write())
            await asyncio.sleep(1)
            lock.downgrade()
            await asyncio.sleep(1)
            assert (lock.stats().reading, lock.stats().writing) == (1, False)
            assert not writer.done()
        await writer
        assert repr(lock) == "<RWLock rwlock: written, 0 wait>"

    run(main())


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from(["r", "w", "cancel", "sleep"]), st.integers(0, 9)), max_size=50)
)
@pytest.mark.parametrize("loop", ["asyncio", "maypole"])
def test_a_writer_is_never_with_others_and_the_lock_comes_free(
    loop: Any, steps: list[tuple[str, int]]
) -> None:
    async def main() -> None:
        lock = RWLock()
        inside: list[str] = []
        users: list[asyncio.Task[None]] = []

        async def use(side: str, seconds: int) -> None:
            async with lock.read() if side == "r" else lock.write():
                inside.append(side)
                try:
                    assert set(inside) == {"r"} or inside == ["w"]
                    await asyncio.sleep(seconds)
                    assert set(inside) == {"r"} or inside == ["w"]
                finally:
                    inside.remove(side)

        for what, number in steps:
            if what in ("r", "w"):
                users.append(asyncio.create_task(use(what, number)))
            elif what == "cancel" and users:
                users[number % len(users)].cancel()
            else:
                await asyncio.sleep(number / 2)
        outcomes = await asyncio.gather(*users, return_exceptions=True)
        assert all(outcome is None or isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
        assert lock.try_acquire_write()
        assert lock.stats().waiting == 0

    run_virtual(main(), loop=loop)


def test_locks_serve_one_run_after_another(run_real: Run) -> None:
    lock = RWLock()
    locks: KeyedLock[int] = KeyedLock()

    async def use(order: list[str], name: str) -> None:
        async with lock.read() if name == "r" else lock.write(), locks.hold(1):
            order.append(name)
            await asyncio.sleep(0)

    async def main() -> list[str]:
        order: list[str] = []
        await asyncio.gather(*(use(order, name) for name in "wrwr"))
        return order

    assert run_real(main()) == ["w", "r", "w", "r"]
    assert asyncio.run(main()) == ["w", "r", "w", "r"]
