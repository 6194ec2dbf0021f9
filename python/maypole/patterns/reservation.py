"""A place in the line of a rate limit, taken now and used when its time comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from maypole.patterns.turn import Turn, now

if TYPE_CHECKING:
    from collections.abc import Generator

    from maypole.patterns.rate_limit import RateLimit


class Reservation:
    """A place in the line of a `RateLimit`: ``await`` it to go on when its time comes.

    What is reserved counts from its time on, whether it is awaited or not.

    Attributes:
        n: the weight.
    """

    __slots__ = ("_limit", "_ticket", "_turn", "_used", "n")

    def __init__(self, limit: RateLimit, turn: Turn, ticket: int) -> None:
        self._limit = limit
        self._turn = turn
        self._ticket = ticket
        self._used = False
        self.n = turn.n

    @property
    def delay(self) -> float:
        """Seconds until its time comes, as things stand; 0 from then on."""
        if self._turn.granted_at is not None:
            return 0.0
        return self._limit._core.delay_of(now(), self._ticket) or 0.0

    @property
    def granted(self) -> bool:
        """Whether its time has come."""
        return self._turn.granted_at is not None

    def cancel(self) -> bool:
        """Give the reservation back.

        Returns:
            Whether it was given back: False when it was awaited to its end, or cancelled, before. What has
            been refilled since its time came does not come back.
        """
        if self._used:
            return False
        self._used = True
        self._limit._left(self._turn, self._ticket)
        if not self._turn.future.done():
            self._turn.future.cancel()
        return True

    def __await__(self) -> Generator[Any, None, None]:
        if self._used:
            raise RuntimeError("this reservation was used or cancelled before")
        self._used = True
        if self._turn.granted_at is not None:
            return
        try:
            yield from self._turn.future.__await__()
        except BaseException:
            self._limit._left(self._turn, self._ticket)
            raise

    def __repr__(self) -> str:
        state = "used" if self._used else "granted" if self.granted else f"due in {self.delay:.3g} s"
        return f"<Reservation of {self.n:g}, {state}>"
