"""What all patterns have in common: stats, describe, listeners, a live repr."""

from __future__ import annotations

import dataclasses
import inspect
import json
from typing import Any

import maypole.patterns
import pytest
from maypole.patterns import (
    Adaptive,
    Background,
    Bulkhead,
    CircuitBreaker,
    Hedge,
    Keyed,
    KeyedLock,
    Latch,
    Lifespan,
    LoadShedder,
    Pool,
    Processes,
    RateLimit,
    RetryBudget,
    RWLock,
    SingleFlight,
    TaskScope,
    ValueEvent,
    channel,
    debounce,
)
from maypole.patterns.events import Listeners
from maypole.patterns.periodic import Periodic
from maypole.patterns.supervisor import Supervisor


async def nothing() -> None:
    """Something to call."""


MADE: dict[str, Any] = {
    "Adaptive": lambda: Adaptive(target=1, name="x"),
    "Background": lambda: Background(name="x"),
    "Bulkhead": lambda: Bulkhead(1, name="x"),
    "CircuitBreaker": lambda: CircuitBreaker("x"),
    "Debounced": lambda: debounce(nothing, 1, name="x"),
    "Hedge": lambda: Hedge(1, name="x"),
    "Keyed": lambda: Keyed(lambda _: RateLimit(1), name="x"),
    "KeyedLock": lambda: KeyedLock(name="x"),
    "Latch": lambda: Latch(1, name="x"),
    "Lifespan": lambda: Lifespan(name="x"),
    "LoadShedder": lambda: LoadShedder(name="x"),
    "Periodic": lambda: Periodic(nothing, 1, name="x"),
    "Pool": lambda: Pool(object, lambda _: None, max_size=1, name="x"),
    "Processes": lambda: Processes(1, name="x"),
    "RateLimit": lambda: RateLimit(1, name="x"),
    "RetryBudget": lambda: RetryBudget(name="x"),
    "RWLock": lambda: RWLock(name="x"),
    "Receiver": lambda: channel[int](1, name="x")[1],
    "Sender": lambda: channel[int](1, name="x")[0],
    "SingleFlight": lambda: SingleFlight(name="x"),
    "Supervisor": lambda: Supervisor(nothing, name="x"),
    "TaskScope": lambda: TaskScope(name="x"),
    "ValueEvent": lambda: ValueEvent(name="x"),
}
ELSEWHERE = {
    "Pipeline": "its runs are told by PipelineReport; test_pipeline.py",
    "RedisBreaker": "needs a store; test_redis_breaker.py",
    "RedisRateLimit": "needs a store; test_redis_limit.py",
    "Stream": "a run of a pipeline; test_pipeline.py",
    "channel": "makes a Sender and a Receiver, which are here",
}


def listening() -> set[str]:
    """The public classes that take a listener."""
    found = set()
    for name in maypole.patterns.__all__:
        value = getattr(maypole.patterns, name)
        is_pattern = inspect.isclass(value) and not issubclass(value, Exception)
        if is_pattern and "on_event" in inspect.signature(value).parameters:
            found.add(name)
    return found


def test_every_class_that_tells_events_is_looked_at_here() -> None:
    assert {"RateLimit", "Pool"} < listening() <= MADE.keys() | ELSEWHERE.keys()


@pytest.mark.parametrize("name", MADE)
def test_stats_are_frozen_and_described_with_name_and_kind(name: str) -> None:
    pattern = MADE[name]()
    stats, described = pattern.stats(), pattern.describe()
    assert stats.name == described["name"] == "x"
    with pytest.raises(dataclasses.FrozenInstanceError):
        stats.name = "y"
    assert described["kind"]
    assert {field.name for field in dataclasses.fields(stats)} <= described.keys()
    json.dumps(described, default=str)
    assert repr(pattern).startswith("<")
    assert "object at 0x" not in repr(pattern).replace(repr(nothing), "")


@pytest.mark.parametrize("name", sorted(MADE.keys() - {"Receiver", "Sender", "Background", "TaskScope"}))
def test_another_listener_can_be_added_and_taken_away(name: str) -> None:
    pattern = MADE[name]()
    heard: list[str] = []
    assert isinstance(pattern.events, Listeners)
    end = pattern.events.add(lambda event: heard.append(event.what))
    pattern.events.tell("something", 1.0)
    end()
    pattern.events.tell("something else", 2.0)
    assert heard == ["something"]
