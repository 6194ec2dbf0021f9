"""How late timers fire: quantiles, the early ones, a histogram."""

from __future__ import annotations

import statistics
import time
from bisect import bisect_left
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Upper bounds, in microseconds, of the histogram's columns.
BOUNDS_US = (0, 50, 100, 200, 500, 1000, 2000, 5000)


def figures(late_us: Sequence[float]) -> dict[str, float]:
    """What a scenario records of its timers.

    Args:
        late_us: microseconds from the deadline to the callback; negative is early.

    >>> seen = figures([-10.0, 20.0, 30.0, 60.0, 9000.0])
    >>> seen["early"], seen["late_p50_us"], seen["late_under_50us"], seen["late_over"]
    (1, 30.0, 2, 1)
    """
    ordered = sorted(late_us)
    percentiles = (
        statistics.quantiles(ordered, n=100, method="inclusive") if len(ordered) > 1 else ordered * 99
    )
    found: dict[str, float] = {f"late_p{percent}_us": percentiles[percent - 1] for percent in (50, 90, 99)}
    found["late_max_us"] = ordered[-1]
    # CPython's loop runs a timer that is due within the clock's resolution; so may others.
    tolerance_us = time.get_clock_info("monotonic").resolution * 1e6
    found["early"] = sum(late < -tolerance_us for late in ordered)
    below = 0
    for bound in BOUNDS_US:
        reached = bisect_left(ordered, bound)
        found[f"late_under_{bound}us"] = reached - below
        below = reached
    found["late_over"] = len(ordered) - below
    return found
