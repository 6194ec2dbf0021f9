"""Asynchronous generators: finalised by the loop, closed by ``shutdown_asyncgens``."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator

import pytest
from harness.kinds import Loop, run_once
from harness.outcome import SameAsAsyncio


async def numbers(seen: list[str]) -> AsyncIterator[int]:
    """Counts, and says when it is closed."""
    try:
        for number in range(10):
            yield number
    finally:
        await asyncio.sleep(0)
        seen.append("closed")


@pytest.mark.debug
def test_a_generator_that_is_given_up_is_closed_by_the_loop(loop: Loop) -> None:
    seen: list[str] = []

    async def main() -> None:
        async for number in numbers(seen):
            if number == 2:
                break
        gc.collect()
        for _ in range(3):
            await asyncio.sleep(0)
        assert seen == ["closed"]

    loop.run_until_complete(main())


@pytest.mark.debug
def test_shutdown_asyncgens_closes_those_that_are_open(loop: Loop) -> None:
    seen: list[str] = []
    kept = [numbers(seen) for _ in range(3)]

    async def main() -> None:
        for generator in kept:
            await anext(generator)

    loop.run_until_complete(main())
    assert seen == []
    loop.run_until_complete(loop.shutdown_asyncgens())
    assert seen == ["closed"] * 3


def test_the_hooks_are_those_of_the_thread_again_after_the_run(loop: Loop) -> None:
    before = sys.get_asyncgen_hooks()
    inside: list[object] = []
    loop.call_soon(lambda: inside.append(sys.get_asyncgen_hooks()))
    run_once(loop)
    assert inside != [before]
    assert sys.get_asyncgen_hooks() == before


def test_a_generator_first_used_after_the_shutdown_is_warned_about(loop: Loop) -> None:
    async def use_one() -> None:
        async for _ in numbers([]):
            break

    async def main() -> None:
        await loop.shutdown_asyncgens()
        with pytest.warns(ResourceWarning, match="was scheduled after loop.shutdown_asyncgens"):
            await use_one()
        gc.collect()
        for _ in range(3):
            await asyncio.sleep(0)

    loop.run_until_complete(main())


def test_a_generator_whose_closing_fails_is_reported_as_in_asyncio(same_as_asyncio: SameAsAsyncio) -> None:
    async def broken() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            raise ValueError("while closing")

    def scenario(loop: Loop) -> list[str]:
        contexts: list[str] = []

        def note(_: Loop, context: dict[str, object]) -> None:
            contexts.append(f"{str(context['message']).partition(' <')[0]} {context['exception']!r}")

        loop.set_exception_handler(note)
        generator = broken()

        async def main() -> int:
            return await anext(generator)

        loop.run_until_complete(main())
        loop.run_until_complete(loop.shutdown_asyncgens())
        return contexts

    same_as_asyncio(scenario)
