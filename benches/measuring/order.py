"""In which order contestants run: another one each round, so that no place is always the same loop's."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

Item = TypeVar("Item")


def order(items: Sequence[Item], turn: int) -> list[Item]:
    """The order of round `turn`: rotated by one place each round, and every second round backwards.

    >>> [order("abc", turn) for turn in range(4)]
    [['a', 'b', 'c'], ['a', 'c', 'b'], ['c', 'a', 'b'], ['c', 'b', 'a']]
    """
    shift = turn % len(items) if items else 0
    rotated = [*items[shift:], *items[:shift]]
    return rotated[::-1] if turn % 2 else rotated
