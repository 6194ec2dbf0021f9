"""`remove_done_callback` compares, which may run any code: what that code does to the future is kept."""

from __future__ import annotations

import asyncio

from harness.kinds import Loop, run_once


class Meddling:
    """A callback whose comparison does something to the future first."""

    def __init__(self, meddle: object) -> None:
        self.meddle = meddle

    def __call__(self, future: asyncio.Future[None]) -> None:
        """Do nothing."""

    def __eq__(self, other: object) -> bool:
        meddle, self.meddle = self.meddle, None
        if callable(meddle):
            meddle()
        return isinstance(other, Meddling)

    __hash__ = None  # type: ignore[assignment]


def test_a_callback_added_during_a_comparison_is_called(loop: Loop) -> None:
    future: asyncio.Future[None] = loop.create_future()
    called: list[asyncio.Future[None]] = []
    future.add_done_callback(Meddling(lambda: future.add_done_callback(called.append)))
    assert future.remove_done_callback(Meddling(None)) == 1
    future.set_result(None)
    run_once(loop)
    assert called == [future]


def test_nobody_is_told_twice_when_a_comparison_finishes_the_future(loop: Loop) -> None:
    future: asyncio.Future[None] = loop.create_future()
    called: list[asyncio.Future[None]] = []
    future.add_done_callback(Meddling(lambda: future.set_result(None)))
    future.add_done_callback(called.append)
    future.remove_done_callback(Meddling(None))
    run_once(loop)
    run_once(loop)
    assert called == [future]
