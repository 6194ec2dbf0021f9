"""Load shedding: refuse while the loop is behind with its own work."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from maypole.patterns import LoadShed, LoadShedder, PatternEvent
from maypole.testing import VirtualClock

Run = Callable[..., Any]


@pytest.fixture(params=["asyncio", "maypole"])
def run_busy(request: pytest.FixtureRequest) -> Iterator[Run]:
    """Run in virtual time in which ``time.sleep`` is work: it moves the clock and blocks the loop."""
    clock = VirtualClock()

    def on_this_loop(main: Any) -> Any:
        with asyncio.Runner(loop_factory=lambda: clock.new_event_loop(request.param)) as runner:
            return runner.run(main)

    with clock.time_module():
        yield on_this_loop


async def busy_turn(door: LoadShedder, seconds: float) -> bool:
    """Ask to be let in, while so much work is queued before the answer."""
    admitted = door.try_acquire()
    asyncio.get_running_loop().call_soon(time.sleep, seconds)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return admitted


def behind(door: LoadShedder, seconds: float) -> None:
    """Queue work first, and then the question: it waits so long."""
    asyncio.get_running_loop().call_soon(time.sleep, seconds)
    door.try_acquire()


def test_a_loop_that_keeps_up_lets_everybody_in(run_busy: Run) -> None:
    async def main() -> None:
        door = LoadShedder()
        for _ in range(100):
            behind(door, 0.004)
            await asyncio.sleep(0)
        stats = door.stats()
        assert (stats.admitted, stats.rejected, stats.shedding) == (100, 0, False)

    run_busy(main())


def test_a_short_delay_is_no_overload(run_busy: Run) -> None:
    async def main() -> None:
        door = LoadShedder()
        for _ in range(20):
            behind(door, 0.09)
            await asyncio.sleep(0)
            behind(door, 0.001)
            await asyncio.sleep(0)
        assert door.stats().rejected == 0

    run_busy(main())


def test_a_delay_that_lasts_sheds_until_the_loop_has_caught_up(run_busy: Run) -> None:
    heard: list[PatternEvent] = []

    async def main() -> None:
        door = LoadShedder(name="http", on_event=heard.append)
        for _ in range(8):
            behind(door, 0.02)
            await asyncio.sleep(0)
        assert door.stats().shedding
        with pytest.raises(LoadShed, match="load shedder 'http': the loop is 20 ms behind"):
            async with door:
                pass
        await asyncio.sleep(0)  # that question found the queue empty
        async with door:
            pass
        stats = door.stats()
        assert stats.shedding is False
        assert stats.rejected >= 1

    run_busy(main())
    assert [event.what for event in heard if event.what != "reject"] == ["shed", "admit"]


def test_who_falls_back_soon_has_less_patience(run_busy: Run) -> None:
    async def turns_until_shed(door: LoadShedder) -> int:
        for turn in range(1, 100):
            behind(door, 0.01)
            await asyncio.sleep(0)
            if door.stats().shedding:
                return turn
        raise AssertionError("never shed")

    async def main() -> list[int]:
        door = LoadShedder()
        turns = []
        for _ in range(3):
            turns.append(await turns_until_shed(door))
            behind(door, 0.0)
            await asyncio.sleep(0)
        await asyncio.sleep(60)
        turns.append(await turns_until_shed(door))
        return turns

    first, second, third, after_a_while = run_busy(main())
    assert first > second > third
    assert after_a_while == first


def test_it_guards_a_function_and_holds_nothing(run: Run) -> None:
    async def main() -> None:
        door = LoadShedder()

        @door
        async def answer(x: int) -> int:
            return x

        assert await answer(3) == 3
        await door.acquire()
        assert door.describe()["admitted"] == 2
        assert repr(door) == "<LoadShedder admitting, delay 0 ms>"
        with pytest.raises(TypeError, match="coroutine functions"):
            door(print)  # type: ignore[arg-type]

    run(main())


def test_one_door_serves_one_run_after_another(run: Run) -> None:
    door = LoadShedder()

    async def main() -> None:
        door.try_acquire()
        await asyncio.sleep(0)

    async def cut_short() -> None:
        door.try_acquire()  # its question is never answered

    run(main())
    run(cut_short())
    run(main())
    assert door.stats().admitted == 3


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="target must be above 0"):
        LoadShedder(target=0)
    with pytest.raises(ValueError, match="interval must be at least the target"):
        LoadShedder(target=1, interval=0.5)
    with pytest.raises(RuntimeError, match="no running event loop"):
        LoadShedder().try_acquire()


def test_counts_hold_on_every_loop(run_real: Run) -> None:
    async def main() -> None:
        door = LoadShedder(target=10.0, interval=10.0)
        for _ in range(50):
            async with door:
                await asyncio.sleep(0)
        assert door.stats().admitted == 50

    run_real(main())
