"""What the stats of several patterns have in common."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WaitStats:
    """How long those waited who were let through after a wait; who did not wait is not among them.

    The quantiles come from a histogram: they are at most a quarter above the true value.

    Attributes:
        count: how many waited.
        total: their waits together, in seconds.
        longest: the longest wait in seconds, exactly.
        p50: the median wait in seconds.
        p99: what 99 of 100 waits did not exceed, in seconds.
    """

    count: int
    total: float
    longest: float
    p50: float
    p99: float
