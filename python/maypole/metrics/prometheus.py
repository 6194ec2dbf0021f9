"""The metrics of loops and patterns for Prometheus, through its client library: ``maypole[prometheus]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from maypole.metrics.catalogue import DISTRIBUTIONS, SERIES, Distribution, Series
from maypole.metrics.pattern_series import PATTERN_SERIES, PatternSeries
from maypole.metrics.watched import Described, WatchedLoops, WatchedPatterns

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Mapping
    from typing import Any

    from prometheus_client.metrics_core import Metric
    from prometheus_client.registry import CollectorRegistry

    from maypole.metrics.histogram import Histogram
    from maypole.metrics.snapshot import Snapshot

TIME_BOUNDS = tuple(2**power for power in range(10, 34))
"""Upper bounds of the buckets of times, in nanoseconds: 1 µs to 8.6 s, each twice the last."""

COUNT_BOUNDS = tuple(2**power - 1 for power in range(1, 17))
"""The same for numbers of items: 1, 3, 7, … 65,535."""


class LoopCollector(WatchedLoops):
    """Collects the metrics of loops whenever Prometheus asks; nothing happens in between.

    A collector serves several loops: `add` names another one. All series have the label ``loop``. A closed
    loop is left out. Prometheus may ask from any thread, also while a loop is stuck.

    Args:
        loop: a loop of maypole; None is the one that runs in this thread.
        name: the value of the label ``loop``.
        registry: where to register; None is ``prometheus_client.REGISTRY``.
        functions: also export a series for each coroutine function, at most 1,024 of them.

    Raises:
        ImportError: if ``prometheus_client`` is not installed.
        TypeError: for another kind of loop.
        ValueError: if the registry has a collector of these metrics already; then `add` the loop to that one.
        RuntimeError: if the loop is closed, or none was given and none runs in this thread.

    Source: https://prometheus.github.io/client_python/collector/custom/

    Example:
        >>> import maypole, prometheus_client
        >>> from maypole.metrics.prometheus import LoopCollector
        >>> registry = prometheus_client.CollectorRegistry()
        >>> async def main():
        ...     LoopCollector(registry=registry)
        ...     return prometheus_client.generate_latest(registry).decode()
        >>> [line for line in maypole.run(main()).splitlines() if "tasks_alive" in line][-1]
        'maypole_loop_tasks_alive{loop="main"} 1.0'
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        name: str = "main",
        registry: CollectorRegistry | None = None,
        functions: bool = False,
    ) -> None:
        registry = _usual(registry)
        super().__init__()
        self.add(loop, name)
        self._functions = functions
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Name all metrics, without values."""
        return self._families([])

    def collect(self) -> Iterable[Metric]:
        """Read the metrics of all loops."""
        return self._families(list(self.snapshots()))

    def _families(self, found: list[tuple[str, Snapshot]]) -> Iterable[Metric]:
        yield from (_series(one, found) for one in SERIES)
        yield from (_distribution(one, found) for one in DISTRIBUTIONS)
        if self._functions:
            yield from _functions(found)


class PatternCollector(WatchedPatterns):
    """Collects the numbers of patterns whenever Prometheus asks; nothing happens in between.

    The series are called ``maypole_pattern_…`` and have the labels ``kind`` and ``name``. Prometheus may ask
    from any thread. It keeps no pattern alive; one that is gone is left out.

    Args:
        patterns: patterns with names; `add` takes more, and names those that have none.
        registry: where to register; None is ``prometheus_client.REGISTRY``.

    Raises:
        ImportError: if ``prometheus_client`` is not installed.
        TypeError, ValueError: as `add`.
        ValueError: if the registry has a collector of these metrics already; then `add` to that one.

    Source: https://prometheus.github.io/client_python/collector/custom/

    Example:
        >>> import prometheus_client
        >>> from maypole.metrics.prometheus import PatternCollector
        >>> from maypole.patterns import RateLimit
        >>> registry = prometheus_client.CollectorRegistry()
        >>> limit = RateLimit("10/s", name="mail")
        >>> collector = PatternCollector(limit, registry=registry)
        >>> limit.try_acquire()
        True
        >>> registry.get_sample_value("maypole_pattern_granted_total", {"kind": "rate_limit", "name": "mail"})
        1.0
    """

    def __init__(self, *patterns: Described, registry: CollectorRegistry | None = None) -> None:
        registry = _usual(registry)
        super().__init__()
        for pattern in patterns:
            self.add(pattern)
        registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Name all metrics, without values."""
        return (_pattern_series(series, []) for series in PATTERN_SERIES)

    def collect(self) -> Iterable[Metric]:
        """Read the numbers of all patterns; series that none of them has are left out."""
        found = self.descriptions()
        for series in PATTERN_SERIES:
            metric = _pattern_series(series, found)
            if metric.samples:
                yield metric


def _pattern_series(series: PatternSeries, found: list[tuple[str, Mapping[str, Any]]]) -> Metric:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    labels = ["kind", "name", series.label] if series.label else ["kind", "name"]
    family = CounterMetricFamily if series.counts else GaugeMetricFamily
    metric = family(f"maypole_pattern_{series.name}", series.text, labels=labels, unit=series.unit)
    for name, description in found:
        value = series.value(description)
        if value is not None:
            word, number = value
            metric.add_metric([description["kind"], name, *([word] if series.label else [])], number)
    return metric


def _usual(registry: CollectorRegistry | None) -> CollectorRegistry:
    try:
        import prometheus_client
    except ImportError:
        raise ImportError("this needs prometheus_client: pip install maypole[prometheus]") from None
    return prometheus_client.REGISTRY if registry is None else registry


def _name(name: str) -> str:
    return f"maypole_loop_{name}"


def _series(series: Series, found: list[tuple[str, Snapshot]]) -> Metric:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    labels = ["loop", series.label] if series.label else ["loop"]
    family = CounterMetricFamily if series.counts else GaugeMetricFamily
    metric = family(_name(series.name), series.text, labels=labels, unit=series.unit)
    for loop, snapshot in found:
        for label, value in series.values(snapshot).items():
            metric.add_metric([loop, label] if series.label else [loop], value)
    return metric


def _distribution(distribution: Distribution, found: list[tuple[str, Snapshot]]) -> Metric:
    from prometheus_client.core import HistogramMetricFamily

    metric = HistogramMetricFamily(
        _name(distribution.name), distribution.text, labels=["loop"], unit=distribution.unit
    )
    for loop, snapshot in found:
        histogram = distribution.histogram(snapshot)
        bounds = TIME_BOUNDS if distribution.unit else COUNT_BOUNDS
        metric.add_metric([loop], _cumulative(histogram, bounds), histogram.sum / histogram.per_unit)
    return metric


def _cumulative(histogram: Histogram, bounds: tuple[int, ...]) -> list[tuple[str, float]]:
    """How many values lie up to each bound: exact, as our buckets end there, or one nanosecond before."""
    rows: list[tuple[str, float]] = [
        (repr(bound / histogram.per_unit), histogram.count_up_to(bound)) for bound in bounds
    ]
    return [*rows, ("+Inf", histogram.count)]


def _functions(found: list[tuple[str, Snapshot]]) -> Iterable[Metric]:
    from prometheus_client.core import CounterMetricFamily

    labels = ["loop", "file", "line", "function"]
    steps = CounterMetricFamily(
        _name("function_steps"), "Steps of a coroutine function, estimated.", labels=labels
    )
    busy = CounterMetricFamily(
        _name("function_busy"), "Time in them, estimated.", labels=labels, unit="seconds"
    )
    wait = CounterMetricFamily(
        _name("function_queue_wait"), "Time ready before them, estimated.", labels=labels, unit="seconds"
    )
    for loop, snapshot in found:
        for one in snapshot.functions:
            values = [loop, one.file, str(one.line), one.function]
            steps.add_metric(values, one.sampled * snapshot.sampling)
            busy.add_metric(values, one.busy_s * snapshot.sampling)
            wait.add_metric(values, one.queue_wait_s * snapshot.sampling)
    return steps, busy, wait
