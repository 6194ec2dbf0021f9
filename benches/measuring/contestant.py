"""Who is measured: an event loop's factory, or a floor server."""

from __future__ import annotations

import asyncio
import importlib
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

#: Loops that have a short name. `maypole+native` is maypole's loop with its own helpers instead of asyncio's.
KNOWN = {
    "asyncio": "asyncio:SelectorEventLoop",
    "uvloop": "uvloop:new_event_loop",
    "rloop": "rloop:new_event_loop",
    "maypole": "maypole:new_event_loop",
    "maypole+native": "maypole:new_event_loop",
}
FLOORS = ("floor-epoll", "floor-tokio")
AGAIN = " again"


@dataclass(frozen=True)
class Contestant:
    """One column of the report.

    Args:
        name: shown in the report.
        factory: `module:callable`; empty for a floor server.
        native: the module whose native helpers stand before asyncio's, or empty.
    """

    name: str
    factory: str = ""
    native: str = ""

    @property
    def is_floor(self) -> bool:
        """Whether this is a server without Python."""
        return not self.factory


class ContestantError(Exception):
    """A loop that cannot be had; the message says why."""


def parse(text: str) -> Contestant:
    """Reads `uvloop`, `package.module:factory` or `name=package.module:factory`.

    Raises:
        ContestantError: the text has none of these forms.

    >>> parse("mine=my.loops:fast_loop")
    Contestant(name='mine', factory='my.loops:fast_loop', native='')
    >>> parse("nobody")
    Traceback (most recent call last):
    measuring.contestant.ContestantError: unknown loop 'nobody': use asyncio, uvloop, ... or module:factory
    """
    name, _, factory = text.rpartition("=")
    factory = KNOWN.get(factory, factory)
    if factory.count(":") != 1:
        raise ContestantError(f"unknown loop {text!r}: use asyncio, uvloop, ... or module:factory")
    name = name or text
    return Contestant(name, factory, "maypole" if name == "maypole+native" else "")


def again(contestant: Contestant) -> Contestant:
    """The same loop under a second name: what it differs from itself is noise."""
    return Contestant(contestant.name + AGAIN, contestant.factory, contestant.native)


def load_factory(factory: str) -> Callable[[], asyncio.AbstractEventLoop]:
    """Imports the callable that makes loops.

    Raises:
        ContestantError: the module or the name is missing.
    """
    module_name, _, attribute = factory.partition(":")
    try:
        found: Callable[[], asyncio.AbstractEventLoop] = getattr(
            importlib.import_module(module_name), attribute
        )
    except ModuleNotFoundError as error:
        if error.name and module_name.startswith(error.name):
            raise ContestantError(f"{error.name} is not installed") from error
        raise ContestantError(f"cannot import {module_name}: {error}") from error
    except AttributeError as error:
        raise ContestantError(f"{module_name} has no {attribute}") from error
    return found


class Layered:
    """asyncio's names, with another module's version first where it has one."""

    def __init__(self, first: ModuleType, names: frozenset[str]) -> None:
        self._first = first
        self._names = names

    def __getattr__(self, name: str) -> object:
        chosen = self._first if name in self._names and hasattr(self._first, name) else asyncio
        return getattr(chosen, name)


def native_names(module: str, names: frozenset[str]) -> frozenset[str]:
    """Those of `names` that `module` offers itself."""
    imported = importlib.import_module(module)
    return frozenset(name for name in names if hasattr(imported, name))


def version_of(factory: str) -> str:
    """The version of the package a loop comes from, or an empty string."""
    package = factory.partition(":")[0].partition(".")[0]
    try:
        return metadata.version(package) + how_built(package)
    except metadata.PackageNotFoundError:
        return str(getattr(importlib.import_module(package), "__version__", "")) + how_built(package)


def how_built(package: str) -> str:
    """A remark on the build, where the package says more than its version."""
    if package == "maypole" and importlib.import_module("maypole._maypole").build_info()["trained"]:
        return " (trained)"
    return ""
