"""The collector, read back by Prometheus' own parser."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import maypole
import pytest

prometheus_client = pytest.importorskip("prometheus_client")
from maypole.metrics.prometheus import LoopCollector  # noqa: E402
from prometheus_client import CollectorRegistry, generate_latest  # noqa: E402
from prometheus_client.core import Metric, Sample  # noqa: E402
from prometheus_client.openmetrics import exposition as openmetrics  # noqa: E402
from prometheus_client.openmetrics import parser as strict  # noqa: E402
from prometheus_client.parser import text_string_to_metric_families as parse  # noqa: E402


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry(auto_describe=True)


async def some_work() -> None:
    for _ in range(300):
        await asyncio.sleep(0)
    await asyncio.gather(*(asyncio.sleep(0.001) for _ in range(20)))


def families(registry: CollectorRegistry) -> dict[str, Metric]:
    return {family.name: family for family in parse(generate_latest(registry).decode())}


def samples(registry: CollectorRegistry) -> Iterator[Sample]:
    for family in families(registry).values():
        yield from family.samples


def test_names_follow_the_conventions(registry: CollectorRegistry) -> None:
    async def main() -> dict[str, Metric]:
        LoopCollector(registry=registry)
        return families(registry)

    found = maypole.run(main())
    assert len(found) == 22
    for name, family in found.items():
        assert name.startswith("maypole_loop_")
        assert family.documentation.endswith(".")
        if family.type == "counter":
            assert all(sample.name.endswith("_total") for sample in family.samples)
        for unit in ("seconds", "bytes"):
            assert unit not in name or name.endswith(f"_{unit}")


def test_the_strict_parser_takes_it_too(registry: CollectorRegistry) -> None:
    async def main() -> str:
        LoopCollector(registry=registry, functions=True)
        await some_work()
        return str(openmetrics.generate_latest(registry).decode())  # type: ignore[no-untyped-call]

    text = maypole.run(main())
    names = [family.name for family in strict.text_string_to_metric_families(text)]  # type: ignore[no-untyped-call]
    assert "maypole_loop_queue_wait_seconds" in names
    assert "maypole_loop_function_busy_seconds" in names


def test_the_numbers_are_those_of_the_snapshot(registry: CollectorRegistry) -> None:
    async def main() -> None:
        LoopCollector(registry=registry, name="api")
        await some_work()
        before = maypole.metrics()
        found = {
            (sample.name, sample.labels.get("outcome")): sample
            for sample in samples(registry)
            if "le" not in sample.labels
        }
        after = maypole.metrics()
        assert all(sample.labels["loop"] == "api" for sample in found.values())
        assert found["maypole_loop_task_steps_total", None].value == before.steps
        assert found["maypole_loop_tasks_created_total", None].value == before.tasks.created
        assert found["maypole_loop_tasks_ended_total", "returned"].value == before.tasks.returned == 20
        assert found["maypole_loop_tasks_alive", None].value == 1
        assert found["maypole_loop_turn_duration_seconds_count", None].value == before.turn_duration.count
        assert found["maypole_loop_ready_depth_sum", None].value == before.ready_depth.sum
        assert before.wall_s <= found["maypole_loop_wall_seconds_total", None].value <= after.wall_s

    maypole.run(main())


def test_buckets_are_cumulative_and_the_same_at_each_scrape(registry: CollectorRegistry) -> None:
    async def main() -> tuple[list[Sample], list[Sample]]:
        LoopCollector(registry=registry)
        first = families(registry)["maypole_loop_turn_duration_seconds"].samples
        await some_work()
        time.sleep(0.02)
        await asyncio.sleep(0)
        return first, families(registry)["maypole_loop_turn_duration_seconds"].samples

    first, second = maypole.run(main())
    bounds = [sample.labels["le"] for sample in second if "le" in sample.labels]
    assert bounds == [sample.labels["le"] for sample in first if "le" in sample.labels]
    assert (bounds[0], bounds[-1]) == ("1.024e-06", "+Inf")
    counts = [sample.value for sample in second if "le" in sample.labels]
    assert counts == sorted(counts)
    by_bound = dict(zip(bounds, counts, strict=True))
    assert by_bound["+Inf"] - by_bound["0.016777216"] >= 1
    [total] = [sample.value for sample in second if sample.name.endswith("_count")]
    assert total == by_bound["+Inf"]


def test_functions_are_exported_when_they_are_asked_for(registry: CollectorRegistry) -> None:
    async def main() -> list[Sample]:
        LoopCollector(registry=registry, functions=True)
        await asyncio.create_task(some_work())
        return families(registry)["maypole_loop_function_steps"].samples

    found = [sample for sample in maypole.run(main()) if sample.labels["function"] == "some_work"]
    assert found[0].labels["file"] == __file__
    assert found[0].labels["line"] == str(some_work.__code__.co_firstlineno)
    assert found[0].value % 64 == 0


def test_several_loops_have_one_collector(registry: CollectorRegistry) -> None:
    first, second = maypole.new_event_loop(), maypole.new_event_loop()
    collector = LoopCollector(first, name="first", registry=registry)
    collector.add(second, "second")
    with pytest.raises(ValueError, match="another loop is exported as 'first'"):
        collector.add(second, "first")
    with pytest.raises(ValueError, match=r"Duplicated timeseries"):
        LoopCollector(second, registry=registry)

    def loops() -> set[str]:
        return {sample.labels["loop"] for sample in samples(registry)}

    assert loops() == {"first", "second"}
    first.close()
    assert loops() == {"second"}
    third = maypole.new_event_loop()
    collector.add(third, "first")
    assert loops() == {"first", "second"}
    collector.remove("first")
    assert loops() == {"second"}
    with pytest.raises(KeyError):
        collector.remove("first")
    second.close()
    third.close()
    assert loops() == set()


def test_bad_loops_are_refused(registry: CollectorRegistry) -> None:
    with pytest.raises(RuntimeError, match="no loop runs in this thread"):
        LoopCollector(registry=registry)
    other = asyncio.SelectorEventLoop()
    with pytest.raises(TypeError, match="only a loop of maypole"):
        LoopCollector(other, registry=registry)
    other.close()
    assert generate_latest(registry) == b""
