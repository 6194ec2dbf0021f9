"""`maypole.metrics()`: what a loop has counted and measured, always on.

- `snapshot`: `metrics`, `Snapshot` and its parts;
- `histogram`: `Histogram`, which tells a quantile only when it can;
- `prometheus`: a collector for ``prometheus_client``;
- `opentelemetry`: observable instruments for a meter of ``opentelemetry``.

The package itself can be called, so that ``maypole.metrics()`` works whichever of its modules was imported
before.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

from maypole.metrics.histogram import Histogram, TooFewSamples
from maypole.metrics.snapshot import FunctionUse, Snapshot, TaskCounts, TransportCounts, metrics

if TYPE_CHECKING:
    import asyncio

__all__ = [
    "FunctionUse",
    "Histogram",
    "Snapshot",
    "TaskCounts",
    "TooFewSamples",
    "TransportCounts",
    "metrics",
]


class _CallableModule(ModuleType):
    """A module that is the function of its name."""

    def __call__(self, loop: asyncio.AbstractEventLoop | None = None) -> Snapshot:
        return metrics(loop)


# Source: https://docs.python.org/3/reference/datamodel.html#customizing-module-attribute-access
sys.modules[__name__].__class__ = _CallableModule
