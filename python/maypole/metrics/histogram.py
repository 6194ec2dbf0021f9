"""`Histogram`: counts in buckets, and quantiles that are told only when the counts carry them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

TAIL_MIN = 10
"""So many values must lie beyond a quantile, on its shorter side, before it is told."""

USUAL = (0.5, 0.9, 0.99, 0.999)


class TooFewSamples(LookupError):
    """A quantile was asked for that so few values do not tell; `count` is how many there are, `needed` how
    many it takes.
    """

    def __init__(self, q: float, count: int) -> None:
        self.q = q
        self.count = count
        self.needed = needed(q)
        super().__init__(f"p{q * 100:.6g} needs {self.needed:,} values, and there are {count:,}")

    def __reduce__(self) -> tuple[type[TooFewSamples], tuple[float, int]]:
        """Copy and pickle it."""
        return type(self), (self.q, self.count)


def needed(q: float) -> int:
    """Return how many values a quantile needs: ten beyond it, on its shorter side.

    Args:
        q: the quantile, above 0 and below 1.

    Raises:
        ValueError: for another `q`.

    Example:
        >>> [needed(q) for q in (0.5, 0.9, 0.99, 0.999)]
        [20, 100, 1000, 10000]
    """
    if not 0 < q < 1:
        raise ValueError(f"a quantile lies above 0 and below 1, not at {q!r}")
    # 1 - 0.9 is a little less than a tenth in binary.
    return math.ceil(TAIL_MIN / min(q, 1 - q) - 1e-6)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often which values were seen, in buckets at most 1/8 wide; values below 16 have a bucket each.

    Args:
        buckets: (highest value of the bucket, count) of each that is not empty, the lowest first; whole
            numbers, in nanoseconds where the values are times.
        per_unit: how many of these make one of the unit that `quantile` answers in: 10**9 for nanoseconds and
            seconds.
        sum: the sum of all values, unscaled.

    Example:
        >>> turns = Histogram(((1_023, 50), (2_047, 45), (8_191, 5)), per_unit=10**9, sum=150_000)
        >>> turns.count, turns.quantile(0.5), turns.quantile(0.9)
        (100, 1.023e-06, 2.047e-06)
        >>> turns.quantile(0.99)
        Traceback (most recent call last):
        maypole.metrics.histogram.TooFewSamples: p99 needs 1,000 values, and there are 100
    """

    buckets: tuple[tuple[int, int], ...]
    per_unit: int = 1
    sum: int = 0

    @property
    def count(self) -> int:
        """How many values were seen."""
        return _total(self.buckets)

    @property
    def mean(self) -> float:
        """The mean of all values, exactly; 0.0 without any."""
        return self.sum / self.per_unit / self.count if self.buckets else 0.0

    def quantile(self, q: float) -> float:
        """Return a value that a share `q` of all does not exceed.

        It is the upper end of a bucket: never too low, and at most 1/8 too high.

        Args:
            q: above 0 and below 1; 0.99 is p99.

        Raises:
            TooFewSamples: when fewer than ten values lie beyond it: p50 needs 20, p90 100, p99 1,000, p99.9
                10,000.
            ValueError: for a `q` that is none.
        """
        count = self.count
        if count < needed(q):
            raise TooFewSamples(q, count)
        return self._at(math.ceil(count * q - 1e-6))

    def quantiles(self, qs: Sequence[float] = USUAL) -> Mapping[float, float]:
        """Return those of the quantiles that can be told; p50, p90, p99 and p99.9 unless others are named.

        Raises:
            ValueError: for a `q` that is none.
        """
        return {q: self.quantile(q) for q in qs if self.count >= needed(q)}

    def count_up_to(self, value: int) -> int:
        """Return how many values lie in buckets that end at `value` or before it, unscaled."""
        return _total(bucket for bucket in self.buckets if bucket[0] <= value)

    def since(self, earlier: Histogram) -> Histogram:
        """Return what was counted after an earlier histogram of the same thing.

        Raises:
            ValueError: if `earlier` has counted more, or something else.
        """
        before = dict(earlier.buckets)
        left = tuple((bound, more) for bound, count in self.buckets if (more := count - before.pop(bound, 0)))
        if before or any(more < 0 for _, more in left) or earlier.per_unit != self.per_unit:
            raise ValueError("the earlier histogram has counted more: these two are not one after the other")
        return Histogram(left, self.per_unit, self.sum - earlier.sum)

    def _at(self, rank: int) -> float:
        """The upper end of the bucket in which the value of this rank lies, counted from 1."""
        seen = 0
        for bound, count in self.buckets:
            seen += count
            if seen >= rank:
                return bound / self.per_unit
        raise ValueError(f"there is no value of rank {rank} among {seen}")


def _total(buckets: Iterable[tuple[int, int]]) -> int:
    return sum(count for _, count in buckets)
