"""Marks on the timeline: parts of a program write them, recordings take them, and neither knows the other.

A source is asked to begin when the first recording begins, and to end when the last one ends; between that
and the next recording it costs nothing. Invariant: a source or a recording that fails is reported to the log,
and nobody else notices.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    Begin = Callable[[], Callable[[], object]]

logger = logging.getLogger("maypole")


class Taker(Protocol):
    """What takes marks: the recording of one loop.

    Attributes:
        loop: the loop that it records.
    """

    loop: asyncio.AbstractEventLoop

    def mark(self, source: str, text: str, /) -> None:
        """Note a mark now; from any thread."""
        ...


_changing = threading.RLock()  # a signal may end a recording while its own thread begins one
_takers: tuple[Taker, ...] = ()
_sources: list[_Source] = []


class _Source:
    """Somebody who writes marks while anybody takes them."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin
        self._end: Callable[[], object] | None = None

    def switch(self, on: bool) -> None:
        try:
            if on and self._end is None:
                self._end = self._begin()
            elif not on and self._end is not None:
                end, self._end = self._end, None
                end()
        except Exception:
            logger.exception("a source of marks failed; the recording goes on without it")


def while_taken(begin: Begin) -> None:
    """Have ``begin()`` called when the first recording begins, now if one runs; what it returns, at the end.

    Args:
        begin: begins to call `write`, and returns the function that ends that.
    """
    source = _Source(begin)
    with _changing:
        _sources.append(source)
        source.switch(bool(_takers))


def take(taker: Taker) -> Callable[[], None]:
    """Let a recording take marks.

    Returns:
        A function that ends it; a second call does nothing.
    """
    global _takers
    with _changing:
        _takers = (*_takers, taker)
        _switch_all()

    def end() -> None:
        global _takers
        with _changing:
            _takers = tuple(one for one in _takers if one is not taker)
            _switch_all()

    return end


def _switch_all() -> None:
    for source in tuple(_sources):
        source.switch(bool(_takers))


def write(source: str, text: str) -> None:
    """Put a mark on the timeline: of the loop that runs in this thread, or of the first that is recorded.

    Args:
        source: who writes it, such as ``"maypole.patterns"``.
        text: what happened. Equal texts are kept once, so leave out numbers that are new each time.
    """
    takers = _takers
    if not takers:
        return
    loop = asyncio._get_running_loop()
    taker = next((one for one in takers if one.loop is loop), takers[0])
    try:
        taker.mark(source, text)
    except Exception:
        logger.exception("a mark was not written: %s", text)
