"""How sure we are: the median of paired ratios, with an interval from order statistics.

The interval assumes nothing about the distribution: of n independent ratios the k-th smallest and the k-th
largest enclose the true median with the probability 1 - 2 P(B < k), B binomial (n, 1/2). Source: H. A. David,
H. N. Nagaraja, Order Statistics, section 7.1.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A median and the interval around it.

    Args:
        median: the middle value.
        low: lower end.
        high: upper end.
        coverage: how often such an interval encloses the true median, from 0 to 1.
        count: how many values it rests on.
    """

    median: float
    low: float
    high: float
    coverage: float
    count: int

    def above(self, bound: float) -> bool:
        """Whether all of the interval lies above `bound`."""
        return self.low > bound

    def below(self, bound: float) -> bool:
        """Whether all of the interval lies below `bound`."""
        return self.high < bound


def coverage(count: int, rank: int) -> float:
    """How often the `rank`-th smallest and largest of `count` values enclose the median.

    >>> coverage(6, 1)
    0.96875
    >>> coverage(5, 1)
    0.9375
    """
    outside: int = 2 * sum(math.comb(count, below) for below in range(rank))
    return 1 - outside / float(2**count)


def around_median(values: Sequence[float], confidence: float = CONFIDENCE) -> Interval:
    """The narrowest interval of order statistics that holds `confidence`; of too few values, the range.

    Args:
        values: independent values, at least one.
        confidence: wanted coverage, from 0 to 1.

    Raises:
        ValueError: `values` is empty.

    >>> around_median([1.0, 2.0, 3.0, 4.0, 5.0, 60.0])
    Interval(median=3.5, low=1.0, high=60.0, coverage=0.96875, count=6)
    >>> around_median([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 90.0])
    Interval(median=5.0, low=2.0, high=8.0, coverage=0.9609375, count=9)
    """
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    count = len(ordered)
    rank = max(1, max((k for k in range(1, count // 2 + 1) if coverage(count, k) >= confidence), default=1))
    return Interval(
        statistics.median(ordered),
        ordered[rank - 1],
        ordered[-rank],
        coverage(count, rank) if count > 1 else 0.0,
        count,
    )


def paired_ratios(reference: dict[int, float], other: dict[int, float]) -> list[float]:
    """How many times less than the reference `other` needed, for each round that has both.

    >>> paired_ratios({0: 4.0, 1: 6.0}, {0: 2.0, 2: 1.0})
    [2.0]
    """
    both = sorted(reference.keys() & other.keys())
    return [reference[one] / other[one] for one in both if other[one] > 0]
