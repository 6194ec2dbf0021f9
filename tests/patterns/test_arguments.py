"""What makes no sense is refused when a pattern is made, by its name, not when something fails later."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from typing import Any

import pytest
from maypole.patterns import (
    Adaptive,
    Background,
    Bulkhead,
    CircuitBreaker,
    Count,
    Debounced,
    Hedge,
    Keyed,
    KeyedLock,
    Latch,
    Periodic,
    Policy,
    Pool,
    Processes,
    RateLimit,
    Retry,
    RWLock,
    SingleFlight,
    TaskScope,
    Threads,
    Time,
    channel,
    subscribe,
)
from maypole.patterns.supervisor import Supervisor

Make = Callable[..., Any]


async def nothing(*_: Any) -> None:
    """A function of a pattern."""


def breaker(**settings: Any) -> CircuitBreaker:
    return CircuitBreaker("db", **settings)


def pool(**settings: Any) -> Pool[Any]:
    usual: dict[str, Any] = {"create": nothing, "close": nothing, "max_size": 1}
    return Pool(**(usual | settings))


def limit(**settings: Any) -> RateLimit:
    return RateLimit(1, **settings)


def bulkhead(**settings: Any) -> Bulkhead:
    usual: dict[str, Any] = {"limit": 1}
    return Bulkhead(**(usual | settings))


def adaptive(**settings: Any) -> Adaptive:
    return Adaptive(target=1, **settings)


WHOLE: list[tuple[Make, str, int]] = [
    (breaker, "min_calls", 1),
    (breaker, "consecutive", 1),
    (breaker, "probes", 1),
    (breaker, "max_concurrent_probes", 1),
    (adaptive, "min", 1),
    (adaptive, "max", 1),
    (adaptive, "initial", 1),
    (adaptive, "min_samples", 1),
    (bulkhead, "limit", 1),
    (bulkhead, "max_waiting", 0),
    (limit, "max_waiting", 0),
    (pool, "max_waiting", 0),
    (KeyedLock, "max_waiting", 0),
    (RWLock, "max_waiting", 0),
]


@pytest.mark.parametrize(("make", "name", "least"), WHOLE)
def test_a_whole_number_has_bounds(make: Make, name: str, least: int) -> None:
    wrong: Any
    for wrong in (least - 1, -(2**70)):
        with pytest.raises(ValueError, match=f"{name} must be {least} or more, got {wrong}"):
            make(**{name: wrong})
    with pytest.raises(ValueError, match=f"{name} must be 2,147,483,647 at most, got {2**64}"):
        make(**{name: 2**64})
    for wrong in (1.5, nan, "3", [3]):
        with pytest.raises(TypeError, match=f"{name} must be a whole number"):
            make(**{name: wrong})
    make(**{name: max(least, 20) if make is adaptive else max(least, 1)})


TIMES: list[tuple[Make, str]] = [
    (bulkhead, "timeout"),
    (pool, "timeout"),
    (pool, "leak_after"),
    (Threads, "grace"),
    (Processes, "grace"),
]


@pytest.mark.parametrize(("make", "name"), TIMES)
def test_a_time_is_finite_and_not_negative(make: Make, name: str) -> None:
    for wrong in (-1, nan, inf, -inf):
        with pytest.raises(ValueError, match=f"{name} must be .* seconds, got {wrong}"):
            make(**{name: wrong})
    with pytest.raises(TypeError, match=f"{name} must be a number of seconds"):
        make(**{name: "1 s"})


FUNCTIONS: list[tuple[Make, str]] = [
    *((make, "on_event") for make in (breaker, limit, bulkhead, adaptive, pool, KeyedLock, RWLock)),
    *((make, "on_event") for make in (Background, TaskScope, SingleFlight, channel)),
    (lambda **more: Latch(1, **more), "on_event"),
    (breaker, "is_failure"),
    (pool, "create"),
    (pool, "close"),
    (pool, "check"),
    (pool, "is_broken"),
    (Background, "on_error"),
    (channel, "on_drop"),
    (lambda make: Keyed(make), "make"),
    (lambda fn: Periodic(fn, 1), "fn"),
    (lambda fn: Supervisor(fn), "fn"),
    (lambda fn: Debounced(fn, 1, None), "fn"),
    (Policy, "fallback"),
    (Policy, "retry"),
]


@pytest.mark.parametrize(("make", "name"), FUNCTIONS)
def test_what_is_called_later_can_be_called(make: Make, name: str) -> None:
    wrongs: list[Any] = ["x", 3, []]
    for wrong in wrongs:
        with pytest.raises(TypeError, match=f"{name} must be a function, got"):
            make(**{name: wrong})


EXCEPTIONS: list[tuple[Make, str]] = [
    (breaker, "failures"),
    (breaker, "ignore"),
    (pool, "discard_on"),
    (adaptive, "overload"),
    (Retry, "on"),
    (lambda failures: Supervisor(nothing, failures=failures), "failures"),
]


@pytest.mark.parametrize(("make", "name"), EXCEPTIONS)
def test_exceptions_come_in_a_tuple(make: Make, name: str) -> None:
    for wrong in (OSError, [OSError], (OSError(),), ("OSError",), None, "x"):
        with pytest.raises(TypeError, match=f"{name} must be a tuple of exceptions, got"):
            make(**{name: wrong})
    make(**{name: (OSError, ValueError)})


@pytest.mark.parametrize("wrong", [60, "60 s", None, (60,)])
def test_the_window_of_a_breaker_says_what_it_counts(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"window must be Count\(calls\) or Time\(seconds\), got"):
        breaker(window=wrong)


def test_a_window_has_calls_or_time() -> None:
    with pytest.raises(ValueError, match="the calls of a window must be 1 or more"):
        breaker(window=Count(-1))
    with pytest.raises(ValueError, match="window must be"):
        breaker(window=Time(-1))


def test_the_parts_of_a_policy_are_patterns() -> None:
    wrong: Any
    parts: list[tuple[str, Any]] = [("breaker", "db"), ("rate", "10/s"), ("bulkhead", 5), ("budget", 0.1)]
    for name, wrong in parts:
        with pytest.raises(TypeError, match=f"{name} must have "):
            Policy(**{name: wrong})
    wrong = 0.1
    with pytest.raises(TypeError, match=r"budget must have try_acquire\(\), got 0.1"):
        Hedge(after=1, budget=wrong)


def test_a_subscriber_can_be_called() -> None:
    wrong: Any = "print"
    with pytest.raises(TypeError, match="a listener must be a function, got 'print'"):
        subscribe(wrong)
