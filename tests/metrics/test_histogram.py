"""Quantiles: what is told, how far it may be wrong, and when it is refused."""

from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from maypole.metrics.histogram import Histogram, TooFewSamples, needed


def upper(value: int) -> int:
    """The highest value in the bucket of this one: eight buckets for each power of two, from 16 on."""
    shift = max(0, value.bit_length() - 4)
    return ((value >> shift) << shift) + (1 << shift) - 1


def counted(values: list[int], per_unit: int = 1) -> Histogram:
    bounds = [upper(value) for value in values]
    return Histogram(tuple((one, bounds.count(one)) for one in sorted(set(bounds))), per_unit, sum(values))


@pytest.mark.parametrize(
    ("q", "count"), [(0.5, 20), (0.9, 100), (0.1, 100), (0.99, 1_000), (0.999, 10_000), (0.9999, 100_000)]
)
def test_a_quantile_needs_ten_values_beyond_it(q: float, count: int) -> None:
    assert needed(q) == count
    enough = Histogram(((1, count),))
    assert enough.quantile(q) == 1
    with pytest.raises(TooFewSamples) as refused:
        Histogram(((1, count - 1),)).quantile(q)
    assert (refused.value.q, refused.value.count, refused.value.needed) == (q, count - 1, count)


def test_the_refusal_says_what_is_needed() -> None:
    with pytest.raises(TooFewSamples, match=r"^p99\.9 needs 10,000 values, and there are 37$"):
        Histogram(((1, 37),)).quantile(0.999)


def test_a_refusal_is_copied_and_pickled() -> None:
    error = TooFewSamples(0.99, 5)
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (str(other), other.q, other.count) == (str(error), 0.99, 5)


@pytest.mark.parametrize("q", [0, 1, -0.5, 1.5, float("nan")])
def test_what_is_no_quantile_is_refused(q: float) -> None:
    with pytest.raises(ValueError, match="lies above 0 and below 1"):
        Histogram(((1, 1_000),)).quantile(q)
    with pytest.raises(ValueError, match="lies above 0 and below 1"):
        Histogram(((1, 1_000),)).quantiles([q])


@given(st.lists(st.integers(0, 10**10), min_size=1, max_size=20), st.sampled_from([0.1, 0.5, 0.9]))
def test_a_quantile_is_never_too_low_and_at_most_an_eighth_too_high(values: list[int], q: float) -> None:
    values = sorted(values * 100)
    exact = values[-(-len(values) * round(q * 10) // 10) - 1]
    told = counted(values).quantile(q)
    assert exact <= told <= max(exact * 9 / 8, exact + 1 if exact >= 16 else exact)


@given(st.lists(st.integers(0, 10**10), max_size=20), st.lists(st.integers(0, 10**10), max_size=20))
def test_the_difference_of_two_is_what_came_between(before: list[int], after: list[int]) -> None:
    assert counted(before + after).since(counted(before)) == counted(after)


def test_a_difference_the_wrong_way_round_is_refused() -> None:
    with pytest.raises(ValueError, match="not one after the other"):
        counted([1]).since(counted([1, 2]))
    with pytest.raises(ValueError, match="not one after the other"):
        counted([1], 1).since(counted([1], 1_000))


def test_quantiles_are_those_that_can_be_told() -> None:
    assert list(Histogram(((1, 999),)).quantiles()) == [0.5, 0.9]
    assert list(Histogram(((1, 1_000),)).quantiles()) == [0.5, 0.9, 0.99]
    assert Histogram(()).quantiles() == {}


def test_mean_and_count_are_exact() -> None:
    found = counted([10, 20, 1_000], per_unit=10)
    assert found.count == 3
    assert found.mean == pytest.approx(1030 / 30)
    assert (Histogram(()).count, Histogram(()).mean) == (0, 0.0)


def test_counts_up_to_a_bound() -> None:
    found = Histogram(((15, 2), (17, 3), (31, 4)))
    assert [found.count_up_to(bound) for bound in (14, 15, 30, 31, 99)] == [0, 2, 5, 9, 9]
