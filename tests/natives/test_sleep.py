"""``sleep``: what it returns, whom it lets run, what it refuses, what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from decimal import Decimal
from fractions import Fraction
from typing import Any

import maypole
import pytest
from harness.kinds import Loop

NAN_IS_REFUSED = sys.version_info >= (3, 13)


def test_it_returns_the_result_it_was_given(api: Any, run: Any) -> None:
    async def main() -> tuple[object, object, object]:
        return await api.sleep(0.001, "later"), await api.sleep(0, result="now"), await api.sleep(0)

    assert run(main()) == ("later", "now", None)


@pytest.mark.parametrize("delay", [0, -1, 0.0, -0.5, False, Fraction(-1, 2), float("-inf")])
def test_no_delay_lets_everybody_else_run_once(api: Any, run: Any, delay: Any) -> None:
    seen: list[int] = []

    async def other() -> None:
        for number in range(4):
            seen.append(number)
            await asyncio.sleep(0)

    async def main() -> list[int]:
        task = asyncio.ensure_future(other())
        await api.sleep(delay)
        before = list(seen)
        await task
        return before

    assert run(main()) == [0]


@pytest.mark.parametrize("delay", [0.001, 1e-9, True * 0.001, Fraction(1, 1000)])
def test_it_waits_for_any_number_of_seconds(api: Any, loop: Loop, run: Any, delay: Any) -> None:
    async def main() -> float:
        start = loop.time()
        await api.sleep(delay)
        return loop.time() - start

    assert run(main()) >= delay - getattr(loop, "_clock_resolution", 1e-9)


def test_sleepers_wake_in_the_order_of_their_deadlines(api: Any, run: Any) -> None:
    woken: list[int] = []

    async def sleeper(number: int) -> None:
        await api.sleep(number * 0.002)
        woken.append(number)

    async def main() -> None:
        await asyncio.gather(*(sleeper(number) for number in (5, 1, 4, 2, 3)))

    run(main())
    assert woken == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("delay", ["1", None, object(), 1j, Decimal("0.001")])
def test_what_is_no_delay_raises_what_asyncio_raises(api: Any, run: Any, delay: Any) -> None:
    async def error(sleep: Any) -> tuple[type[BaseException], str]:
        with pytest.raises(TypeError) as caught:
            await sleep(delay)
        return caught.type, str(caught.value)

    async def main() -> None:
        assert await error(api.sleep) == await error(asyncio.sleep)

    run(main())


@pytest.mark.skipif(not NAN_IS_REFUSED, reason="asyncio refuses NaN from Python 3.13 on")
def test_nan_is_refused(api: Any, run: Any) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match=r"Invalid delay: NaN \(not a number\)"):
            await api.sleep(float("nan"))

    run(main())


def test_a_number_too_large_is_refused(api: Any, run: Any) -> None:
    async def main() -> None:
        with pytest.raises(OverflowError, match="int too large to convert to float"):
            await api.sleep(10**400)

    run(main())


@pytest.mark.parametrize(
    ("arguments", "keywords"), [((), {}), ((1, 2, 3), {}), ((1,), {"delay": 1}), ((1,), {"loop": None})]
)
def test_wrong_arguments_are_a_type_error(api: Any, arguments: Any, keywords: Any) -> None:
    with pytest.raises(TypeError, match=r"sleep\(\)"):
        api.sleep(*arguments, **keywords)


def test_outside_a_loop_only_a_wait_is_refused(api: Any) -> None:
    sleeping = api.sleep(0, "result")
    assert sleeping.send(None) is None
    with pytest.raises(StopIteration) as stop:
        sleeping.send(None)
    assert stop.value.value == "result"
    with pytest.raises(RuntimeError, match="no running event loop"):
        api.sleep(1).send(None)


def test_it_begins_when_it_is_awaited(api: Any, loop: Loop, run: Any) -> None:
    async def main() -> int:
        sleeping = api.sleep(60)
        scheduled = len(loop._scheduled)  # type: ignore[attr-defined]
        sleeping.close()
        return scheduled

    assert run(main()) == 0


def test_a_cancelled_sleep_raises_at_once(api: Any, run: Any) -> None:
    async def main() -> str:
        task = asyncio.ensure_future(api.sleep(60))
        await asyncio.sleep(0)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        return str(caught.value)

    assert run(main()) == "enough"


def test_a_cancelled_sleep_frees_its_timer_at_once() -> None:
    async def main() -> tuple[int, int]:
        loop: Any = asyncio.get_running_loop()
        tasks = [asyncio.ensure_future(maypole.sleep(60)) for _ in range(100)]
        await asyncio.sleep(0)
        before = len(loop._scheduled)
        for task in tasks:
            task.cancel()
        after = len(loop._scheduled)
        await asyncio.gather(*tasks, return_exceptions=True)
        return before, after

    assert maypole.run(main()) == (100, 0)


def test_an_exception_thrown_into_it_ends_it(api: Any, loop: Loop, run: Any) -> None:
    async def main() -> None:
        sleeping = api.sleep(60)
        sleeping.send(None)
        with pytest.raises(LookupError, match="thrown"):
            sleeping.throw(LookupError("thrown"))
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            sleeping.send(None)

    run(main())


def test_a_sleep_is_awaited_once(api: Any, run: Any) -> None:
    async def main() -> None:
        sleeping = api.sleep(0)
        await sleeping
        with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
            await sleeping

    run(main())


def test_closing_it_is_allowed_at_any_time(api: Any, run: Any) -> None:
    async def main() -> None:
        new, waiting, done = api.sleep(60), api.sleep(60), api.sleep(0)
        waiting.send(None)
        await done
        for sleeping in (new, waiting, done, new):
            sleeping.close()

    run(main())


def test_it_is_a_coroutine_for_asyncio(api: Any, run: Any, loop: Loop) -> None:
    sleeping = api.sleep(0, "result")
    assert asyncio.iscoroutine(sleeping)
    assert not asyncio.isfuture(sleeping)
    assert loop.run_until_complete(sleeping) == "result"

    async def main() -> list[object]:
        task = asyncio.create_task(api.sleep(0, 1), name="a sleep")
        assert "sleep()" in repr(task)
        return [
            await task,
            await asyncio.wait_for(api.sleep(0, 2), 5),
            *await asyncio.gather(api.sleep(0, 3), api.sleep(0.001, 4)),
            await asyncio.shield(api.sleep(0, 5)),
        ]

    assert run(main()) == [1, 2, 3, 4, 5]


def test_it_can_be_run_from_another_thread(api: Any, run: Any, loop: Loop) -> None:
    async def main() -> object:
        def ask() -> object:
            return asyncio.run_coroutine_threadsafe(api.sleep(0.001, "there"), loop).result(30)

        return await asyncio.to_thread(ask)

    assert run(main()) == "there"
    loop.run_until_complete(loop.shutdown_default_executor())


def test_a_timeout_ends_it(api: Any, run: Any) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(api.sleep(60), 0.001)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await api.sleep(60)

    run(main())


def test_a_sleep_that_nobody_awaits_is_warned_about(api: Any) -> None:
    with pytest.warns(RuntimeWarning, match="coroutine 'sleep' was never awaited"):
        api.sleep(1)
        gc.collect()


def test_a_sleep_that_was_begun_or_closed_is_not_warned_about(api: Any, run: Any) -> None:
    async def main() -> None:
        begun = api.sleep(60)
        begun.send(None)
        begun.close()
        api.sleep(60).close()

    run(main())


def test_a_sleeping_task_dies_with_its_loop(loop_factory: Any) -> None:
    class Marker:
        pass

    async def sleeper(marker: Marker) -> None:
        await maypole.sleep(3600)

    marker = Marker()
    gone = weakref.ref(marker)
    loop = loop_factory()
    task = loop.create_task(sleeper(marker))
    task._log_destroy_pending = False
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    del marker, task, loop
    gc.collect()
    assert gone() is None


def test_a_task_of_asyncios_own_kind_can_wait_for_it() -> None:
    async def main() -> object:
        return await maypole.sleep(0.001, "waited")

    for factory in (lambda: maypole.new_event_loop(task_impl="c"), asyncio.new_event_loop):
        with asyncio.Runner(loop_factory=factory) as runner:
            assert runner.run(main()) == "waited"


def test_an_hour_passes_at_once_on_the_virtual_clock() -> None:
    from maypole.testing import run_virtual

    async def main() -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await maypole.sleep(3600)
        return loop.time() - start

    assert run_virtual(main()) == pytest.approx(3600)


def test_sleeps_follow_a_loop_with_its_own_time() -> None:
    class Fast(maypole.EventLoop):
        def time(self) -> float:
            return super().time() * 1000

    async def main() -> float:
        loop = asyncio.get_running_loop()
        start = loop.time()
        await maypole.sleep(5)
        return loop.time() - start

    with asyncio.Runner(loop_factory=Fast) as runner:
        assert runner.run(main()) >= 5
