"""What patterns are given, looked at when they are made: not first when something fails in the night."""

from __future__ import annotations

from math import isfinite
from typing import Any, TypeVar

E = TypeVar("E", bound=BaseException)
F = TypeVar("F")

WHOLE_MAX = 2**31 - 1


def whole(what: str, given: Any, least: int, most: int = WHOLE_MAX) -> int:
    """Return a whole number.

    Raises:
        TypeError: it is none.
        ValueError: it is out of bounds.

    >>> whole("probes", 3, least=1)
    3
    """
    if not isinstance(given, int):
        raise TypeError(f"{what} must be a whole number, got {given!r}")
    if given < least:
        raise ValueError(f"{what} must be {least} or more, got {given!r}")
    if given > most:
        raise ValueError(f"{what} must be {most:,} at most, got {given!r}")
    return given


def whole_or_none(what: str, given: Any, least: int) -> int | None:
    """Return a whole number or None, which is no bound."""
    return None if given is None else whole(what, given, least)


def function(what: str, given: F) -> F:
    """Return what can be called.

    Raises:
        TypeError: it cannot.
    """
    if not callable(given):
        raise TypeError(f"{what} must be a function, got {given!r}")
    return given


def function_or_none(what: str, given: F) -> F:
    """Return what can be called, or None."""
    return given if given is None else function(what, given)


def exceptions(what: str, given: tuple[type[E], ...]) -> tuple[type[E], ...]:
    """Return a tuple of exceptions.

    Raises:
        TypeError: it is something else, such as one exception without its tuple.

    >>> exceptions("failures", OSError)  # type: ignore[arg-type]
    Traceback (most recent call last):
    TypeError: failures must be a tuple of exceptions, got <class 'OSError'>
    """
    kinds: Any = given
    if not isinstance(kinds, tuple) or not all(
        isinstance(one, type) and issubclass(one, BaseException) for one in kinds
    ):
        raise TypeError(f"{what} must be a tuple of exceptions, got {given!r}")
    return given


def seconds_or_none(what: str, given: Any, *, zero: bool = False) -> float | None:
    """Return a time that is finite and above 0, or None.

    Args:
        what: how it is called.
        given: what was given.
        zero: whether it may be 0.

    Raises:
        TypeError: it is no number.
        ValueError: it is negative, 0, infinite, or not a number.
    """
    if given is None:
        return None
    if not isinstance(given, int | float):
        raise TypeError(f"{what} must be a number of seconds, got {given!r}")
    if not isfinite(given) or given < 0 or (given == 0 and not zero):
        raise ValueError(f"{what} must be {'0 or more' if zero else 'above 0'} seconds, got {given!r}")
    return float(given)


def able(what: str, given: F, verb: str) -> F:
    """Return a pattern, or None, that has this verb.

    Raises:
        TypeError: it is something else.
    """
    if given is not None and not callable(getattr(given, verb, None)):
        raise TypeError(f"{what} must have {verb}(), got {given!r}")
    return given
