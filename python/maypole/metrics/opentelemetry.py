"""The metrics of loops and patterns as observable instruments: the extra ``maypole[opentelemetry]``."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from maypole.metrics.catalogue import DISTRIBUTIONS, SERIES, Distribution, Series
from maypole.metrics.histogram import USUAL
from maypole.metrics.pattern_series import PATTERN_SERIES, PatternSeries
from maypole.metrics.watched import Described, WatchedLoops, WatchedPatterns

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.metrics import CallbackOptions, Meter, Observation

    from maypole.metrics.snapshot import Snapshot

SAME_COLLECTION_S = 0.05
"""An SDK asks one instrument after the other; within this time they are told of the same moment."""

LOOP = "maypole.loop.name"
"""The attribute that tells loops apart."""

KIND, NAME = "maypole.pattern.kind", "maypole.pattern.name"
"""The attributes that tell patterns apart."""

UNITS = {"": "1", "seconds": "s", "bytes": "By"}


class LoopInstruments(WatchedLoops):
    """Observable instruments for the metrics of loops: they are read when the SDK collects, and cost nothing
    else.

    Counters and gauges are called ``maypole.loop.…`` as in the reference of the metrics. OpenTelemetry has no
    observable histogram, so each distribution is a gauge of the quantiles (attribute ``quantile``) of what
    came since the collection before; one that too few values tell is left out. All have the attribute
    ``maypole.loop.name``. A closed loop is left out. Let one reader collect: with two of them, each sees the
    intervals cut by the other.

    Args:
        loop: a loop of maypole; None is the one that runs in this thread.
        name: the value of the attribute ``maypole.loop.name``.
        meter: makes the instruments; None is ``opentelemetry.metrics.get_meter("maypole")``.

    Raises:
        ImportError: if ``opentelemetry-api`` is not installed.
        TypeError: for another kind of loop.
        RuntimeError: if the loop is closed, or none was given and none runs in this thread.

    Source: https://opentelemetry.io/docs/specs/otel/metrics/api/#asynchronous-counter

    Example:
        >>> import maypole
        >>> from maypole.metrics.opentelemetry import LoopInstruments
        >>> async def main():
        ...     LoopInstruments(name="api")  # read by whatever the program has set up to export its metrics
        >>> maypole.run(main())
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop | None = None,
        *,
        name: str = "main",
        meter: Meter | None = None,
    ) -> None:
        meter = _usual(meter)
        super().__init__()
        self.add(loop, name)
        self._lock = threading.Lock()
        self._asked_s = -SAME_COLLECTION_S
        self._now: dict[str, Snapshot] = {}
        self._interval: dict[str, Snapshot] = {}
        self._make_instruments(meter)

    def _make_instruments(self, meter: Meter) -> None:
        for series in SERIES:
            make: Callable[..., Any] = meter.create_observable_gauge
            if series.counts:
                make = meter.create_observable_counter
            make(_name(series.name), [self._observer(series)], UNITS[series.unit], series.text)
        for distribution in DISTRIBUTIONS:
            observe = self._quantiles(distribution)
            meter.create_observable_gauge(
                _name(distribution.name), [observe], UNITS[distribution.unit], distribution.text
            )
        text = "Share of the time since the last collection in which the loop worked."
        meter.create_observable_gauge(_name("utilization"), [self._utilisation], "1", text)

    def _collect(self) -> None:
        """Take new snapshots, unless this belongs to the collection of the last ones."""
        now_s = time.monotonic()
        if now_s - self._asked_s < SAME_COLLECTION_S:
            return
        self._asked_s = now_s
        before, self._now = self._now, dict(self.snapshots())
        self._interval = {}
        for name, snapshot in self._now.items():
            earlier = before.get(name)
            same = earlier is not None and earlier.loop_id == snapshot.loop_id
            self._interval[name] = snapshot.since(earlier) if earlier is not None and same else snapshot

    def _observer(self, series: Series) -> Callable[[CallbackOptions], Iterator[Observation]]:
        from opentelemetry.metrics import Observation

        def observe(options: CallbackOptions) -> Iterator[Observation]:
            with self._lock:
                self._collect()
                found = self._now
            for name, snapshot in found.items():
                for label, value in series.values(snapshot).items():
                    attributes = {LOOP: name, series.label: label} if series.label else {LOOP: name}
                    yield Observation(value, attributes)

        return observe

    def _quantiles(self, distribution: Distribution) -> Callable[[CallbackOptions], Iterator[Observation]]:
        from opentelemetry.metrics import Observation

        def observe(options: CallbackOptions) -> Iterator[Observation]:
            with self._lock:
                self._collect()
                found = self._interval
            for name, snapshot in found.items():
                for q, value in distribution.histogram(snapshot).quantiles(USUAL).items():
                    yield Observation(value, {LOOP: name, "quantile": str(q)})

        return observe

    def _utilisation(self, options: CallbackOptions) -> Iterator[Observation]:
        from opentelemetry.metrics import Observation

        with self._lock:
            self._collect()
            found = self._interval
        for name, snapshot in found.items():
            yield Observation(snapshot.utilisation, {LOOP: name})


class PatternInstruments(WatchedPatterns):
    """Observable instruments for the numbers of patterns: read when the SDK collects, from its thread.

    They are called ``maypole.pattern.…`` and have the attributes ``maypole.pattern.kind`` and
    ``maypole.pattern.name``. It keeps no pattern alive; one that is gone is left out.

    Args:
        patterns: patterns with names; `add` takes more, and names those that have none.
        meter: makes the instruments; None is ``opentelemetry.metrics.get_meter("maypole")``.

    Raises:
        ImportError: if ``opentelemetry-api`` is not installed.
        TypeError, ValueError: as `add`.

    Source: https://opentelemetry.io/docs/specs/otel/metrics/api/#asynchronous-counter

    Example:
        >>> from maypole.metrics.opentelemetry import PatternInstruments
        >>> from maypole.patterns import Bulkhead
        >>> places = Bulkhead(10, name="database")
        >>> instruments = PatternInstruments(places)  # read by whatever exports the program's metrics
    """

    def __init__(self, *patterns: Described, meter: Meter | None = None) -> None:
        meter = _usual(meter)
        super().__init__()
        for pattern in patterns:
            self.add(pattern)
        self._lock = threading.Lock()
        self._asked_s = -SAME_COLLECTION_S
        self._found: list[tuple[str, Mapping[str, Any]]] = []
        for series in PATTERN_SERIES:
            make: Callable[..., Any] = meter.create_observable_gauge
            if series.counts:
                make = meter.create_observable_counter
            make(f"maypole.pattern.{series.name}", [self._observer(series)], UNITS[series.unit], series.text)

    def _descriptions(self) -> list[tuple[str, Mapping[str, Any]]]:
        """Ask the patterns, unless this belongs to the collection of the last time."""
        with self._lock:
            now_s = time.monotonic()
            if now_s - self._asked_s >= SAME_COLLECTION_S:
                self._asked_s, self._found = now_s, self.descriptions()
            return self._found

    def _observer(self, series: PatternSeries) -> Callable[[CallbackOptions], Iterator[Observation]]:
        from opentelemetry.metrics import Observation

        def observe(options: CallbackOptions) -> Iterator[Observation]:
            for name, description in self._descriptions():
                value = series.value(description)
                if value is not None:
                    word, number = value
                    attributes = {KIND: description["kind"], NAME: name}
                    yield Observation(number, attributes | ({series.label: word} if series.label else {}))

        return observe


def _usual(meter: Meter | None) -> Meter:
    try:
        from opentelemetry.metrics import get_meter
    except ImportError:
        raise ImportError("this needs opentelemetry-api: pip install maypole[opentelemetry]") from None
    return get_meter("maypole") if meter is None else meter


def _name(name: str) -> str:
    return f"maypole.loop.{name.replace('tasks_', 'tasks.').replace('connections_', 'connections.')}"
