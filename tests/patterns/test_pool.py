"""Pools: bounds, order, what happens to a resource whoever is cancelled, age, checks, leaks, the end."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from maypole.patterns.deadline import Deadline
from maypole.patterns.errors import PoolClosed, PoolExhausted
from maypole.patterns.events import PatternEvent
from maypole.patterns.pool import Pool
from maypole.testing import run_virtual

Run = Callable[..., Any]


def now() -> float:
    return asyncio.get_running_loop().time() - 1000


class Server:
    """Something with connections, which counts them."""

    def __init__(self, connect_s: float = 0, close_s: float = 0) -> None:
        self.connect_s = connect_s
        self.close_s = close_s
        self.numbers = itertools.count(1)
        self.open: set[int] = set()
        self.most = 0
        self.down = False
        self.bad: set[int] = set()
        self.checked: list[int] = []

    async def connect(self) -> int:
        await asyncio.sleep(self.connect_s)
        if self.down:
            raise ConnectionRefusedError("down")
        number = next(self.numbers)
        self.open.add(number)
        self.most = max(self.most, len(self.open))
        return number

    async def close(self, number: int) -> None:
        await asyncio.sleep(self.close_s)
        self.open.remove(number)

    async def check(self, number: int) -> None:
        self.checked.append(number)
        await asyncio.sleep(0)
        if number in self.bad:
            raise ConnectionResetError("gone")

    def pool(self, **options: Any) -> Pool[int]:
        options = {"max_size": 2, "jitter": 0.0} | options
        return Pool(self.connect, self.close, **options)


def test_a_resource_is_made_when_needed_and_used_again(run: Run) -> None:
    async def main() -> None:
        server = Server(connect_s=1)
        async with server.pool(max_size=5) as pool:
            for _ in range(3):
                async with pool.acquire() as number:
                    assert number == 1
            assert now() == 1
            assert pool.stats().pool_available == 1
        assert server.open == set()

    run(main())


def test_there_are_never_more_than_max_size_and_requests_are_served_in_order(run: Run) -> None:
    async def main() -> None:
        server = Server(connect_s=1, close_s=1)
        order: list[int] = []

        async def use(number: int) -> None:
            async with pool.acquire():
                order.append(number)
                await asyncio.sleep(1)

        async with server.pool(max_size=3) as pool:
            async with asyncio.TaskGroup() as group:
                for number in range(12):
                    group.create_task(use(number))
            assert order == list(range(12))
            assert server.most == 3
            assert now() == 5
            stats = pool.stats()
            assert (stats.requests_num, stats.requests_queued, stats.resources_num) == (12, 12, 3)
            assert stats.requests_wait_ms == 3 * (1000 + 2000 + 3000 + 4000)
            assert stats.usage_ms == 12_000

    run(main())


def test_the_one_that_came_back_last_is_lent_first(run: Run) -> None:
    async def main() -> None:
        async with Server().pool(max_size=3) as pool:
            leases = [await pool.acquire() for _ in range(3)]
            for position in (1, 0, 2):
                leases[position].release()
            again = [await pool.acquire() for _ in range(3)]
            assert [lease.resource for lease in again] == [3, 1, 2]
            for lease in again:
                lease.release()

    run(main())


def test_cancelling_a_waiter_never_leaks_what_is_being_made_for_it(run: Run) -> None:
    async def main() -> None:
        server = Server(connect_s=5)
        async with server.pool(max_size=1) as pool:
            first = asyncio.create_task(pool.acquire()._begin())
            await asyncio.sleep(1)
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            assert pool.stats().requests_waiting == 0
            async with pool.acquire() as number:
                assert number == 1
                assert now() == 5
            assert pool.stats().resources_num == 1
        assert server.open == set()

    run(main())


def test_what_was_handed_to_a_cancelled_waiter_goes_to_the_next(run: Run) -> None:
    async def main() -> None:
        async with Server().pool(max_size=1) as pool:
            lease = await pool.acquire()
            first = asyncio.create_task(pool.acquire()._begin())
            second = asyncio.create_task(pool.acquire()._begin())
            await asyncio.sleep(1)
            lease.release()
            first.cancel()
            (await second).release()
            await asyncio.gather(first, return_exceptions=True)
            assert pool.stats().pool_available == 1

    run(main())


@settings(max_examples=50, deadline=None)
@given(
    max_size=st.integers(1, 3),
    steps=st.lists(
        st.tuples(st.sampled_from(["use", "cancel", "wait", "down", "up", "bad"]), st.integers(0, 20)),
        max_size=40,
    ),
)
@pytest.mark.parametrize("loop", ["asyncio", "maypole"])
def test_whoever_is_cancelled_every_resource_is_closed_in_the_end(
    loop: Any, max_size: int, steps: list[tuple[str, int]]
) -> None:
    async def main() -> None:
        server = Server(connect_s=1, close_s=0.5)
        pool = server.pool(
            max_size=max_size,
            check=server.check,
            check_after=0.5,
            is_broken=lambda number: number in server.bad,
        )
        users: list[asyncio.Task[None]] = []

        async def use(seconds: int) -> None:
            async with pool.acquire(timeout=7):
                await asyncio.sleep(seconds / 4)

        for what, number in steps:
            if what == "use":
                users.append(asyncio.create_task(use(number)))
            elif what == "cancel" and users:
                users[number % len(users)].cancel()
            elif what == "wait":
                await asyncio.sleep(number / 8)
            elif what in ("down", "up"):
                server.down = what == "down"
            elif server.open:
                server.bad.add(sorted(server.open)[number % len(server.open)])
            assert server.most <= max_size
        outcomes = await asyncio.gather(*users, return_exceptions=True)
        allowed = (type(None), PoolExhausted, ConnectionRefusedError, asyncio.CancelledError)
        assert all(isinstance(outcome, allowed) for outcome in outcomes)
        assert pool.stats().requests_waiting == 0
        assert await pool.aclose() == ()
        assert server.open == set()
        assert pool.stats().pool_size == 0

    run_virtual(main(), loop=loop)


def test_a_wait_ends_with_the_timeout_or_the_deadline(run: Run) -> None:
    async def main() -> None:
        async with Server().pool(max_size=1, timeout=10, name="db") as pool, pool.acquire():
            with pytest.raises(
                PoolExhausted, match="pool 'db': no resource in time; 1 of 1 are lent"
            ) as caught:
                await pool.acquire()
            assert isinstance(caught.value, TimeoutError)
            assert now() == 10
            with pytest.raises(PoolExhausted):
                await pool.acquire(timeout=2)
            assert now() == 12
            async with Deadline(1):
                child = asyncio.create_task(pool.acquire()._begin())
            with pytest.raises(PoolExhausted):
                await child
            assert now() == 13
            assert pool.stats().requests_errors == 3

    run(main())


def test_the_line_is_bounded(run: Run) -> None:
    async def main() -> None:
        async with Server().pool(max_size=1, max_waiting=1) as pool:
            async with pool.acquire():
                waiting = asyncio.create_task(pool.acquire()._begin())
                await asyncio.sleep(1)
                with pytest.raises(PoolExhausted, match="1 are waiting already"):
                    await pool.acquire()
            (await waiting).release()

    run(main())


def test_try_acquire_waits_for_nothing_and_overtakes_nobody(run: Run) -> None:
    async def main() -> None:
        async with Server().pool(max_size=1) as pool:
            assert pool.try_acquire() is None
            (await pool.acquire()).release()
            lease = pool.try_acquire()
            assert lease is not None
            assert lease.resource == 1
            assert pool.try_acquire() is None
            waiting = asyncio.create_task(pool.acquire()._begin())
            await asyncio.sleep(0)
            lease.release()
            assert pool.try_acquire() is None
            (await waiting).release()

    run(main())


# Failures


def test_a_failed_creation_fails_the_one_it_was_for_at_once(run: Run) -> None:
    async def main() -> None:
        server = Server(connect_s=1)
        server.down = True
        async with server.pool(max_size=2, timeout=60) as pool:
            requests = [asyncio.create_task(pool.acquire()._begin()) for _ in range(6)]
            outcomes = await asyncio.gather(*requests, return_exceptions=True)
            assert [type(outcome) for outcome in outcomes] == [ConnectionRefusedError] * 6
            assert isinstance(outcomes[0], BaseException)
            assert outcomes[0].__notes__ == ["pool could not make a resource"]
            assert now() == 3  # two at a time
            server.down = False
            async with pool.acquire() as number:
                assert number == 1
            assert pool.stats().resources_errors == 6

    run(main())


def test_a_creation_that_times_out_is_no_exhausted_pool(run: Run) -> None:
    async def main() -> None:
        async with Server(connect_s=100).pool(max_size=1, create_timeout=5, timeout=60) as pool:
            with pytest.raises(TimeoutError) as caught:
                await pool.acquire()
            assert not isinstance(caught.value, PoolExhausted)
            assert now() == 5

    run(main())


def test_a_creation_is_not_under_the_deadline_of_the_first_who_asks(run: Run) -> None:
    async def main() -> None:
        server = Server(connect_s=5)

        async def connect() -> int:
            assert Deadline.current() is None
            return await server.connect()

        async with Pool(connect, server.close, max_size=1) as pool:
            with pytest.raises(TimeoutError):
                async with Deadline(1):
                    await pool.acquire()
            async with pool.acquire() as number:
                assert number == 1
            assert now() == 5

    run(main())


def test_a_block_that_was_cancelled_leaves_its_resource_in_doubt(run: Run) -> None:
    async def main() -> None:
        server = Server()

        async def use() -> None:
            async with pool.acquire():
                await asyncio.sleep(60)

        async with server.pool(max_size=1) as pool:
            user = asyncio.create_task(use())
            await asyncio.sleep(1)
            user.cancel()
            await asyncio.gather(user, return_exceptions=True)
            with pytest.raises(KeyError):
                async with pool.acquire() as number:
                    assert (
                        number == 2
                    )  # the answer to the cancelled request might still come on the first one
                    raise KeyError
            async with pool.acquire() as number:
                assert number == 2
            assert pool.stats().returns_bad == 1

    run(main())


def test_a_discarded_or_broken_resource_is_closed_and_replaced(run: Run) -> None:
    async def main() -> None:
        server = Server()
        async with server.pool(max_size=1, is_broken=lambda number: number in server.bad) as pool:
            lease = await pool.acquire()
            lease.discard()
            lease.release()
            async with pool.acquire() as number:
                assert number == 2
                server.bad.add(number)
            async with pool.acquire() as number:
                assert number == 3
            assert server.open == {3}
            assert pool.stats().returns_bad == 2

    run(main())


def test_an_is_broken_that_fails_counts_as_broken(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        server = Server()
        async with server.pool(is_broken=lambda number: number < 1 / 0) as pool:
            async with pool.acquire():
                pass
            await asyncio.sleep(1)
            assert server.open == set()

    run(main())
    assert "is_broken failed" in caplog.text


def test_a_resource_that_was_idle_is_checked_before_it_is_lent(run: Run) -> None:
    async def main() -> None:
        server = Server()
        async with server.pool(max_size=2, check=server.check, check_after=0.5) as pool:
            leases = [await pool.acquire() for _ in range(2)]
            for lease in leases:
                lease.release()
            async with pool.acquire():
                assert server.checked == []
            await asyncio.sleep(1)
            server.bad.add(2)
            async with pool.acquire() as number:
                assert number in (1, 3)
            assert server.checked[0] == 2
            assert pool.stats().resources_lost == 1
            assert 2 not in server.open

    run(main())


def test_a_cancelled_waiter_does_not_leak_what_is_being_checked(run: Run) -> None:
    async def main() -> None:
        async def check(number: int) -> None:
            await asyncio.sleep(5)

        server = Server()
        async with server.pool(max_size=1, check=check) as pool:
            (await pool.acquire()).release()
            await asyncio.sleep(1)
            waiting = asyncio.create_task(pool.acquire()._begin())
            await asyncio.sleep(1)
            waiting.cancel()
            await asyncio.sleep(4.25)
            assert pool.stats().pool_available == 1
            lease = pool.try_acquire()
            assert lease is not None
            lease.release()

    run(main())


# Age


def test_min_idle_are_kept_ready_and_replaced(run: Run) -> None:
    async def main() -> None:
        server = Server(connect_s=1)
        async with server.pool(max_size=5, min_idle=2, max_idle=10, max_lifetime=100) as pool:
            await asyncio.sleep(1.5)
            assert pool.stats().pool_available == 2
            lease = await pool.acquire()
            await asyncio.sleep(1.5)
            assert pool.stats().pool_available == 2
            lease.release()
            assert pool.stats().pool_available == 3
            await asyncio.sleep(11)
            assert pool.stats().pool_available == 2
            await asyncio.sleep(120)
            assert server.open == {4, 5}

    run(main())


def test_min_idle_is_tried_again_after_a_failure(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        server = Server()
        server.down = True
        async with server.pool(min_idle=1) as pool:
            await asyncio.sleep(3.5)
            assert pool.stats().resources_errors == 4
            server.down = False
            await asyncio.sleep(1)
            assert pool.stats().pool_available == 1

    run(main())
    assert "could not make a resource in advance" in caplog.text


def test_an_old_resource_is_not_lent_again(run: Run) -> None:
    async def main() -> None:
        server = Server()
        async with server.pool(max_size=1, max_lifetime=10, max_idle=100) as pool:
            async with pool.acquire() as number:
                await asyncio.sleep(11)
            async with pool.acquire() as number:
                assert number == 2
            await asyncio.sleep(10.5)
            assert server.open == set()  # it went by itself
            async with pool.acquire() as number:
                assert number == 3

    run(main())


def test_jitter_spreads_the_ends_of_what_was_made_together(run: Run) -> None:
    async def main() -> list[float]:
        server = Server()
        ends = []

        def close(number: int) -> None:
            ends.append(now())
            server.open.remove(number)

        pool = Pool(server.connect, close, max_size=50, max_lifetime=100, max_idle=1000, jitter=0.1)
        async with pool:
            leases = [await pool.acquire() for _ in range(50)]
            for lease in leases:
                lease.release()
            await asyncio.sleep(200)
        return ends

    ends = run(main())
    assert len(ends) == 50
    assert 90 <= min(ends) < max(ends) <= 100
    assert len({round(end, 3) for end in ends}) > 25


# Leaks and the end


def test_a_lease_held_too_long_is_reported_with_its_place_in_the_code(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[PatternEvent] = []

    async def main() -> None:
        async with Server().pool(leak_after=30, name="db", on_event=heard.append) as pool:

            async def hold() -> None:
                async with pool.acquire():
                    await asyncio.sleep(60)

            await asyncio.create_task(hold(), name="forgetful")
            assert pool.stats().leaks == 1
            async with pool.acquire():
                await asyncio.sleep(29)
            await asyncio.sleep(60)
            assert pool.stats().leaks == 1

    run(main())
    assert "pool 'db': forgetful holds a resource for more than 30 s, taken at test_pool.py:" in caplog.text
    assert " in hold" in caplog.text
    assert [event.what for event in heard] == ["wait", "create", "grant", "leak", "close"]


def test_a_lease_that_is_thrown_away_gives_its_place_back(run: Run) -> None:
    async def main() -> None:
        async with Server().pool(max_size=1) as pool:
            lease = await pool.acquire()
            with pytest.warns(ResourceWarning, match="a lease of pool was thrown away"):
                del lease
            gc.collect()
            async with pool.acquire(timeout=1) as number:
                assert number == 2

    run(main())


def test_closing_waits_for_what_is_lent_and_refuses_the_rest(run: Run) -> None:
    async def main() -> None:
        server = Server(close_s=1)
        pool = server.pool(max_size=1)
        lease = await pool.acquire()
        waiting = asyncio.create_task(pool.acquire()._begin())
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(3, lease.release)
        assert await pool.aclose(grace=10) == ()
        assert now() == 4
        with pytest.raises(PoolClosed, match="pool is closed"):
            await waiting
        with pytest.raises(PoolClosed):
            await pool.acquire()
        assert pool.try_acquire() is None
        assert server.open == set()

    run(main())


def test_closing_reports_who_still_holds_what(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        server = Server()
        pool = server.pool()
        lease = await pool.acquire()
        (line,) = await pool.aclose(grace=5)
        assert "took one at test_pool.py:" in line
        assert now() == 5
        lease.release()
        await asyncio.sleep(1)
        assert server.open == set()

    run(main())
    assert "pool: 1 do not end" in caplog.text


def test_closing_while_a_resource_is_being_made_closes_it(run: Run) -> None:
    async def main() -> None:
        server = Server(connect_s=3)
        pool = server.pool()
        waiting = asyncio.create_task(pool.acquire()._begin())
        await asyncio.sleep(1)
        assert await pool.aclose() == ()
        assert now() == 3
        assert server.open == set()
        with pytest.raises(PoolClosed):
            await waiting
        async with pool, pool.acquire() as number:  # and it can be opened again
            assert number == 2

    run(main())


def test_a_close_that_hangs_or_fails_does_not_block_the_pool(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async def close(number: int) -> None:
            if number == 1:
                raise OSError("cannot close")
            await asyncio.sleep(1000)

        server = Server()
        pool = Pool(server.connect, close, max_size=1, close_timeout=5)
        for expected in (1, 2, 3):
            lease = await pool.acquire()
            assert lease.resource == expected
            lease.discard()
        assert now() == 5
        assert await pool.aclose(grace=2) == ("pool close",)
        await asyncio.sleep(0)

    run(main())
    assert caplog.text.count("closing a resource failed") == 2


def test_plain_functions_serve_as_well(run_real: Run) -> None:
    async def main() -> None:
        closed: list[dict[str, int]] = []
        pool = Pool(dict[str, int], closed.append, max_size=1, check=lambda it: True)
        async with pool, pool.acquire() as mapping:
            assert mapping == {}
        assert closed == [{}]

    run_real(main())


def test_a_pool_serves_one_run_after_another(run_real: Run) -> None:
    server = Server()
    pool = server.pool(max_size=1)

    async def main() -> int:
        async with pool.acquire() as number:
            return number

    assert run_real(main()) == 1
    assert run_real(main()) == 2  # the first one belonged to a loop that is gone
    assert pool.stats().resources_lost == 1


def test_a_pool_describes_itself(run: Run) -> None:
    async def main() -> None:
        async with Server().pool(name="db") as pool, pool.acquire():
            described = pool.describe()
            assert (described["kind"], described["name"], described["pool_size"]) == ("pool", "db", 1)
            assert described["held"][0]["since"] == 1000
            assert repr(pool) == "<Pool pool 'db': 1 lent, 0 idle, 0 wait>"

    run(main())


@pytest.mark.parametrize(
    "options", [{"max_size": 0}, {"min_idle": 3}, {"jitter": 1}, {"max_idle": 0}, {"check_after": -1}]
)
def test_bad_arguments_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"must be|needs"):
        Server().pool(**options)
