"""Circles of tasks that wait for each other.

A task that needs all of what it waits for (`gather`, a lock) is stuck when one of it is; a task that needs
one of several (`wait` with FIRST_COMPLETED, a semaphore with many holders) is stuck when all of it is.

Source: E. Knapp, Deadlock detection in distributed databases, ACM Computing Surveys 19 (1987), the AND-OR
model; R. Tarjan, Depth-first search and linear graph algorithms, SIAM J. Comput. 1 (1972).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set

Needs = tuple["Sequence[int]", bool]
"""What a task waits for, and whether one of it is enough."""


def circles(needs: Mapping[int, Needs]) -> list[list[int]]:
    """Find the circles of waiting that nobody inside can leave.

    Args:
        needs: for each task that waits for others, their numbers, and whether one of them is enough.

    Returns:
        For each such circle one way round, beginning with the smallest number in it.

    Example:
        >>> circles({1: ([2], False), 2: ([1], False), 3: ([1], False)})
        [[1, 2]]
        >>> circles({1: ([2, 4], True), 2: ([1], False)})
        []
    """
    found = []
    stuck = _stuck(needs)
    left = set(stuck)
    for start in sorted(stuck):
        way = _way_round(start, needs, stuck) if start in left else []
        if way:
            left -= set(way)
            found.append(way)
    return found


def _stuck(needs: Mapping[int, Needs]) -> Set[int]:
    """Return the tasks that can never go on: what is left when all that can go on have gone."""
    waiting = {number for number, (of, _) in needs.items() if of}
    while True:
        free = {number for number in waiting if _can_go_on(needs[number], waiting)}
        if not free:
            return waiting
        waiting -= free


def _can_go_on(need: Needs, waiting: Set[int]) -> bool:
    of, one_is_enough = need
    met = [number not in waiting for number in of]
    return any(met) if one_is_enough else all(met)


def _way_round(start: int, needs: Mapping[int, Needs], stuck: Set[int]) -> list[int]:
    """Return the shortest way from a task over those it waits for back to itself; none is an empty list."""
    ways = [[start]]
    seen: set[int] = set()
    for way in ways:
        for number in needs[way[-1]][0]:
            if number == start:
                return way
            if number in stuck and number not in seen:
                seen.add(number)
                ways.append([*way, number])
    return []
