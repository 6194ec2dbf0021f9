"""The numbers of patterns, read back by Prometheus' own parser and OpenTelemetry's own SDK."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable
from typing import Any

import pytest
from maypole.metrics.pattern_series import KINDS, PATTERN_SERIES
from maypole.metrics.watched import WatchedPatterns
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
    Periodic,
    Policy,
    Pool,
    Processes,
    RateLimit,
    RedisRateLimit,
    RetryBudget,
    RWLock,
    SingleFlight,
    TaskScope,
    ValueEvent,
    channel,
    debounce,
)
from maypole.patterns.supervisor import Supervisor
from maypole.testing import run_virtual


class NoRedis:
    """Stands for a client: nothing is asked of it here."""

    def register_script(self, text: str) -> Any:
        return None


async def nothing(*_: Any) -> None:
    """A function of a pattern."""


async def all_kinds() -> list[Any]:
    """One of each pattern that has numbers."""
    send, _ = channel[int](1, name="one")
    client: Any = NoRedis()
    return [
        RateLimit(1, name="one"),
        RedisRateLimit(client, "key", 1, name="one"),
        Bulkhead(1, name="one"),
        Adaptive(target=0.1, name="one"),
        CircuitBreaker("one"),
        LoadShedder(name="one"),
        RetryBudget(name="one"),
        Keyed(lambda key: RateLimit(1), name="one"),
        send,
        Pool(nothing, nothing, max_size=1, name="one"),
        KeyedLock(name="one"),
        RWLock(name="one"),
        TaskScope(name="one"),
        Background(name="one"),
        Supervisor(nothing, name="one"),
        Periodic(nothing, 1, name="one"),
        SingleFlight(name="one"),
        debounce(nothing, 1, name="one"),
        Hedge(after=1, name="one"),
        Latch(1, name="one"),
        ValueEvent(name="one"),
        Processes(1, name="one"),
    ]


def test_every_kind_has_the_fields_that_are_exported_of_it() -> None:
    async def main() -> None:
        patterns = await all_kinds()
        described = {one.describe()["kind"]: one.describe() for one in patterns}
        assert set(described) == KINDS
        for series in PATTERN_SERIES:
            for kind in series.fields:
                value = series.value(described[kind])
                assert value is None or isinstance(value[1], float), (series.name, kind)

    run_virtual(main(), loop="asyncio")


class Exported:
    """What one library says of patterns: a number for each series, kind, name and state."""

    def __init__(self, watched: WatchedPatterns, read: Callable[[], dict[tuple[str, ...], float]]) -> None:
        self.watched = watched
        self.read = read


def by_prometheus() -> Exported:
    client = pytest.importorskip("prometheus_client")
    from maypole.metrics.prometheus import PatternCollector
    from prometheus_client.openmetrics import exposition, parser
    from prometheus_client.parser import text_string_to_metric_families as parse

    registry = client.CollectorRegistry(auto_describe=True)

    def read() -> dict[tuple[str, ...], float]:
        strict: Any = parser.text_string_to_metric_families(
            exposition.generate_latest(registry).decode()  # type: ignore[no-untyped-call]
        )
        names = {family.name for family in strict}
        samples: dict[tuple[str, ...], float] = {}
        for family in parse(client.generate_latest(registry).decode()):
            assert family.name in names
            assert family.documentation.endswith(".")
            for sample in family.samples:
                assert sample.name.startswith("maypole_pattern_")
                assert sample.name.endswith("_total") == (family.type == "counter")
                name = sample.name.removeprefix("maypole_pattern_").removesuffix("_total")
                samples[name.removesuffix("_seconds"), *sample.labels.values()] = sample.value
        return samples

    return Exported(PatternCollector(registry=registry), read)


def by_opentelemetry() -> Exported:
    pytest.importorskip("opentelemetry.sdk")
    from maypole.metrics import opentelemetry as bridge
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader

    reader = InMemoryMetricReader()
    instruments = bridge.PatternInstruments(meter=MeterProvider([reader]).get_meter("tests"))
    known = {series.name: series for series in PATTERN_SERIES}

    def read() -> dict[tuple[str, ...], float]:
        instruments._asked_s = -1e9  # a collection of its own, however soon it comes
        samples: dict[tuple[str, ...], float] = {}
        data: Any = reader.get_metrics_data()
        for metric in data.resource_metrics[0].scope_metrics[0].metrics if data else ():
            series = known[metric.name.removeprefix("maypole.pattern.")]
            assert metric.unit == {"seconds": "s", "": "1"}[series.unit]
            assert getattr(metric.data, "is_monotonic", False) == series.counts
            for point in metric.data.data_points:
                samples[series.name, *map(str, point.attributes.values())] = point.value
        return samples

    return Exported(instruments, read)


@pytest.fixture(params=[by_prometheus, by_opentelemetry])
def exported(request: pytest.FixtureRequest) -> Exported:
    found: Exported = request.param()
    return found


def test_the_numbers_are_those_of_the_stats(exported: Exported) -> None:
    async def main() -> None:
        limit, places = RateLimit("10/s", name="api"), Bulkhead(2, name="places")
        exported.watched.add(limit)
        exported.watched.add(places)
        for _ in range(3):
            await limit.acquire()
        assert not limit.try_acquire()
        async with places:
            found = exported.read()
        api, kept = ("rate_limit", "api"), ("bulkhead", "places")
        assert found["granted", *api] == 3
        assert found["rejected", *api] == 1
        assert found["waited", *api] == 2
        assert found["wait", *api] == pytest.approx(0.2)
        assert found["in_use", *kept] == 1
        assert found["limit", *kept] == 2
        assert ("limit", *api) not in found
        assert ("state", *api) not in found

    run_virtual(main(), loop="asyncio")


def test_the_state_of_a_breaker_is_a_label(exported: Exported) -> None:
    breaker = CircuitBreaker("db", consecutive=1)
    exported.watched.add(breaker)
    assert exported.read()["state", "breaker", "db", "closed"] == 1
    breaker.force_open()
    found = exported.read()
    assert found["state", "breaker", "db", "forced_open"] == 1
    assert ("state", "breaker", "db", "closed") not in found
    assert ("retry_after", "breaker", "db") not in found  # only a hand can tell


def test_milliseconds_become_seconds(exported: Exported) -> None:
    async def main() -> None:
        pool = Pool(lambda: object(), lambda item: None, max_size=1, name="db")
        exported.watched.add(pool)
        async with pool, pool.acquire():
            await asyncio.sleep(2.5)
        assert exported.read()["usage", "pool", "db"] == pytest.approx(2.5)

    run_virtual(main(), loop="asyncio")


def test_all_parts_of_a_policy_are_exported(exported: Exported) -> None:
    policy = Policy(breaker=CircuitBreaker("db"), bulkhead=Bulkhead(2), attempt_timeout=1, name="orders")
    exported.watched.add(policy)
    found = exported.read()
    assert ("granted", "breaker", "db") in found
    assert ("granted", "bulkhead", "orders") in found  # it has no name of its own


def test_a_pattern_that_is_gone_is_left_out_and_its_name_is_free(exported: Exported) -> None:
    limit = RateLimit(1, name="api")
    exported.watched.add(limit)
    exported.watched.add(limit)  # it is known: nothing happens
    other = RateLimit(1, name="api")
    with pytest.raises(ValueError, match="another rate_limit is exported as 'api'"):
        exported.watched.add(other)
    del limit
    gc.collect()
    assert not exported.read()
    exported.watched.add(other)
    assert ("granted", "rate_limit", "api") in exported.read()
    exported.watched.remove(other)
    assert not exported.read()
    with pytest.raises(KeyError):
        exported.watched.remove(other)


def test_what_has_no_name_or_no_numbers_is_refused(exported: Exported) -> None:
    nameless = RateLimit(1)
    with pytest.raises(ValueError, match="this rate_limit has no name"):
        exported.watched.add(nameless)
    exported.watched.add(nameless, "api")
    with pytest.raises(ValueError, match="a lifespan has no numbers to export"):
        exported.watched.add(Lifespan())
    wrong: Any = object()
    with pytest.raises(TypeError, match="a object does not describe itself as a pattern"):
        exported.watched.add(wrong)


def test_a_pattern_that_fails_is_left_out_and_logged(
    exported: Exported, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Bulkhead):
        broken = False

        def describe(self) -> dict[str, Any]:
            if self.broken:
                raise RuntimeError("broken")
            return super().describe()

    places, limit = Broken(1, name="places"), RateLimit(1, name="api")
    exported.watched.add(places)
    exported.watched.add(limit)
    places.broken = True
    with caplog.at_level(logging.ERROR, "maypole"):
        found = exported.read()
    assert {key[1] for key in found} == {"rate_limit"}
    assert "the bulkhead 'places' does not describe itself" in caplog.text
