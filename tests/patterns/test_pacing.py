"""Throttle waits for a turn; debounce waits until the calls stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from maypole.patterns import RateLimited, debounce, throttle

Run = Callable[..., Any]
spawn = asyncio.create_task


def test_throttled_calls_keep_their_order_and_their_results(run: Run) -> None:
    async def main() -> tuple[list[int], list[float]]:
        begun: list[float] = []

        async def call(x: int) -> int:
            begun.append(round(asyncio.get_running_loop().time() - 1000, 6))
            return x * 10

        slow = throttle(call, "4/s", burst=2)
        return list(await asyncio.gather(*(slow(x) for x in range(4)))), begun

    assert run(main()) == ([0, 10, 20, 30], [0.0, 0.0, 0.25, 0.5])


def test_a_throttle_is_bounded(run: Run) -> None:
    async def main() -> None:
        async def call() -> None: ...

        slow = throttle(call, 1, max_waiting=1)
        await slow()
        waiting = spawn(slow())
        await asyncio.sleep(0)
        with pytest.raises(RateLimited):
            await slow()
        await waiting

    run(main())


class Saved:
    """A function that remembers its calls."""

    def __init__(self, seconds: float = 0.0, error: Exception | None = None) -> None:
        self.calls: list[tuple[float, str]] = []
        self.running = self.most = 0
        self.seconds = seconds
        self.error = error

    async def __call__(self, text: str) -> str:
        self.calls.append((round(asyncio.get_running_loop().time() - 1000, 6), text))
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(self.seconds)
        self.running -= 1
        if self.error is not None:
            raise self.error
        return f"saved {text}"


def test_calls_that_follow_each_other_become_the_last_one(run: Run) -> None:
    async def main() -> None:
        saved = Saved()
        save = debounce(saved, 0.5)
        answers = []
        for text in ("a", "ab", "abc"):
            answers.append(save(text))
            await asyncio.sleep(0.4)
        assert [await answer for answer in answers] == ["saved abc"] * 3
        assert saved.calls == [(1.3, "abc")]

    run(main())


def test_max_wait_bounds_a_row_that_does_not_end(run: Run) -> None:
    async def main() -> None:
        saved = Saved()
        save = debounce(saved, 0.5, max_wait=1.0)
        for i in range(10):
            save(str(i))
            await asyncio.sleep(0.3)
        await asyncio.sleep(1)
        assert [at for at, _ in saved.calls] == [1.0, 2.2, 3.2]
        assert [text for _, text in saved.calls] == ["3", "7", "9"]

    run(main())


def test_calls_of_the_function_never_overlap(run: Run) -> None:
    async def main() -> None:
        saved = Saved(seconds=5.0)
        save = debounce(saved, 0.1)
        first = save("first")
        await asyncio.sleep(1)
        second = save("second")
        assert (await first, await second) == ("saved first", "saved second")
        assert saved.most == 1

    run(main())


def test_one_who_is_cancelled_takes_nothing_from_the_others(run: Run) -> None:
    async def main() -> None:
        save = debounce(Saved(), 0.5)

        async def ask(text: str) -> str:
            return await save(text)

        impatient, patient = spawn(ask("a")), spawn(ask("b"))
        await asyncio.sleep(0.1)
        impatient.cancel()
        assert await patient == "saved b"
        assert impatient.cancelled()

    run(main())


def test_an_error_goes_to_who_awaits_and_else_to_the_log(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        save = debounce(Saved(error=OSError("disk full")), 0.1)
        with pytest.raises(OSError, match="disk full"):
            await save("a")
        assert caplog.text == ""
        save("b")
        await asyncio.sleep(1)
        assert "disk full" in caplog.text

    run(main())


def test_flush_calls_now_and_cancel_forgets(run: Run) -> None:
    async def main() -> None:
        saved = Saved()
        save = debounce(saved, 0.5)
        save.flush()
        save.cancel()
        save("a")
        save.flush()
        await asyncio.sleep(0)
        assert saved.calls == [(0.0, "a")]
        answer = save("b")
        save.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answer
        await asyncio.sleep(1)
        assert len(saved.calls) == 1

    run(main())


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="wait must be 0 or more"):
        debounce(Saved(), -1)
    with pytest.raises(ValueError, match="max_wait must be at least wait"):
        debounce(Saved(), 1, max_wait=0.5)
    with pytest.raises(RuntimeError, match="no running event loop"):
        debounce(Saved(), 1)("a")


def test_order_holds_on_every_loop(run_real: Run) -> None:
    async def main() -> None:
        saved = Saved()
        save = debounce(saved, 0.005)
        save("a")
        assert await save("b") == "saved b"
        assert [text for _, text in saved.calls] == ["b"]

    run_real(main())
