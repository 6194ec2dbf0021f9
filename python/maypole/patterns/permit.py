"""What a circuit breaker hands out: the right to make one call, and what it knows at one moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from maypole.patterns.turn import now

if TYPE_CHECKING:
    from types import TracebackType

    from maypole._maypole import Lease
    from maypole.patterns.breaker import CircuitBreaker

BreakerState = Literal["closed", "open", "half_open", "forced_open", "disabled", "metrics_only"]


@dataclass(frozen=True, slots=True)
class BreakerSnapshot:
    """What a `CircuitBreaker` knows at one moment.

    Attributes:
        name: the breaker's name.
        state: its state. An open breaker whose time is over stays open until a call comes.
        retry_after: seconds until a call may pass; None where only an answer or a hand can tell.
        calls: how many calls are in the window; in half-open, how many probes have answered.
        failures: how many of them failed.
        slow: how many of them were slow.
        failure_rate: the share that failed.
        slow_rate: the share that was slow.
        admitted: how many calls were ever let through.
        rejected: how many were not.
        succeeded: how many ended well.
        failed: how many failed.
        cancelled: how many came back uncounted: cancelled, ignored.
        late: how many ended after the state in which they began, and were dropped.
    """

    name: str
    state: BreakerState
    retry_after: float | None
    calls: int
    failures: int
    slow: int
    failure_rate: float
    slow_rate: float
    admitted: int
    rejected: int
    succeeded: int
    failed: int
    cancelled: int
    late: int


class Permit:
    """The right to make one call. End it once; a second end changes nothing.

    As a context manager it ends by what happens in the block. A permit that is lost comes back uncounted.
    """

    __slots__ = ("_breaker", "_lease")

    def __init__(self, breaker: CircuitBreaker, lease: Lease) -> None:
        self._breaker = breaker
        self._lease = lease

    def hold(self) -> None:
        """The call has not begun: it waits for something of ours, and its time does not run until `begin`."""
        self._lease.hold(now())

    def begin(self) -> None:
        """The call begins only now."""
        self._lease.begin(now())
        if self._breaker._times_calls:
            self._breaker._watch()

    def success(self) -> None:
        """The call ended well."""
        if self._lease.finish(now(), False):
            self._breaker._tell_changes()

    def failure(self, error: BaseException | None = None) -> None:
        """The call failed.

        Args:
            error: what went wrong, for ``CircuitOpen.last_error``.
        """
        if self._lease.live:
            self._breaker.last_error = error
        self._lease.finish(now(), True)
        self._breaker._tell_changes()

    def cancel(self) -> None:
        """The call says nothing: give the permit back uncounted."""
        self._lease.give_back(now())
        self._breaker._tell_changes()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._breaker._end(self, error)
