"""The instruments, read back through OpenTelemetry's own SDK."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import maypole
import pytest
from maypole.metrics import opentelemetry as bridge

pytest.importorskip("opentelemetry.sdk")
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader


class Collected:
    """A reader, and what it collects by name."""

    def __init__(self) -> None:
        self.reader = InMemoryMetricReader()
        self.provider = MeterProvider([self.reader])
        self.meter = self.provider.get_meter("tests")

    def metrics(self) -> dict[str, Any]:
        data: Any = self.reader.get_metrics_data()
        if data is None:
            return {}
        [scope] = data.resource_metrics[0].scope_metrics
        return {metric.name: metric for metric in scope.metrics}

    def points(self, name: str) -> list[Any]:
        return list(self.metrics()[name].data.data_points)


@pytest.fixture
def collected() -> Iterator[Collected]:
    found = Collected()
    yield found
    found.provider.shutdown()


def test_names_units_and_kinds(collected: Collected) -> None:
    async def main() -> dict[str, Any]:
        bridge.LoopInstruments(meter=collected.meter)
        for _ in range(100):
            await asyncio.sleep(0)
        return collected.metrics()

    found = maypole.run(main())
    assert all(name.startswith("maypole.loop.") for name in found)
    assert (found["maypole.loop.busy"].unit, found["maypole.loop.read"].unit) == ("s", "By")
    assert found["maypole.loop.tasks.alive"].unit == "1"
    busy: Any = found["maypole.loop.busy"].data
    assert (busy.is_monotonic, busy.aggregation_temporality.name) == (True, "CUMULATIVE")
    assert not hasattr(found["maypole.loop.ready"].data, "is_monotonic")


def test_the_numbers_are_those_of_the_snapshot(collected: Collected) -> None:
    async def main() -> None:
        bridge.LoopInstruments(meter=collected.meter, name="api")
        await asyncio.gather(*(asyncio.sleep(0) for _ in range(5)))
        expected = maypole.metrics()
        found = collected.metrics()
        [created] = found["maypole.loop.tasks.created"].data.data_points
        assert created.value == expected.tasks.created
        assert dict(created.attributes) == {"maypole.loop.name": "api"}
        ended = {
            point.attributes["outcome"]: point.value
            for point in found["maypole.loop.tasks.ended"].data.data_points
        }
        assert ended == {"returned": 5, "raised": 0, "cancelled": 0, "destroyed": 0}

    maypole.run(main())


def test_quantiles_are_of_the_interval_and_left_out_when_too_few_values_tell(collected: Collected) -> None:
    async def main() -> tuple[dict[str, float], list[Any], float]:
        bridge.LoopInstruments(meter=collected.meter)
        for _ in range(500):
            await asyncio.sleep(0)
        first = {
            point.attributes["quantile"]: point.value
            for point in collected.points("maypole.loop.ready_depth")
        }
        await asyncio.sleep(bridge.SAME_COLLECTION_S * 2)
        second = collected.metrics()
        [utilization] = second["maypole.loop.utilization"].data.data_points
        depth = second.get("maypole.loop.ready_depth")
        return first, list(depth.data.data_points) if depth else [], utilization.value

    first, second, utilization = maypole.run(main())
    assert first == {"0.5": 1.0, "0.9": 1.0}
    assert second == []
    assert 0 <= utilization < 0.9


def test_one_collection_sees_one_moment(collected: Collected) -> None:
    async def main() -> None:
        instruments = bridge.LoopInstruments(meter=collected.meter)
        taken = 0
        snapshots = instruments.snapshots

        def counted() -> Any:
            nonlocal taken
            taken += 1
            return snapshots()

        instruments.snapshots = counted  # type: ignore[method-assign]
        collected.metrics()
        assert taken == 1
        await asyncio.sleep(bridge.SAME_COLLECTION_S * 2)
        collected.metrics()
        assert taken == 2

    maypole.run(main())


def test_a_closed_loop_is_left_out(collected: Collected) -> None:
    first, second = maypole.new_event_loop(), maypole.new_event_loop()
    instruments = bridge.LoopInstruments(first, name="first", meter=collected.meter)
    instruments.add(second, "second")
    assert {point.attributes["maypole.loop.name"] for point in collected.points("maypole.loop.turns")} == {
        "first",
        "second",
    }
    first.close()
    time.sleep(bridge.SAME_COLLECTION_S * 1.1)
    [point] = collected.points("maypole.loop.turns")
    assert point.attributes["maypole.loop.name"] == "second"
    second.close()


def test_bad_loops_are_refused(collected: Collected) -> None:
    with pytest.raises(RuntimeError, match="no loop runs in this thread"):
        bridge.LoopInstruments(meter=collected.meter)
    other = asyncio.SelectorEventLoop()
    with pytest.raises(TypeError, match="only a loop of maypole"):
        bridge.LoopInstruments(other, meter=collected.meter)
    other.close()
