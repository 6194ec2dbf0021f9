"""Whose code a frame runs, and the frames of what is suspended.

Invariant: nothing here calls code of the program: no `repr`, no property, no method of its objects.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import os
import re
import sysconfig
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import CodeType, FrameType


def innermost_user_frame(frames: Iterable[FrameType]) -> FrameType | None:
    """Return the last frame that is the user's own; without one the last of a library; else None."""
    best: FrameType | None = None
    best_rank = 1
    for frame in frames:
        rank = code_rank(frame.f_code)
        if rank >= best_rank:
            best, best_rank = frame, rank
    return best


def code_rank(code: CodeType) -> int:
    """Say whose code this is: 2 the user's, 1 an installed library's, 0 Python's or ours."""
    return file_rank(code.co_filename)


@functools.lru_cache(maxsize=4096)
def file_rank(file: str) -> int:
    """Say whose file this is, as `code_rank`."""
    if file.startswith("<frozen"):
        return 0
    if not file.startswith("<"):
        file = os.path.abspath(file)
    if file.startswith(_LIBRARIES):
        return 1
    return 0 if file.startswith(_OURS) else 2


def _folders(*names: str) -> tuple[str, ...]:
    return tuple({os.path.abspath(sysconfig.get_path(name)) + os.sep for name in names})


_LIBRARIES = _folders("purelib", "platlib")
_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_ASYNCIO = os.path.dirname(os.path.dirname(os.path.abspath(asyncio.__file__))) + os.sep
_OURS = (*_folders("stdlib", "platstdlib"), _PACKAGE, _ASYNCIO)


# Awaitables that stand between two coroutines and hide the inner one from cr_await; the garbage collector
# sees through them.
_WRAPPERS = ("async_generator_asend", "async_generator_athrow", "coroutine_wrapper", "anext_awaitable")


def awaited(awaitable: object) -> Iterator[tuple[object, FrameType | None]]:
    """Yield a suspended awaitable and what it awaits, each with its frame if it has one, outermost first.

    The last is what cannot be looked into: a future, a native operation.
    """
    while awaitable is not None:
        frame: FrameType | None = None
        inner: object = None
        if inspect.iscoroutine(awaitable):
            frame, inner = awaitable.cr_frame, awaitable.cr_await
        elif inspect.isgenerator(awaitable):
            frame, inner = awaitable.gi_frame, awaitable.gi_yieldfrom
        elif inspect.isasyncgen(awaitable):
            frame, inner = awaitable.ag_frame, awaitable.ag_await
        elif type(awaitable).__name__ in _WRAPPERS:
            inner = next(iter(gc.get_referents(awaitable)), None)
        yield awaitable, frame
        awaitable = inner


def awaiting_frames(awaitable: object) -> Iterator[FrameType]:
    """Yield the frames of a suspended coroutine and of what it awaits, outermost first."""
    return (frame for _, frame in awaited(awaitable) if frame is not None)


def shown(file: str) -> str:
    """Shorten a file below the working folder to its relative path."""
    if file.startswith("<"):
        return file
    try:
        here = os.getcwd() + os.sep
    except OSError:  # the folder was removed
        return file
    return file.removeprefix(here)


def shortest(file: str) -> str:
    """Shorten a file as `shown` does, and those of Python and of libraries to what follows their folder."""
    for folder in (*_LIBRARIES, *_OURS):
        if file.startswith(folder) and folder != _PACKAGE:
            return file.removeprefix(folder)
    return shown(file)


def in_order_of_numbers(name: str) -> list[str | int]:
    """Return a key by which Task-2 comes before Task-10."""
    # Text and numbers alternate, beginning with text: two names always compare part by part.
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
