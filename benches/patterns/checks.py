"""The failures that are looked for: each is a question, and a function per library that finds the answer.

A check returns an `Answer`: whether the library passes, and what was seen. It runs in a process of its own,
so that patched clocks, warnings and hanging tasks meet nobody else.
"""

from __future__ import annotations

import asyncio
import datetime
import importlib.metadata
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

STEP_S = 0.05
"""The unit of the waits. Libraries that count in whole seconds get one second."""


@dataclass(frozen=True)
class Answer:
    """What was seen.

    Args:
        passes: whether it is what a caller must be able to rely on; None where the library does not show it.
        seen: in a few words.
    """

    passes: bool | None
    seen: str


@dataclass(frozen=True)
class Check:
    """One failure looked for in one library.

    Args:
        failure: the name of the failure.
        library: the distribution.
        run: finds the answer.
    """

    failure: str
    library: str
    run: Callable[[], Awaitable[Answer]]


FAILURES: dict[str, str] = {}
CHECKS: list[Check] = []


def failure(name: str, question: str) -> str:
    """Name a failure; the question is what a library must say yes to."""
    FAILURES[name] = question
    return name


def check(name: str, library: str) -> Callable[[Callable[[], Awaitable[Answer]]], None]:
    """Register a function as the check of one library for one failure."""

    def register(run: Callable[[], Awaitable[Answer]]) -> None:
        CHECKS.append(Check(name, library, run))

    return register


def version(library: str) -> str | None:
    """The installed version, or None."""
    if library == "asyncio":
        return f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return own_version() if library == "maypole" else None


def own_version() -> str:
    """The version of the package that is imported, installed or not."""
    import maypole

    return str(getattr(maypole, "__version__", "this tree"))


async def cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks and wait for them."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def jump_the_wall_clock(package: str, seconds: float) -> None:
    """Set the wall clock of a library that is imported ahead, wherever it has put it."""
    real_time, real_datetime = time.time, datetime.datetime

    class Ahead(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return real_datetime.now(tz) + datetime.timedelta(seconds=seconds)

        @classmethod
        def utcnow(cls) -> Any:
            return real_datetime.now(datetime.UTC).replace(tzinfo=None) + datetime.timedelta(seconds=seconds)

    def ahead() -> float:
        return real_time() + seconds

    time.time = ahead
    datetime.datetime = Ahead  # type: ignore[misc]
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != package:
            continue
        for attribute, value in list(vars(module).items()):
            if value is real_time:
                setattr(module, attribute, ahead)
            elif value is real_datetime:
                setattr(module, attribute, Ahead)
